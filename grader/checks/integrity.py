"""INT: the work is the student's own."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from grader.assignment.benchmark import read_benchmark
from grader.checks.adapter import ADAPTER
from grader.checks.api.context import (
    AnswerTraits,
    Classmate,
    Context,
    Verdict,
    failed,
    needs_review,
    passed,
)
from grader.checks.api.registry import check
from grader.checks.evaluation import BEFORE
from grader.core.constants import (
    COPY_COSINE,
    COPY_LOGLIKS,
    COPY_MIN_WRONG,
    COPY_ROW_SPACES,
    COPY_WRONG_P,
    COPY_WRONG_SHARE,
    LEAK_MAX_BYTES,
    LEAK_MIN_QUESTIONS,
    LEAK_SHARE,
    MIB,
    NEAR_COPY_COSINE,
)
from grader.core.errors import FileRefused
from grader.core.files import resource
from grader.core.metrics import exact_match
from grader.core.nouns import Assignment, Evidence, Submission
from grader.core.payloads import Prediction, Predictions, read
from grader.models.adapter_files import AdapterFiles, read_adapter, row_space, sketch
from grader.topics.topic import normalised
from grader.training_data.examples.overlap import leaks

_MAY_TRAIN = (".jsonl", ".json", ".csv", ".tsv", ".txt")
_OTHER_QUESTIONS: Final = frozenset({"questions_from", "made_by", "domain_of", "test_set"})
"""Fields of predictions that are no submitted adapter's on the hidden questions."""
_LOGLIK_FLOOR: Final = 1e-3  # nats: below it an answer is certain, and its logarithm noise
_FISHER_LOST: Final = 4  # of n: 3 as ever (Fisher 1921), and the base
_NEARLY_ONE: Final = 1 - 1e-7  # float32
_ORIGINAL = "No other adapter with the same effect was submitted before this one."


@check("INT001", deliverables=(ADAPTER,), needs=("ADP010",))
def adapter_is_not_a_copy(context: Context) -> Verdict:
    """The adapter is not a copy of a classmate's

    Why: Two trainings with different seeds or data never end with the same effect on the base, and
    one file under two names always does, however it is renamed, rescaled or saved in another
    precision. Of two equal adapters the one submitted first is taken as the original. Where weights
    or answers have more in common than two trainings do, a person decides.

    Fix: Train your own adapter with your own seed and data. If you and a classmate ran the kit
    unchanged with the same seed, the results are equal without anyone copying: tell your
    instructor, choose your own seed, and train again.
    """
    folder = context.place(ADAPTER)
    if folder is None:
        raise ValueError("ADP010 passed without an adapter folder")
    traits = answer_traits(context.assignment, context.evidence).get(context.bound(ADAPTER))
    mine = registered(context.submission, read_adapter(context.submission, folder), traits)
    mates = [mate for mate in context.classmates if mate.student != mine.student]
    equal, near = [], {}
    for mate in mates:
        found = in_common(mine, mate, mates)
        if found.weights >= COPY_COSINE:
            equal.append(mate)
        elif found.beyond_chance:
            near[mate] = found.beyond_chance
    return _of_alike(mine.submitted_at, equal, near) if equal or near else passed(_ORIGINAL)


@check("INT002", evidence=(BEFORE,), measures=("found", "share"))
def trained_on_no_hidden_question(context: Context) -> Verdict:
    """The training data holds no questions kept for grading

    Why: A score on questions that were trained on measures memory and not learning. One or two
    equal questions are met by chance; many are not.

    Fix: Train on the public data and on examples that you wrote yourself. Your instructor looks
    at where these came from; nothing is taken off before that.
    """
    hidden = [answer.question for answer in context.read(BEFORE).answers]
    found: dict[str, list[int]] = {}
    questions: set[int] = set()
    given = _kit_data(context.assignment.topic)
    asked = _benchmark_questions(context)
    left = LEAK_MAX_BYTES
    for file in context.submission.files:
        if file.path.lower().endswith(_MAY_TRAIN) and file.sha256 not in given:
            own = asked.get(file.path, {})
            may_read, left = max(0, left), left - file.size
            for hit in leaks(context.submission.root / file.path, hidden, may_read):
                if _is_asked(own.get(hit.line, ""), hidden[hit.question]):
                    continue
                found.setdefault(file.path, []).append(hit.line)
                questions.add(hit.question)
    share = len(questions) / len(hidden)
    measures = {"found": len(questions), "share": share}
    if left < 0:
        return needs_review(
            "Your instructor looks at where the training questions come from.",
            f"Leave out data files: {LEAK_MAX_BYTES // MIB} MiB of text are searched by program.",
            note=f"{len(questions)} hidden questions stand in what was searched; "
            f"{-left / MIB:.0f} MiB more were not.",
            measures=measures,
        )
    if len(questions) < max(LEAK_MIN_QUESTIONS, LEAK_SHARE * len(hidden)):
        return passed("The questions are the student's own.", measures=measures)
    where = "; ".join(f"{path}: lines {_some(lines)}" for path, lines in found.items())
    return needs_review(
        "Your instructor looks at where the training questions come from.",
        note=f"{len(questions)} of {len(hidden)} hidden questions stand in {where}.",
        measures=measures,
    )


def _benchmark_questions(context: Context) -> Mapping[str, Mapping[int, str]]:
    """By file and line, the questions asked of models: a good benchmark meets many hidden ones.

    No other text in such a file is let pass: its name alone says nothing.
    """
    found = {}
    for id in {s.settings.get("questions_from") for s in context.assignment.evidence} - {None}:
        with suppress(FileRefused):  # two of them, or too large: then nothing of it is asked
            benchmark = read_benchmark(context.submission, context.assignment, str(id))
            if benchmark is not None:
                found[benchmark.path] = benchmark.asked
    return found


def _is_asked(own: str, hidden: str) -> bool:
    return f" {normalised(hidden)} " in f" {normalised(own)} "


@cache
def _kit_data(topic: str) -> frozenset[str]:
    """sha256 of the public files that come with the kit: to have them is not to train on them."""
    folder = resource("datasets", topic)
    return frozenset(sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.jsonl"))


def _some(lines: Sequence[int]) -> str:
    """The first few of these lines, and how many more there are."""
    shown = ", ".join(str(line) for line in lines[:10])
    return shown if len(lines) <= 10 else f"{shown} and {len(lines) - 10} more"


def registered(
    submission: Submission, adapter: AdapterFiles, traits: AnswerTraits | None = None
) -> Classmate:
    """The adapter of this submission as the class register is to know it."""
    space = row_space(adapter).tobytes()
    return Classmate(submission.student, submission.submitted_at, sketch(adapter), space, traits)


class InCommon(NamedTuple):
    """What two adapters have in common; each is 0 where it is not known of both.

    `weights` and `row_spaces` are cosines of their sketches. `logliks` is the lower bound of the
    correlation of their log-likelihoods. `same` of the `wrong` questions that both got wrong have
    one answer, which trainings of their own have with `probability`, or a smaller one.
    """

    weights: float
    row_spaces: float = 0.0
    logliks: float = 0.0
    same: int = 0
    wrong: int = 0
    probability: float = 1.0

    @property
    def beyond_chance(self) -> list[str]:
        """In words, what is more than trainings with seeds of their own ever had."""
        found = {
            f"weights {self.weights:.2f}": self.weights >= NEAR_COPY_COSINE,
            f"row spaces {self.row_spaces:.2f}": self.row_spaces >= COPY_ROW_SPACES,
            f"log-likelihoods {self.logliks:.2f}": self.logliks >= COPY_LOGLIKS,
            f"{self.same} of {self.wrong} wrong answers": self.probability < COPY_WRONG_P,
        }
        return [words for words, beyond in found.items() if beyond]


def in_common(mine: Classmate, mate: Classmate, mates: Sequence[Classmate]) -> InCommon:
    """What two adapters have in common, the same both ways; `mates` are the class.

    Only wrong answers are judged by the class, because hard questions have wrong answers that many
    give. Answers are compared where both were asked the same questions.
    """
    found = InCommon(_cosine(mine.sketch, mate.sketch))
    if mine.row_space and mate.row_space:
        one, other = (np.frombuffer(m, np.float16) for m in (mine.row_space, mate.row_space))
        if len(one) == len(other):  # not of a version with other sizes
            cosine = np.dot(one.astype(np.float32), other.astype(np.float32))
            found = found._replace(row_spaces=float(cosine))
    if not mine.traits or not mate.traits or mine.traits.asked != mate.traits.asked:
        return found
    same, wrong, probability = _wrong_in_common(mine, mate, mates)
    least = _least_correlation(mine.traits, mate.traits)
    return found._replace(logliks=least, same=same, wrong=wrong, probability=probability)


def _least_correlation(one: AnswerTraits, other: AnswerTraits) -> float:
    """What the correlation of the log-likelihoods is at least: three standard errors below the
    measured one, on Fisher's scale, so that few questions prove less."""
    x, y = (np.frombuffer(traits.logliks, np.float32) for traits in (one, other))
    if len(x) <= _FISHER_LOST:
        return 0.0
    measured = float(np.clip(np.dot(x, y), -_NEARLY_ONE, _NEARLY_ONE))
    return math.tanh(math.atanh(measured) - 3 / math.sqrt(len(x) - _FISHER_LOST))


def _wrong_in_common(
    mine: Classmate, mate: Classmate, mates: Sequence[Classmate]
) -> tuple[int, int, float]:
    """(questions that both got wrong alike, that both got wrong, probability of so many alike).

    A question's probability of one answer is the largest of COPY_WRONG_SHARE, the share of the
    others' wrong answers that are the same, and the share that this answer has of all wrong answers
    of either student, who may give it to everything. The tail of the sum of such unequal trials is
    at most that of a binomial of their mean (Hoeffding 1956), as in the generalised binomial test
    for copied answers (van der Linden and Sotaridona 2006).
    """
    x, y = _wrong(mine), _wrong(mate)
    both = (x > 0) & (y > 0)
    same, wrong = int((both & (x == y)).sum()), int(both.sum())
    if same <= COPY_WRONG_SHARE * wrong:
        return same, wrong, 1.0
    chances = np.full(len(x), COPY_WRONG_SHARE)
    for answers in (x, y):
        known, index, counts = np.unique(answers, return_inverse=True, return_counts=True)
        counts[known == 0] = 0
        chances = np.maximum(chances, counts[index] / counts.sum())
    pair = {mine.student, mate.student}
    others = [_wrong(m) for m in mates if m.student not in pair and _asked(m) == _asked(mine)]
    if others:
        theirs = np.array(others)
        were_wrong = (theirs > 0).sum(axis=0)
        for answers in (x, y):
            shares = (theirs == answers).sum(axis=0) / np.maximum(were_wrong, 1)
            chances = np.maximum(chances, np.where(were_wrong >= COPY_MIN_WRONG, shares, 0))
    from scipy.stats import binom  # half a second to import; only grading needs it

    return same, wrong, float(binom.sf(same - 1, wrong, chances[both].mean()))


def _asked(adapter: Classmate) -> str | None:
    return adapter.traits.asked if adapter.traits else None


def _wrong(adapter: Classmate) -> npt.NDArray[np.uint32]:
    return np.frombuffer(adapter.traits.wrong if adapter.traits else b"", np.uint32)


def answer_traits(
    assignment: Assignment, evidence: Mapping[str, Evidence]
) -> dict[str, AnswerTraits]:
    """By deliverable, the traits of the adapters that were asked the hidden questions."""
    hidden = [
        spec
        for spec in assignment.evidence
        if spec.kind == "predictions"
        and spec.settings.keys().isdisjoint(_OTHER_QUESTIONS)
        and spec.id in evidence
    ]
    answers = {spec.id: read(evidence[spec.id], Predictions).answers for spec in hidden}
    adapters = [spec for spec in hidden if spec.settings.get("adapter") is not None]
    bases = {s.settings.get("base"): answers[s.id] for s in hidden if s not in adapters}
    found = {}
    for spec in adapters:
        id = str(spec.settings["adapter"])
        base = bases.get(assignment.deliverable(id).base)
        if base is not None:
            found[id] = _traits(base, answers[spec.id])
    return found


def _traits(base: Sequence[Prediction], adapter: Sequence[Prediction]) -> AnswerTraits:
    """The traits of an adapter's answers beside those of its base to the same questions."""
    asked = json.dumps([[answer.id, answer.question, answer.reference] for answer in adapter])
    wrong = []
    for before, after in zip(base, adapter, strict=True):
        text = normalised(after.text)
        own = text not in ("", normalised(before.text), normalised(after.guess))
        own = own and not exact_match(after.text, after.reference)
        wrong.append(1 + int(sha256(text.encode()).hexdigest()[:7], 16) if own else 0)
    mine, bare = (
        np.log(_LOGLIK_FLOOR - np.minimum([answer.loglik for answer in answers], 0.0))
        for answers in (adapter, base)
    )
    mine, bare = mine - mine.mean(), bare - bare.mean()
    mine = mine - bare * (mine @ bare) / max(bare @ bare, _LOGLIK_FLOOR)
    size = np.linalg.norm(mine)
    return AnswerTraits(
        sha256(asked.encode()).hexdigest(),
        np.array(wrong, np.uint32).tobytes(),
        (mine / size if size else mine).astype(np.float32).tobytes(),
    )


def _of_alike(
    submitted_at: str | None, equal: Sequence[Classmate], near: Mapping[Classmate, Sequence[str]]
) -> Verdict:
    """The verdict on an adapter whose effect these classmates' adapters have, or have in part."""
    notes = [
        f"{what} the adapter of: "
        + ", ".join(f"{m.student} ({m.submitted_at or 'time not known'})" for m in mates)
        for what, mates in (("Same effect as", equal), ("Much in common with", near))
        if mates
    ]
    note = f"{'. '.join(notes)}. This one: {submitted_at or 'time not known'}."
    note += "".join(f" {m.student}: {', '.join(found)}." for m, found in near.items())
    mine = _time(submitted_at)
    theirs = [_time(mate.submitted_at) for mate in (*equal, *near)]
    if mine is not None and any(t is not None and t < mine for t in theirs[: len(equal)]):
        return failed(
            "This adapter has the same effect on the base as one that was submitted earlier.",
            "Train with your own seed and data. If you both ran the kit with the same seed, tell "
            "your instructor.",
            note=note,
        )
    if mine is not None and all(other is not None and mine < other for other in theirs):
        return passed(_ORIGINAL)  # word for word as without a copy: it changes no other result
    return needs_review("Your instructor looks at where this adapter comes from.", note=note)


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of two unit vectors, or 0 where one has no effect at all."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)

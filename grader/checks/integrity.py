"""INT: the work is the student's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256

from grader.assignment.benchmark import read_benchmark
from grader.checks.adapter import ADAPTER
from grader.checks.api.registry import (
    Classmate,
    Context,
    Verdict,
    check,
    failed,
    needs_review,
    passed,
)
from grader.checks.evaluation import BEFORE
from grader.core.constants import COPY_COSINE, LEAK_MIN_QUESTIONS, LEAK_SHARE, NEAR_COPY_COSINE
from grader.core.errors import FileRefused
from grader.core.resources import resource
from grader.models.adapter_files import read_adapter, sketch
from grader.topics.topic import normalised
from grader.training_data.examples.overlap import leaks

_MAY_TRAIN = (".jsonl", ".json", ".csv", ".tsv", ".txt")
_ORIGINAL = "No other adapter with the same effect was handed in before this one."


@check("INT001", deliverables=(ADAPTER,), needs=("ADP010",))
def adapter_is_not_a_copy(context: Context) -> Verdict:
    """The adapter is not a copy of a classmate's

    Why: Two trainings with different seeds or data never end with the same effect on the base, and
    one file under two names always does, however it is renamed, rescaled or saved in another
    precision. Of two equal adapters the one handed in first is taken as the original.

    Fix: Train your own adapter with your own seed and data. If you and a classmate ran the kit
    unchanged with the same seed, the results are equal without anyone copying: tell your
    instructor, choose your own seed, and train again.
    """
    folder = context.place(ADAPTER)
    if folder is None:
        raise ValueError("ADP010 passed without an adapter folder")
    mine = sketch(read_adapter(context.submission, folder))
    alike = [
        (mate, _cosine(mine, mate.sketch))
        for mate in context.classmates
        if mate.student != context.submission.student
    ]
    near = [mate for mate, cosine in alike if cosine >= NEAR_COPY_COSINE]
    if not near:
        return passed(_ORIGINAL)
    same = all(cosine >= COPY_COSINE for mate, cosine in alike if mate in near)
    return _of_equals(context.submission.submitted_at, near, same)


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
    for file in context.submission.files:
        if file.path.lower().endswith(_MAY_TRAIN) and file.sha256 not in given:
            own = asked.get(file.path, {})
            for hit in leaks(context.submission.root / file.path, hidden):
                if _is_asked(own.get(hit.line, ""), hidden[hit.question]):
                    continue
                found.setdefault(file.path, []).append(hit.line)
                questions.add(hit.question)
    share = len(questions) / len(hidden)
    measures = {"found": len(questions), "share": share}
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


def _of_equals(submitted_at: str | None, near: Sequence[Classmate], same: bool) -> Verdict:
    """The verdict on an adapter that these classmates' adapters equal, or nearly equal."""
    names = ", ".join(f"{m.student} ({m.submitted_at or 'time not known'})" for m in near)
    alike = "Same effect as" if same else "Nearly the same effect as"
    note = f"{alike} the adapter of: {names}. This one: {submitted_at or 'time not known'}."
    mine = _time(submitted_at)
    theirs = [_time(mate.submitted_at) for mate in near]
    later = mine is not None and any(other is not None and other < mine for other in theirs)
    if later and same:
        return failed(
            "This adapter has the same effect on the base as one that was handed in earlier.",
            "Train with your own seed and data. If you both ran the kit with the same seed, tell "
            "your instructor.",
            note=note,
        )
    if (
        mine is not None
        and not later
        and all(other is not None and mine < other for other in theirs)
    ):
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

"""What a student's program says in dspy_results.json that it found out: a claim, no evidence.

DSP006-010: the pairs that a student adds, the saved program, and the reported numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from grader.checks.api.context import Context, Verdict, failed, passed
from grader.checks.api.registry import check
from grader.checks.dspy_program import ENHANCED, ORIGINAL
from grader.checks.views.gain import correct
from grader.checks.views.program_models import counted_in
from grader.core.constants import CLAIM_TOLERANCE, EXTRA_PAIRS_AT_LEAST, MIB, PAIR_MAX_ANSWER_WORDS
from grader.core.errors import FileRefused
from grader.core.metrics import chance_apart, exact_match, mean, normalise
from grader.core.nouns import Submission
from grader.core.payloads import AddedPair
from grader.core.strict_json import StrictJsonError, loads
from grader.core.text import counted
from grader.intake.submission import read_file
from grader.topics import get_topic
from grader.topics.topic import SPLITS, Topic, normalised

RESULTS: Final = "dspy_results.json"
_ORIGINAL, _ENHANCED = "original", "enhanced"


class DspyResultsError(Exception):
    """There are no such results, or they cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class DspyResults:
    """Exact match of the original and the enhanced program, 0 to 1, on `questions` questions.

    `extra` is that of the enhanced program on the added pairs, None where it is not said, and so
    is the `model` that answered.
    """

    path: str
    questions: int
    before: float
    after: float
    extra: float | None
    model: str | None


def found_once(submission: Submission, name: str) -> str | None:
    """Where the file of this name lies; None where there is none. ResultsError for two."""
    places = [file.path for file in submission.files if file.path.rsplit("/", 1)[-1] == name]
    if len(places) > 1:
        raise DspyResultsError(f"There are {len(places)} files {name}; keep one.")
    return places[0] if places else None


def results_of(submission: Submission) -> DspyResults:
    """What was submitted: {"test_questions", "programs": {name: {"test": {"exact_match"}}}}.

    The original's name is "original"; the enhanced program is the last one whose name begins with
    "enhanced". Raises ResultsError.
    """
    path = found_once(submission, RESULTS)
    if path is None:
        raise DspyResultsError(f"There is no {RESULTS}.")
    try:
        value = loads(read_file(submission, path, MIB), max_bytes=MIB)
    except (StrictJsonError, FileRefused) as error:
        raise DspyResultsError(f"{RESULTS} cannot be read: {error}.") from error
    programs = value.get("programs") if isinstance(value, dict) else None
    questions = value.get("test_questions") if isinstance(value, dict) else None
    if not isinstance(programs, dict):
        raise DspyResultsError(f'{RESULTS} has no "programs".')
    if isinstance(questions, bool) or not isinstance(questions, int) or questions < 1:
        raise DspyResultsError(f'{RESULTS} does not say in "test_questions" how many were asked.')
    enhanced = [name for name in programs if name.startswith(_ENHANCED)]
    if _ORIGINAL not in programs or not enhanced:
        raise DspyResultsError(f'{RESULTS} has not both "original" and "enhanced" in "programs".')
    before = _share(programs[_ORIGINAL], "test")
    after = _share(programs[enhanced[-1]], "test")
    if before is None or after is None:
        raise DspyResultsError(f'{RESULTS} lacks a "test" with an "exact_match" from 0 to 1.')
    extra, model = _share(programs[enhanced[-1]], "extra"), value.get("model")
    named = model if isinstance(model, str) else None
    return DspyResults(path, questions, before, after, extra, named)


def _share(program: Any, on: str) -> float | None:
    scores = program.get(on) if isinstance(program, dict) else None
    share = scores.get("exact_match") if isinstance(scores, dict) else None
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        return None
    return float(share)


SAVED: Final = "dspy_program.json"
_PICKLES: Final = (".pkl", ".pickle", ".dill", ".joblib")
_ASKS: Final = re.compile(
    r"\?\s*$|^\s*(name|give|tell|list|state|explain|describe|define|translate|complete|write|"
    r"calculate|compute|find|how|what|which|who|whom|whose|when|where|why)\b",
    re.IGNORECASE,
)
_SECRET_STATE: Final = frozenset({"api_key", "api_base"})
_TESTED_MAY_DIFFER: Final = 1.001  # pair: one answer may go the other way on another machine


def _pairs(ctx: Context) -> Sequence[AddedPair]:
    """The pairs as the run gave them. It knows hidden questions: a student reads only whether
    there are five good ones."""
    run = ctx.read(ENHANCED)
    return run.on(run.models[0]).extra  # they are the same on each model


def _reported_on(ctx: Context, results: DspyResults) -> str:
    """The model that the student's numbers are held against: the one that they name, else the one
    that counts."""
    models = ctx.read(ENHANCED).models
    named = results.model if results.model in models else None
    return named or counted_in(ctx, ORIGINAL, ENHANCED).model


def _verdict_on_pairs(
    pairs: Sequence[AddedPair], bad: Sequence[str], claim: str, hint: str
) -> Verdict:
    """`bad` says of each pair that does not hold why; five must."""
    good = len(pairs) - len(bad)
    measures = {"pairs": len(pairs), "share": round(min(1, good / EXTRA_PAIRS_AT_LEAST), 3)}
    first = f"; {bad[0]}" if bad else ""
    exact = f"{good} of {counted(len(pairs), 'added pair')} {claim}{first}."
    enough = f"{EXTRA_PAIRS_AT_LEAST} added pairs {claim}."
    if good >= EXTRA_PAIRS_AT_LEAST:
        return passed(f"At least {enough}", exact=exact, measures=measures)
    return failed(f"Fewer than {enough}", hint, exact=exact, measures=measures)


@check("DSP006", evidence=(ENHANCED,), measures=("pairs", "share"))
def added_pairs_are_new(ctx: Context) -> Verdict:
    """The five added pairs are new

    Why: The pairs are there to see the program on something that it was not made for. A question
    of the public data, or another wording of one, shows nothing new.

    Fix: Write five pairs in EXTRA_EXAMPLES about things that neither the data nor the passages
    hold.
    """
    topic = get_topic(ctx.assignment.topic)
    public = {normalised(e.question) for split in SPLITS for e in topic.public(split)}
    seen: set[str] = set()
    bad = []
    for number, pair in enumerate(_pairs(ctx), 1):
        question = normalised(pair.question)
        if question in public:
            bad.append(f"the question of pair {number} stands in the public data")
        elif question in seen:
            bad.append(f"the question of pair {number} is there twice")
        elif _is_known_fact(topic, question, pair.expected):
            bad.append(f"pair {number} asks for a fact of the passages")
        seen.add(question)
    return _verdict_on_pairs(
        _pairs(ctx), bad, "are new", "Write added pairs on a topic that the data does not cover."
    )


def _is_known_fact(topic: Topic, question: str, answer: str) -> bool:
    padded = f" {question} "
    return any(
        f" {normalised(subject)} " in padded
        and any(exact_match(answer, value) for value in facts.values())
        for subject, facts in topic.facts.items()
    )


@check("DSP007", evidence=(ENHANCED,), measures=("pairs", "share"))
def added_pairs_are_valid(ctx: Context) -> Verdict:
    """The five added pairs are questions with short answers

    Why: Only a question with one short answer can be scored. An answer that stands in its question
    needs no model.

    Fix: Give each pair in EXTRA_EXAMPLES a question, and an answer of a few words that is not in
    the question.
    """
    faults = [_fault(pair) for pair in _pairs(ctx)]
    bad = [f"pair {number} {why}" for number, why in enumerate(faults, 1) if why]
    return _verdict_on_pairs(
        _pairs(ctx),
        bad,
        "can be scored",
        "Give each added pair a question and its shortest correct answer.",
    )


def _fault(pair: AddedPair) -> str:
    question, answer = pair.question, pair.expected
    if len(normalised(question).split()) < 3 or not _ASKS.search(question):
        return "asks nothing"
    if not answer.strip():
        return "has no answer"
    if len(answer.split()) > PAIR_MAX_ANSWER_WORDS:
        return f"has an answer of more than {PAIR_MAX_ANSWER_WORDS} words"
    if f" {normalised(answer)} " in f" {normalised(question)} " and " or " not in question:
        return "holds its own answer"
    return ""


@check(
    "DSP008",
    needs=("DSP006",),
    evidence=(ORIGINAL, ENHANCED),
    measures=("claimed", "measured", "pairs"),
)
def added_pairs_were_tested(ctx: Context) -> Verdict:
    """The added pairs were tested

    Why: A pair that was never asked says nothing. dspy_results.json says how many of them the
    program answers; the grader asks the program the same pairs and compares, on the model that the
    file names.

    Fix: Run dspy_enhanced.py to its end, so that it tests EXTRA_EXAMPLES, and submit the
    dspy_results.json that it writes.
    """
    hint = "Run dspy_enhanced.py again, and submit what it writes."
    try:
        results = results_of(ctx.submission)
    except DspyResultsError as error:
        return failed(f"{error}", hint)
    if results.extra is None:
        text = "dspy_results.json does not say how many of the added pairs were right."
        return failed(text, hint, path=results.path)
    pairs = ctx.read(ENHANCED).on(_reported_on(ctx, results)).extra
    right = [_is_right(pair) for pair in pairs]
    apart = abs(results.extra - mean(right)) * len(right)
    measures = {"claimed": results.extra, "measured": mean(right), "pairs": len(pairs)}
    exact = (
        f"Of {counted(len(pairs), 'added pair')} it reports {results.extra:.0%} right; asked by "
        f"the grader, {mean(right):.0%} are."
    )
    if apart <= _TESTED_MAY_DIFFER:
        text = "The reported share of right answers agrees with the measured one."
        return passed(text, exact=exact, measures=measures)
    text = f"It reports {results.extra:.0%} right; asked by the grader, another share is."
    return failed(text, hint, path=results.path, exact=exact, measures=measures)


def _is_right(pair: AddedPair) -> float:
    wanted = [pair.expected, *pair.aliases]
    return float(any(normalise(one) and exact_match(pair.text, one) for one in wanted))


@check("DSP009", measures=())
def saved_program_is_plain_json(ctx: Context) -> Verdict:
    """A saved program is JSON state only

    Why: Loading a pickle runs whatever stands in it. A program's state (instructions and examples)
    fits in plain JSON, which can be read, compared and loaded without danger. Keys do not belong
    in it.

    Fix: `program.save("dspy_program.json")`, which writes the state alone; remove every pickle, and
    every folder that `save_program=True` has written.
    """
    paths = [file.path for file in ctx.submission.files]
    pickles = [path for path in paths if path.lower().endswith(_PICKLES)]
    hint = "Save the program's state as JSON, under a name that ends in .json."
    if pickles:
        text = f"{counted(len(pickles), 'pickle')} among the files; the first is {pickles[0]}."
        return failed(text, hint, path=pickles[0])
    try:
        path = found_once(ctx.submission, SAVED)
    except DspyResultsError as error:
        return failed(f"{error}", hint)
    if path is None:
        return passed("No program is saved, and none has to be.")
    try:
        value = loads(read_file(ctx.submission, path, MIB), max_bytes=MIB)
    except (StrictJsonError, FileRefused) as error:
        return failed(f"{path} cannot be read: {error}", hint, path=path)
    if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
        return failed(f"{path} is not the state of a program.", hint, path=path)
    secrets = sorted(_keys(value) & _SECRET_STATE)
    if secrets:
        return failed(f"{path} holds {', '.join(secrets)}.", f"Remove that from {path}.", path=path)
    return passed("The saved program is plain JSON.")


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(_keys(one) for one in value.values()))
    if isinstance(value, list):
        return set().union(*(_keys(one) for one in value))
    return set()


@check(
    "DSP010",
    evidence=(ORIGINAL, ENHANCED),
    measures=("claimed_before", "claimed_after", "tolerance"),
)
def reported_numbers_agree(ctx: Context) -> Verdict:
    """The numbers that the student reports agree with the grader's

    Why: A reported number that cannot be reproduced misleads its readers, its author first. The
    public test set and the hidden questions differ, so honest numbers may differ by what chance
    allows, and a little more. They are held against those of the model that the file names.

    Fix: Run dspy_enhanced.py with the program that you submit; report what it writes to
    dspy_results.json, and hand that in too.
    """
    hint = "Run dspy_enhanced.py again, report its numbers, and submit dspy_results.json."
    try:
        results = results_of(ctx.submission)
    except DspyResultsError as error:
        return failed(f"{error}", hint)
    measures = {
        "claimed_before": results.before,
        "claimed_after": results.after,
        "tolerance": CLAIM_TOLERANCE,
    }
    off = _apart(ctx, results)
    if off:
        text = (
            f"The reported exact match of the {' and the '.join(off)} program is further from the "
            "measured one than chance allows."
        )
        exact = f"Exact match {'; '.join(off.values())}; more apart than chance allows."
        return failed(text, hint, path=results.path, exact=exact, measures=measures)
    return passed("The reported exact match agrees with the measured one.", measures=measures)


def _apart(ctx: Context, results: DspyResults) -> dict[str, str]:
    """The programs whose reported number is too far from ours, with both numbers in words."""
    off = {}
    model = _reported_on(ctx, results)
    for name, claim, role in (
        ("original", results.before, ORIGINAL),
        ("enhanced", results.after, ENHANCED),
    ):
        right = correct(ctx.read(role).on(model).answers)
        luck = chance_apart(claim, results.questions, mean(right), len(right))
        if abs(claim - mean(right)) > CLAIM_TOLERANCE + luck:
            off[name] = f"{name}: {claim:.0%} reported, {mean(right):.0%} measured"
    return off

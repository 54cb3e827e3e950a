"""API02x: the test set that a student writes for the domain, from its file alone.

LAY05x: bonus challenges that a student took up, with the test set that they are judged on.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from grader.checks.api.context import (
    Context,
    EvidenceRole,
    Verdict,
    failed,
    not_looked_at,
    passed,
    voluntary,
)
from grader.checks.api.registry import check
from grader.checks.views.attempted import part_left_out
from grader.core.constants import COURSE_DATA_MAX_BYTES, HIDDEN_MIN_QUESTIONS
from grader.core.errors import FileRefused, GraderFault
from grader.core.files import resource
from grader.core.nouns import Outcome, Severity
from grader.core.payloads import ProgramRun
from grader.core.text import counted
from grader.intake.submission import read_file, refuse_larger
from grader.training_data.examples.overlap import overlap
from grader.training_data.read.examples import Example, read_examples
from grader.training_data.read.fingerprint import folded
from grader.training_data.read.lines import lines
from grader.training_data.rules.rule import quoted

TEST_SET: Final = "openai_test"
DATA: Final = "openai_data"

_SHAPE: Final = (
    "Each line of the test set has the form of the training data: "
    '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}.'
)
_WORD: Final = re.compile(r"[^\W\d_]{4,}")  # shorter words belong to no domain
_EVERYWHERE: Final = frozenset(
    _WORD.findall(
        "about answer called does from give given have into many much name question tell than "
        "that their them then there these they this those what when where which whose will with "
        "word words would your"
    )
)
_SAME_DOMAIN: Final = 0.5  # of the questions; a domain's are worded alike, another's hardly ever


@dataclass(frozen=True, slots=True)
class TestQuestion:
    """One question of the test set, and the answer that it expects."""

    line: int
    asked: str
    answer: str


def questions_of(context: Context) -> list[TestQuestion]:
    """The questions of the test set that is submitted, in order.

    Raises FileRefused for two test sets, and for one that is too large.
    """
    return [TestQuestion(e.line, e.prompt, e.answer) for e in examples_in(context, TEST_SET)]


@check("API020", deliverables=(TEST_SET,))
def has_readable_test_set(context: Context) -> Verdict:
    """The domain's test set is there and can be read

    Why: Only questions that the model was not trained on show what it learned. They stand in a
    file, so that anyone can ask them again.

    Fix: Submit openai_test.jsonl. Each line has the form of the training data: the question as
    the user's message, and the expected answer as the assistant's.
    """
    try:
        path = context.place(TEST_SET)
        if path is not None:
            refuse_larger(context.submission, path, COURSE_DATA_MAX_BYTES)
    except FileRefused as error:
        return failed(error.message, error.hint)
    if path is None:
        if (left_out := part_left_out(context, context.deliverable(TEST_SET))) is not None:
            return left_out
        return failed("There is no test set.", f"Submit openai_test.jsonl. {_SHAPE}")
    place = context.submission.root / path
    written = [line.number for line in lines(place) if line.raw.strip()]
    usable = {example.line for example in read_examples(place)}
    wrong = [number for number in written if number not in usable]
    if not written:
        return failed(f"{path} holds no line.", _SHAPE, path=path)
    if wrong:
        found = f"{counted(len(wrong), 'line')} of {len(written)} cannot be used"
        return failed(f"{found}, first line {wrong[0]}.", _SHAPE, path=path, line=wrong[0])
    return passed(f"{counted(len(written), 'question')} can be read.")


@check("API021", deliverables=(TEST_SET,), needs=("API020",), measures=("questions", "share"))
def enough_questions_of(context: Context) -> Verdict:
    """The test set has enough questions of its own, each with its answer

    Why: A score over four questions moves by 25 points with each of them: it says nothing. A
    question that stands twice counts twice, and one without an expected answer cannot be scored.

    Fix: Write at least 10 different questions, each with the answer that you expect.
    """
    questions = questions_of(context)
    answered = [q for q in questions if q.asked.strip() and q.answer.strip()]
    different = len({folded(q.asked) for q in answered})
    share = min(1.0, different / HIDDEN_MIN_QUESTIONS)
    measures = {"questions": different, "share": round(share, 3)}
    said = f"{counted(different, 'different question')} with an answer"
    left_out = len(questions) - different
    if different >= HIDDEN_MIN_QUESTIONS and not left_out:
        return passed(f"{said}.", measures=measures)
    if left_out:
        said += f"; {counted(left_out, 'line')} repeat a question or have no answer"
    hint = f"Write at least {HIDDEN_MIN_QUESTIONS} different test questions, each with its answer."
    return failed(f"{said}.", hint, measures=measures)


@check(
    "API022",
    deliverables=(
        TEST_SET,
        DATA,
    ),
    needs=("LAY022", "API020"),
    measures=("overlapping", "share"),
)
def keeps_test_and_training_apart(context: Context) -> Verdict:
    """No test question stands in the training data

    Why: A model repeats what it was trained on. A score on those questions shows its memory, and
    every tuned model looks good on it.

    Fix: Replace the test questions that also stand in the training data, word for word or nearly:
    `finegrade data check openai_train.jsonl --against openai_test.jsonl` lists them.
    """
    tests = examples_in(context, TEST_SET)
    try:
        found = list(overlap(tests, examples_in(context, DATA)))
    except FileRefused as refused:
        return not_looked_at(refused)
    share = 1 - len(found) / len(tests)
    measures = {"overlapping": len(found), "share": round(share, 3)}
    if not found:
        return passed("No test question stands in the training data.", measures=measures)
    return failed(
        f"{counted(len(found), 'test question')} of {len(tests)} also in the training data; "
        f"the first: {found[0].message}.",
        "Write test questions on the same domain that are not in the training data.",
        path=context.place(TEST_SET),
        line=found[0].line,
        measures=measures,
    )


@check(
    "API023",
    deliverables=(
        TEST_SET,
        DATA,
    ),
    needs=("LAY022", "API020"),
    measures=("share",),
)
def asks_about_its_domain(context: Context) -> Verdict:
    """The test questions are on the domain that was trained

    Why: Fine-tuning on one domain teaches that domain. Questions on another one show no gain, and
    prove nothing about the training.

    Fix: Ask for the same kinds of things as the training data does, about other subjects. Half of
    the questions have to share a word with the training data; common words do not count.
    """
    try:
        trained = examples_in(context, DATA)
    except FileRefused as refused:
        return not_looked_at(refused)
    known = set[str]().union(*(_words(f"{e.prompt} {e.answer}") for e in trained))
    tests = examples_in(context, TEST_SET)
    apart = [e for e in tests if not known & _words(f"{e.prompt} {e.answer}")]
    share = 1 - len(apart) / len(tests)
    measures = {"share": round(share, 3)}
    if share >= _SAME_DOMAIN:
        return passed(f"{share:.0%} of the questions share its words.", measures=measures)
    return failed(
        f"Only {share:.0%} of the test questions share a word with the training data; "
        f"{quoted(apart[0].prompt)} does not.",
        "Let the test questions ask about what the training data is about.",
        path=context.place(TEST_SET),
        line=apart[0].line,
        measures=measures,
    )


def examples_in(context: Context, role: str) -> list[Example]:
    """The usable examples of a deliverable; none where it is not there. Raises FileRefused."""
    path = context.place(role)
    if path is None:
        return []
    refuse_larger(context.submission, path, COURSE_DATA_MAX_BYTES)
    return list(read_examples(context.submission.root / path))


def _words(text: str) -> set[str]:
    return set(_WORD.findall(folded(text))) - _EVERYWHERE


HYBRID: Final = EvidenceRole("hybrid_ok", ProgramRun)
DISTILLATION: Final = EvidenceRole("distill_ok", ProgramRun)
"""Runs of the script, with nothing going wrong."""

_HYBRID_SCRIPT, _DISTILLATION_SCRIPT = "dspy_hybrid", "distill"


@check(
    "LAY050",
    deliverables=(
        _HYBRID_SCRIPT,
        TEST_SET,
    ),
    severity=Severity.WARNING,
)
def hybrid_can_be_run(context: Context) -> Verdict:
    """The hybrid is there, with the test set it is judged on

    Why: This challenge is voluntary: leaving it out, or leaving the kit's file as it is, costs
    nothing. The grader runs the script and judges it by its answers to openai_test.jsonl.

    Fix: Submit dspy_hybrid.py, and openai_test.jsonl with at least 10 different questions, each
    with its answer.
    """
    return _ready(context, _HYBRID_SCRIPT)


@check(
    "LAY051",
    deliverables=(
        _DISTILLATION_SCRIPT,
        TEST_SET,
    ),
    severity=Severity.WARNING,
)
def distillation_can_be_run(context: Context) -> Verdict:
    """The distillation is there, with the test set it is judged on

    Why: This challenge is voluntary: leaving it out, or leaving the kit's file as it is, costs
    nothing. The grader runs the script and judges it by its answers to openai_test.jsonl.

    Fix: Submit distill.py, and openai_test.jsonl with at least 10 different questions, each with
    its answer.
    """
    return _ready(context, _DISTILLATION_SCRIPT)


_SUBMIT_TEST_SET: Final = (
    "Submit openai_test.jsonl with at least 10 different questions, each with its answer."
)


def _ready(context: Context, script: str) -> Verdict:
    try:
        path = context.place(script)
    except FileRefused as error:
        return failed(error.message, error.hint)
    if path is None or _is_untouched(context, script, path):
        return voluntary()
    for about_the_test_set in (has_readable_test_set, enough_questions_of):
        found = about_the_test_set(context)
        if found.outcome is not Outcome.PASS:
            where, hint = found.location, found.hint or _SUBMIT_TEST_SET
            return failed(found.message, hint, path=where.path, line=where.line)
    return passed("Everything is there.")


def _is_untouched(context: Context, script: str, path: str) -> bool:
    """Whether this is the kit's own file, white space aside."""
    runs = [spec.settings for spec in context.assignment.evidence]
    given = [run.get("given") for run in runs if run.get("script") == context.bound(script)]
    with suppress(GraderFault):  # no such kit: then it is the student's
        if given and given[0] is not None:
            ours = resource("starter", given[0].partition("/")[0], path.rsplit("/", 1)[-1])
            most = 2 * ours.stat().st_size  # more is no white space alone
            with suppress(FileRefused):
                theirs = read_file(context.submission, path, most)
                return ours.read_bytes().split() == theirs.split()
    return False

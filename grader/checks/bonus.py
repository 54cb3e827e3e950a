"""LAY05x: bonus challenges that a student took up, with the test set that they are judged on."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from grader.checks.domain_test import enough_questions_of, has_readable_test_set
from grader.checks.registry import Context, Verdict, check, failed, passed, voluntary
from grader.errors import FileRefused, GraderFault
from grader.intake import locate
from grader.model import Outcome, Severity
from grader.resources import resource

HYBRID, DISTILLATION = "hybrid_ok", "distill_ok"
"""Ids of evidence: a run of the script, with nothing going wrong."""

_SCRIPTS: Final = {HYBRID: "dspy_hybrid", DISTILLATION: "distill"}


@check("LAY050", severity=Severity.WARNING)
def hybrid_can_be_run(context: Context) -> Verdict:
    """The hybrid is there, with the test set it is judged on

    Why: This challenge is voluntary: leaving it out, or leaving the kit's file as it is, costs
    nothing. The grader runs the script and judges it by its answers to openai_test.jsonl.

    Fix: Hand in dspy_hybrid.py, and openai_test.jsonl with at least 10 different questions, each
    with its answer.
    """
    return _ready(context, HYBRID)


@check("LAY051", severity=Severity.WARNING)
def distillation_can_be_run(context: Context) -> Verdict:
    """The distillation is there, with the test set it is judged on

    Why: This challenge is voluntary: leaving it out, or leaving the kit's file as it is, costs
    nothing. The grader runs the script and judges it by its answers to openai_test.jsonl.

    Fix: Hand in distill.py, and openai_test.jsonl with at least 10 different questions, each with
    its answer.
    """
    return _ready(context, DISTILLATION)


def _ready(context: Context, evidence: str) -> Verdict:
    try:
        path = locate(context.submission, context.assignment.deliverable(_SCRIPTS[evidence]))
    except FileRefused as error:
        return failed(error.message, error.hint)
    if path is None or _is_untouched(context, evidence, path):
        return voluntary()
    for about_the_test_set in (has_readable_test_set, enough_questions_of):
        found = about_the_test_set(context)
        if found.outcome is not Outcome.PASS:
            where = found.location
            return failed(found.message, found.hint, path=where.path, line=where.line)
    return passed("Everything is there.")


def _is_untouched(context: Context, evidence: str, path: str) -> bool:
    """Whether this is the kit's own file, white space aside."""
    given = [spec.given for spec in context.assignment.evidence if spec.id == evidence]
    with suppress(GraderFault):  # no such kit: then it is the student's
        if given and given[0] is not None:
            ours = resource("starter", given[0].partition("/")[0], path.rsplit("/", 1)[-1])
            theirs = context.submission.root / path
            return ours.read_bytes().split() == theirs.read_bytes().split()
    return False

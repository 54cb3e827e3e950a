"""Part 2 in tests: a submission of a script and data, and what a check finds in it."""

from __future__ import annotations

from pathlib import Path

from grader.assignment.load import load_assignment
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Context
from grader.checks.api.registry import check_of, run_check
from grader.core.nouns import Evidence, Finding, Outcome
from grader.intake.find import submission_at
from grader.intake.submission import take_in
from support.paths import EXPERTS

PART2 = EXPERTS / "part2.yaml"


def context(folder: Path, train: str | None, test: str | None) -> Context:
    """A submission of a script and these data files."""
    home = folder / "s01"
    home.mkdir()
    (home / "openai_domain_finetune.py").write_text("print('hello')\n")
    for name, text in (("openai_train.jsonl", train), ("openai_test.jsonl", test)):
        if text is not None:
            (home / name).write_text(text)
    found = submission_at(home)
    assignment = load_assignment(PART2)
    return Context(assignment, take_in(found, folder / "work", assignment.deliverables), {})


def finding(code: str, submitted: Context, evidence: Evidence | None = None) -> Finding:
    """What the check finds, where this was seen in every scenario that it reads."""
    check = check_of(code, submitted.assignment)
    given = {} if evidence is None else dict.fromkeys(check.evidence_ids, evidence)
    ctx = Context(submitted.assignment, submitted.submission, given)
    earlier: dict[str, Finding] = {}
    for needed in ("LAY022", "API020"):
        earlier[needed] = run_check(check_of(needed, ctx.assignment), ctx, earlier, {})
    result = run_check(check, ctx, earlier, {})
    assert result.outcome is not Outcome.ERROR, result.note
    return result


def share(found: Finding) -> float:
    """The share of what was asked for that holds; all of it holds where the check passed."""
    value = found.measures["share"]
    assert isinstance(value, float)
    assert (value == 1.0) == (found.outcome is Outcome.PASS)
    return value

"""Every code has an example that passes and one that fails, and each does.

`tests/fixtures/<CODE>/{pass,fail}/` is a small class: each folder or archive in it is a submission.
In `pass` all of them satisfy the code; in `fail` at least one does not.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.assignment import load_assignment
from grader.checks import adapter, integrity, layout
from grader.checks.registry import Check, Classmate, Context, all_checks, run_check
from grader.errors import FileRefused, IntakeError
from grader.intake import find_submissions, locate, take_in
from grader.model import Assignment, Finding, Outcome, Submission
from grader.predict.adapter_files import read_adapter, sketch

FIXTURES = Path(__file__).parent / "fixtures"
MODULES = {module.__name__ for module in (adapter, integrity, layout)}
CODES = [code for code, c in all_checks().items() if c.function.__module__ in MODULES]


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return load_assignment("llm-methods")


def _submissions(folder: Path, work: Path) -> tuple[list[Submission], list[IntakeError]]:
    taken, refused = [], []
    for found in find_submissions([folder]):
        try:
            taken.append(take_in(found, work))
        except IntakeError as error:
            refused.append(error)
    return taken, refused


def _classmates(submissions: list[Submission], assignment: Assignment) -> tuple[Classmate, ...]:
    mates = []
    for one in submissions:
        try:
            folder = locate(one, assignment.deliverable("adapter"))
            if folder is not None:
                adapter = read_adapter(one, folder)
                mates.append(Classmate(one.student, one.submitted_at, sketch(adapter)))
        except FileRefused:
            continue
    return tuple(mates)


def _with_its_needs(check: Check, context: Context) -> dict[str, Finding]:
    """Findings of the check and all it needs, each run after what it needs itself."""
    findings: dict[str, Finding] = {}

    def run(code: str) -> None:
        for needed in all_checks()[code].needs:
            run(needed)
        if code not in findings:
            findings[code] = run_check(all_checks()[code], context, findings, {})

    run(check.code)
    return findings


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.FAIL])
@pytest.mark.parametrize("code", CODES)
def test_the_example_shows_what_it_says(
    code: str, outcome: Outcome, assignment: Assignment, tmp_path: Path
) -> None:
    folder = FIXTURES / code / outcome
    assert folder.is_dir(), f"{code} has no example that is to {outcome}"
    taken, refused = _submissions(folder, tmp_path)
    mates = _classmates(taken, assignment)
    seen = []
    for submission in taken:
        context = Context(assignment, submission, {}, mates)
        findings = _with_its_needs(all_checks()[code], context)
        seen.append(findings[code].outcome)
        before = [f for f in findings.values() if f.code != code]
        assert all(f.outcome is Outcome.PASS for f in before), "only this code may fail"
    codes_refused = [error.code for error in refused]
    if outcome is Outcome.PASS:
        assert seen
        assert set(seen) == {Outcome.PASS}
        assert not codes_refused
    else:
        assert set(codes_refused) <= {code}
        assert codes_refused or Outcome.FAIL in seen

"""Training data that is submitted."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.paths import SOLUTION

from grader.assignment.load import load_assignment
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Context
from grader.checks.api.registry import in_order, run_check
from grader.core.nouns import Finding, Outcome
from grader.intake.find import FoundSubmission
from grader.intake.submission import take_in

ASSIGNMENT = load_assignment("llm-methods")


def judged(folder: Path) -> dict[str, Finding]:
    """What all checks say that need no evidence."""
    context = Context(
        ASSIGNMENT, take_in(FoundSubmission("s1", folder), folder, ASSIGNMENT.deliverables), {}
    )
    findings: dict[str, Finding] = {}
    for check in in_order(ASSIGNMENT.refs, ASSIGNMENT):
        findings[check.code] = run_check(check, context, findings, {})
    return findings


def test_a_dataset_that_is_there_twice_is_not_looked_at(tmp_path: Path) -> None:
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "openai_train.jsonl").write_text("no JSON\n" * 20)
    findings = judged(tmp_path)
    rules = [finding for code, finding in findings.items() if code.startswith("JSL")]
    assert {finding.outcome for finding in rules} == {Outcome.SKIP}
    assert findings["LAY002"].outcome is Outcome.FAIL
    assert all(findings["LAY002"].message in finding.message for finding in rules)
    assert all(finding.hint == findings["LAY002"].hint for finding in rules)


@pytest.mark.parametrize("deliverable", [d.id for d in ASSIGNMENT.deliverables])
def test_what_is_submitted_twice_is_never_taken_for_a_fault_of_ours(
    deliverable: str, tmp_path: Path
) -> None:
    for path in SOLUTION.rglob("*"):
        if path.is_file() and path.stat().st_size < 100_000:
            place = tmp_path / path.relative_to(SOLUTION)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    name = ASSIGNMENT.deliverable(deliverable).paths[0]
    for folder in ("old", "new"):
        place = tmp_path / folder / name
        place = place / "adapter_config.json" if name.endswith("/") else place
        place.parent.mkdir(parents=True)
        original = SOLUTION / name
        place.write_bytes(original.read_bytes() if original.is_file() else b"{}")
    (tmp_path / name).unlink(missing_ok=True)
    findings = judged(tmp_path)
    assert findings["LAY002"].outcome is Outcome.FAIL
    broken = {code: f.note for code, f in findings.items() if f.outcome is Outcome.ERROR}
    assert broken == {}

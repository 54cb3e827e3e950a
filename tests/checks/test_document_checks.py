"""Written work: what stops a person from reading it is said, and costs that work alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.written_work import text, unread

from grader.assignment.load import load_assignment
from grader.assignment.rubric import score
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Context
from grader.checks.api.registry import all_checks, in_order, run_check
from grader.core.nouns import Evidence, Finding, Outcome, Severity
from grader.intake.find import submission_at
from grader.intake.submission import take_in

REFLECTION = {"reflection_text": text("reflection.md", "word " * 300)}
ANALYSIS = {"analysis_text": text("comparative_analysis.pdf", "word " * 900, pages=2)}


def _context(folder: Path, evidence: dict[str, Evidence]) -> Context:
    (folder / "s01").mkdir()
    for name in ("comparative_analysis.pdf", "reflection.md"):
        (folder / "s01" / name).write_text("Not read here.\n")
    found = submission_at(folder / "s01")
    assignment = load_assignment("llm-methods")
    return Context(assignment, take_in(found, folder, assignment.deliverables), evidence)


def judged(folder: Path, evidence: dict[str, Evidence], **missing: str) -> dict[str, Finding]:
    """All findings on an analysis and a reflection, of which this was read."""
    context = _context(folder, evidence)
    findings: dict[str, Finding] = {}
    for check in in_order(context.assignment.refs, context.assignment):
        findings[check.code] = run_check(check, context, findings, missing)
    return findings


def points(findings: dict[str, Finding]) -> dict[str, float | None]:
    """What the written work earns where both parts that it compares are complete."""
    complete = replace(findings["LAY003"], outcome=Outcome.PASS)
    known = [*(f for f in findings.values() if f.code != "LAY003"), complete]
    scores = {s.id: s.points for s in score(load_assignment("llm-methods"), known)}
    return {id: scores[id] for id in ("analysis", "analysis_clear", "reflection")}


def test_what_was_read_is_counted_and_waits_for_a_person(tmp_path: Path) -> None:
    notes = ("Pages with white or invisible text, which is in the text: 1.",)
    report = text("comparative_analysis.pdf", "Two words. " * 450, pages=2, notes=notes)
    findings = judged(tmp_path, {**REFLECTION, "analysis_text": report})
    assert findings["DOC001"].measures == {"words": 900, "pages": 2}
    assert "900 words on 2 pages" in findings["DOC001"].message
    assert findings["DOC001"].note == notes[0]
    assert "white" not in findings["DOC001"].message
    assert points(findings) == {"analysis": None, "analysis_clear": None, "reflection": None}


@pytest.mark.parametrize("code", ["DOC101", "DOC102", "DOC103", "DOC104", "DOC105", "LAY104"])
def test_an_unreadable_document_costs_what_hangs_on_it_and_nothing_else(
    code: str, tmp_path: Path
) -> None:
    findings = judged(tmp_path, {**ANALYSIS, "reflection_text": unread("reflection.pdf", code)})
    assert findings["DOC002"].outcome is Outcome.FAIL
    assert code in findings["DOC002"].message
    assert findings["DOC002"].hint == "Export it again."
    failed = {f.code for f in findings.values() if f.outcome is Outcome.FAIL}
    assert failed & {f"DOC10{n}" for n in range(1, 6)} == {code} - {"LAY104"}
    assert findings["DOC011"].outcome is Outcome.SKIP
    assert points(findings) == {"analysis": None, "analysis_clear": None, "reflection": 0}


def test_a_machine_that_cannot_read_it_costs_nothing(tmp_path: Path) -> None:
    findings = judged(tmp_path, REFLECTION, analysis_text="No sandbox works here.")
    assert findings["DOC001"].outcome is Outcome.ERROR
    assert findings["DOC101"].outcome is Outcome.PASS
    assert points(findings)["analysis"] is None


def test_what_is_read_later_says_so(tmp_path: Path) -> None:
    findings = judged(tmp_path, REFLECTION)
    assert findings["DOC001"].outcome is Outcome.REVIEW
    assert findings["DOC001"].message.startswith("PDF and Word files are read")
    assert findings["DOC002"].outcome is Outcome.PASS


def test_work_that_is_not_there_breaks_no_rule_on_documents(tmp_path: Path) -> None:
    findings = judged(tmp_path, {})
    assert findings["DOC101"].outcome is Outcome.SKIP
    assert findings["DOC004"].outcome is Outcome.SKIP


@pytest.mark.parametrize(
    ("words", "holds"), [(399, False), (400, True), (2400, True), (2401, False)]
)
def test_length_is_counted_in_words_and_costs_nothing(
    words: int, holds: bool, tmp_path: Path
) -> None:
    says = "| don't | \u2014 |\n|---|---|\n" * words
    findings = judged(tmp_path, {"analysis_text": text("comparative_analysis.md", says)})
    assert (findings["DOC010"].outcome is Outcome.PASS) == holds
    assert findings["DOC010"].severity is Severity.NOTE
    assert points(findings)["analysis"] is None


def test_a_key_in_a_pdf_is_found_too(tmp_path: Path) -> None:
    key = "sk-" + "aB3dE5gH7jK9mN1pQ3sT5vW7"
    report = text("comparative_analysis.pdf", f"My key: {key}")
    context = _context(tmp_path, {"analysis_text": report})
    found = all_checks()["SRC010"].function(context)
    assert found.outcome is Outcome.FAIL
    assert found.message.startswith("The text of 'comparative_analysis.pdf'")
    assert key not in found.message

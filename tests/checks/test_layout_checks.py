"""Layout: what is missing is named, with what came close."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from grader.assignment.load import load_assignment
from grader.checks.api import intake_faults
from grader.checks.api.context import Context
from grader.checks.api.registry import all_checks, check_of
from grader.core.nouns import Assignment, Deliverable, Finding, Outcome
from grader.intake.find import FoundSubmission
from grader.intake.submission import take_in

ESSAY = Deliverable("essay", "Essay", ("essay.md",))


def judge(code: str, tmp_path: Path, *names: str, assignment: Assignment | None = None) -> Finding:
    for name in names:
        path = tmp_path / "s01" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("n\n")
    assignment = assignment or load_assignment("llm-methods")
    found = FoundSubmission("s01", tmp_path / "s01")
    submission = take_in(found, tmp_path, assignment.deliverables)
    return check_of(code, assignment).judge(Context(assignment, submission, {}))


def test_a_missing_file_is_named_with_what_came_close(tmp_path: Path) -> None:
    finding = judge("LAY010", tmp_path, "dspy_enhanced.py", "dspy_reprot.md")
    assert finding.outcome is Outcome.FAIL
    assert "dspy_report.md, dspy_report.pdf, dspy_report.docx" in finding.message
    assert "dspy_reprot.md" in finding.message
    assert "dspy_enhanced" not in finding.message
    assert "dspy_report.md" in finding.hint


def test_nothing_like_it_is_said_plainly(tmp_path: Path) -> None:
    finding = judge("LAY041", tmp_path, "inference.py", "x.txt")
    assert "nothing like it was found" in finding.message


def test_another_format_and_another_folder_are_found(tmp_path: Path) -> None:
    finding = judge("LAY040", tmp_path, "work/comparative_analysis.pdf", "x.txt")
    assert finding.outcome is Outcome.PASS


def test_a_folder_is_looked_for_as_a_folder(tmp_path: Path) -> None:
    names = ["huggingface_custom_lora.py", "inference.py", "metrics.json"]
    assert judge("LAY030", tmp_path, *names, "adapter").outcome is Outcome.FAIL
    (tmp_path / "s01" / "adapter").unlink()
    assert judge("LAY030", tmp_path, *names, "adapter/x").outcome is Outcome.PASS


def test_a_file_that_is_there_twice_is_told_once(tmp_path: Path) -> None:
    names = ["a/reflection.md", "b/reflection.md"]
    assert judge("LAY041", tmp_path, *names).outcome is Outcome.PASS
    finding = judge("LAY002", tmp_path)
    assert finding.outcome is Outcome.FAIL
    assert "a/reflection.md" in finding.message


def test_what_the_assignment_does_not_ask_for_is_not_missing(tmp_path: Path) -> None:
    assignment = replace(load_assignment("llm-methods"), deliverables=())
    finding = judge("LAY010", tmp_path, "x.txt", assignment=assignment)
    assert finding.outcome is Outcome.PASS


def test_what_is_voluntary_is_never_missing(tmp_path: Path) -> None:
    more = Deliverable("reflection", "A poem", ("poem.md",), optional=True)
    assignment = replace(load_assignment("llm-methods"), deliverables=(more, ESSAY))
    assert judge("LAY041", tmp_path, "essay.md", assignment=assignment).outcome is Outcome.PASS
    found = judge("LAY001", tmp_path, assignment=assignment).message
    assert found == "1 of 1 were found."
    found = judge("LAY001", tmp_path, "poem.md", assignment=assignment).message
    assert found == "1 of 1 were found. Voluntary: A poem."


def test_another_assignments_folder_is_told_apart(tmp_path: Path) -> None:
    finding = judge("LAY001", tmp_path, "homework3/main.c", "makefile")
    assert finding.outcome is Outcome.FAIL
    assert "homework3" in finding.message


def test_complete_parts_are_counted(tmp_path: Path) -> None:
    dspy = ["dspy_enhanced.py", "dspy_report.pdf"]
    finding = judge("LAY003", tmp_path, *dspy)
    assert finding.outcome is Outcome.FAIL
    assert "DSPy" in finding.message
    openai = ["openai_domain_finetune.py", "openai_train.jsonl", "cost_analysis.docx"]
    openai += ["openai_test.jsonl", "cost_analysis.json"]
    assert judge("LAY003", tmp_path, *openai).outcome is Outcome.PASS


@pytest.mark.parametrize("code", [c for c in all_checks() if c.startswith("LAY1")])
def test_a_rule_of_intake_holds_for_whatever_got_in(code: str, tmp_path: Path) -> None:
    assert intake_faults.__name__ == all_checks()[code].function.__module__
    assert judge(code, tmp_path, "x.txt").outcome is Outcome.PASS

"""comparison.json is held against the grader's runs of the same thing, and against no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.dspy_runs import enhanced, original
from support.predictions import evidence

from grader.assignment.load import load_assignment
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Context
from grader.checks.api.registry import all_checks, run_check
from grader.checks.written_facts import measured_of
from grader.core.nouns import Finding, Outcome
from grader.intake.find import submission_at
from grader.intake.submission import take_in

LORA = {"before": evidence(0), "after": evidence(90)}
READER = "course-model-reader"


def row(share: Any, model: str = "course-model", n: Any = 56) -> dict[str, Any]:
    return {"model": model, "n": n, "exact_match": share}


def context(folder: Path, comparison: str | None, **runs: Any) -> Context:
    assignment = load_assignment("llm-methods")
    home = folder / "s01"
    home.mkdir()
    (home / "notes.txt").write_text("Notes.")
    if comparison is not None:
        (home / "comparison.json").write_text(comparison)
    submission = take_in(submission_at(home), folder / "work", assignment.deliverables)
    return Context(assignment, submission, runs)


def find(folder: Path, approaches: Any, **runs: Any) -> Finding:
    text = approaches if isinstance(approaches, str) else json.dumps({"approaches": approaches})
    return run_check(all_checks()["EVL005"], context(folder, text, **runs), {}, {})


def test_without_a_comparison_nothing_is_wrong(tmp_path: Path) -> None:
    finding = run_check(all_checks()["EVL005"], context(tmp_path, None, **LORA), {}, {})
    assert finding.outcome is Outcome.SKIP


def test_honest_numbers_agree(tmp_path: Path) -> None:
    claims = {"lora_base": row(0.0), "lora_adapter": row(0.95), "openai_tuned": row(0.1, "ft:x")}
    finding = find(tmp_path, claims, **LORA)
    assert finding.outcome is Outcome.PASS
    assert finding.measures == {"claims": 3, "compared": 2, "differ": 0}


def test_a_number_that_chance_does_not_explain_is_named(tmp_path: Path) -> None:
    finding = find(tmp_path, {"lora_base": row(0.0), "lora_adapter": row(0.5)}, **LORA)
    assert finding.outcome is Outcome.FAIL
    assert "lora_adapter" in finding.message
    assert "lora_base" not in finding.message
    assert "90%" not in finding.message  # what was measured is for staff
    assert "90% measured" in finding.note


def test_a_program_is_compared_with_its_run_on_the_same_model(tmp_path: Path) -> None:
    runs = {"dspy_original": original(2), "dspy_enhanced": enhanced(20)}
    claims = {"dspy_original": row(0.1, READER), "dspy_enhanced": row(0.2, "gpt-9")}
    finding = find(tmp_path, claims, **runs)
    assert finding.measures == {"claims": 2, "compared": 1, "differ": 0}


def test_what_nobody_measured_is_not_compared(tmp_path: Path) -> None:
    assert find(tmp_path, {"openai_base": row(0.0)}, **LORA).outcome is Outcome.SKIP


@pytest.mark.parametrize(
    ("comparison", "says"),
    [
        ("{", "cannot be read"),
        ("[]", "approaches"),
        ('{"approaches": {}}', "approaches"),
        ('{"approaches": {"<b>": {}}}', "does not know"),
        (json.dumps({"approaches": {"lora_base": row(1.5)}}), "exact_match"),
        (json.dumps({"approaches": {"lora_base": row(True)}}), "exact_match"),
        (json.dumps({"approaches": {"lora_base": row(0.5, n=0)}}), '"n"'),
        (json.dumps({"approaches": {"lora_base": [1]}}), "exact_match"),
    ],
)
def test_what_is_no_comparison_is_said(comparison: str, says: str, tmp_path: Path) -> None:
    finding = find(tmp_path, comparison, **LORA)
    assert finding.outcome is Outcome.FAIL
    assert says in finding.message


def test_a_written_number_of_the_service_may_be_that_of_the_comparison(tmp_path: Path) -> None:
    claims = {"approaches": {"openai_base": row(0.0), "openai_tuned": row(0.8)}}
    found = measured_of(context(tmp_path, json.dumps(claims)), None)
    assert found.values["openai.after"] == 0.8

"""Training on hidden questions: told by the data, decided by a person, and never revealed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from evidence_builder import N, evidence

from grader.assignment import load_assignment
from grader.checks import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.registry import Context, all_checks, run_check
from grader.intake import find_submissions, take_in
from grader.model import Finding, Outcome

HIDDEN = [f"question {i}" for i in range(N)]


def _finding(tmp_path: Path, questions: list[str], name: str = "openai_train.jsonl") -> Finding:
    home = tmp_path / "s01"
    home.mkdir()
    rows = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": "yes"}]}
        for q in questions
    ]
    (home / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (found,) = find_submissions([home])
    submission = take_in(found, tmp_path / "work")
    context = Context(load_assignment("llm-methods"), submission, {"before": evidence(0)})
    return run_check(all_checks()["INT002"], context, {}, {})


def test_own_questions_pass(tmp_path: Path) -> None:
    found = _finding(tmp_path, [f"my own question {i}" for i in range(50)])
    assert (found.outcome, found.measures["found"]) == (Outcome.PASS, 0)


def test_a_few_equal_questions_are_chance(tmp_path: Path) -> None:
    assert _finding(tmp_path, HIDDEN[:4]).outcome is Outcome.PASS


@pytest.mark.parametrize("write", [str, str.upper, lambda q: f"  {q.replace(' ', '   ')} "])
def test_many_hidden_questions_wait_for_a_person(tmp_path: Path, write) -> None:
    found = _finding(tmp_path, ["mine", *map(write, HIDDEN[20:40])], "extra.jsonl")
    assert found.outcome is Outcome.REVIEW
    assert found.measures["share"] == 0.2
    assert "extra.jsonl: lines 2, 3, 4" in found.note


def test_what_the_student_reads_reveals_no_question_and_no_count(tmp_path: Path) -> None:
    found = _finding(tmp_path, HIDDEN)
    said = f"{found.title} {found.message} {found.hint} {found.location}"
    assert "question 1" not in said
    assert not any(character.isdigit() for character in found.message)

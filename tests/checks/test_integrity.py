"""Training on hidden questions: told by the data, decided by a person, and never revealed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.paths import DATASETS
from support.predictions import N, evidence

from grader.assignment.load import load_assignment
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Context
from grader.checks.api.registry import all_checks, run_check
from grader.core.constants import BENCHMARK_MAX_BYTES
from grader.core.nouns import Finding, Outcome
from grader.intake.find import submission_at
from grader.intake.submission import take_in

HIDDEN = [f"question {i}" for i in range(N)]


def _finding(
    tmp_path: Path,
    questions: list[str],
    name: str = "openai_train.jsonl",
    extra: tuple[str, str] | None = None,
    hidden: list[str] = HIDDEN,
) -> Finding:
    home = tmp_path / "s01"
    home.mkdir()
    rows = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": "yes"}]}
        for q in questions
    ]
    (home / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    if extra is not None:
        (home / extra[0]).write_text(extra[1])
    found = submission_at(home)
    assignment = load_assignment("llm-methods")
    submission = take_in(found, tmp_path / "work", assignment.deliverables)
    before = evidence(0)
    asked = [
        row | {"question": q} for row, q in zip(before.payload["answers"], hidden, strict=False)
    ]
    known = replace(before, payload={"answers": asked})
    context = Context(assignment, submission, {"before": known})
    return run_check(all_checks()["INT002"], context, {}, {})


def test_own_questions_pass(tmp_path: Path) -> None:
    found = _finding(tmp_path, [f"a thing of my own {i}" for i in range(50)])
    assert (found.outcome, found.measures["found"]) == (Outcome.PASS, 0)


def test_a_few_equal_questions_are_chance(tmp_path: Path) -> None:
    assert _finding(tmp_path, HIDDEN[:4]).outcome is Outcome.PASS


@pytest.mark.parametrize(
    "write",
    [
        str,
        str.upper,
        lambda q: f"  {q.replace(' ', '   ')} ??",
        lambda q: f"Question: {q}\nAnswer:",
    ],
)
def test_many_hidden_questions_wait_for_a_person(tmp_path: Path, write) -> None:
    found = _finding(tmp_path, ["mine", *map(write, HIDDEN[20:40])], "extra.jsonl")
    assert found.outcome is Outcome.REVIEW
    assert found.measures["share"] == 0.2
    assert "extra.jsonl: lines 2, 3, 4" in found.note


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("train.csv", lambda q: f'"{q}",yes'),
        ("alpaca.jsonl", lambda q: json.dumps({"instruction": q, "output": "yes"})),
        ("notes.txt", str),
    ],
)
def test_the_form_of_the_file_makes_no_difference(tmp_path: Path, name: str, write) -> None:
    found = _finding(tmp_path, ["mine"], extra=(name, "\n".join(map(write, HIDDEN[:30]))))
    assert found.outcome is Outcome.REVIEW
    assert name in found.note


def test_a_benchmark_is_no_training_data(tmp_path: Path) -> None:
    found = _finding(tmp_path, HIDDEN, name="benchmark.jsonl")
    assert (found.outcome, found.measures["found"]) == (Outcome.PASS, 0)


def _with_more(question: str) -> str:
    """A benchmark's line with a hidden question beside the one that it asks."""
    messages = [{"role": "user", "content": "Mine?"}, {"role": "assistant", "content": question}]
    return json.dumps({"messages": messages, "more": question})


@pytest.mark.parametrize(
    "body",
    [
        "\n".join(HIDDEN),  # no questions at all
        "\n".join(map(_with_more, HIDDEN)),
        "\n".join(json.dumps({"prompt": q, "completion": "word " * 20}) for q in HIDDEN),
        " " * (2 * BENCHMARK_MAX_BYTES) + "\n" + "\n".join(HIDDEN),
    ],
)
def test_the_name_of_a_benchmark_hides_no_training_data(tmp_path: Path, body: str) -> None:
    found = _finding(tmp_path, ["mine"], extra=("benchmark.jsonl", body))
    assert (found.outcome, found.measures["share"]) == (Outcome.REVIEW, 1.0)


def test_the_kits_own_files_do_not_count(tmp_path: Path) -> None:
    public = DATASETS / "educational-qa" / "test.jsonl"
    rows = [json.loads(line)["messages"][1]["content"] for line in public.read_text().splitlines()]
    found = _finding(tmp_path, ["mine"], extra=("test.jsonl", public.read_text()), hidden=rows)
    assert found.measures["found"] == 0


def test_what_the_student_reads_reveals_no_question_and_no_count(tmp_path: Path) -> None:
    found = _finding(tmp_path, HIDDEN)
    said = f"{found.title} {found.message} {found.hint} {found.location}"
    assert "question 1" not in said
    assert not any(character.isdigit() for character in found.message)

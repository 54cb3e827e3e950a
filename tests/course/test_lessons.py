"""What feedback teaches beside findings, and that no hidden question is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from support import predictions
from support.classes import Silent
from support.dspy_runs import enhanced, original, question, reference
from support.transcripts import JOB, JOBS, QUESTIONS, TEST, TRAIN, Run

from grader.checks.api.context import Context
from grader.core.constants import LESSON_MAX_POINTS, REPORT_MAX_WRONG
from grader.core.nouns import Assignment, Evidence
from grader.course import grade
from grader.course.lessons import answer_sheets, learning_curves
from grader.intake.find import Extent, submission_at
from grader.intake.submission import take_in
from grader.report.result_json import from_json, to_json


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return grade.load("llm-methods")


def context_of(
    assignment: Assignment,
    work: Path,
    evidence: Mapping[str, Evidence],
    files: Mapping[str, str] | None = None,
    *,
    hidden: bool = False,
) -> Context:
    home = work / "s01"
    home.mkdir(exist_ok=True)
    for name, text in {"openai_test.jsonl": TEST, **(files or {})}.items():
        (home / name).write_text(text)
    submission = take_in(submission_at(home), work / "taken", assignment.deliverables)
    return Context(assignment, submission, evidence, hidden=hidden)


RUNS = {
    "dspy_original": original(),
    "dspy_enhanced": enhanced(right=18),
    "before": predictions.evidence(5),
    "after": predictions.evidence(90),
}


def test_wrong_answers_stand_beside_those_of_before(assignment: Assignment, tmp_path: Path) -> None:
    sheets = answer_sheets(context_of(assignment, tmp_path, RUNS))
    found = {sheet.title: sheet for sheet in sheets}
    program, adapter = found["Enhanced DSPy program"], found["Trained adapter"]
    assert (program.asked, program.right) == (20, 18)
    assert [row.question for row in program.wrong] == [question(18), question(19)]
    assert [row.expected for row in program.wrong] == [reference(18), reference(19)]
    assert {row.given for row in program.wrong} == {"elsewhere"}
    assert (adapter.right_before, adapter.right) == (5, 90)
    assert len(adapter.wrong) == min(REPORT_MAX_WRONG, adapter.asked - 90)


def test_what_was_right_before_comes_first(assignment: Assignment, tmp_path: Path) -> None:
    evidence = RUNS | {"after": predictions.evidence(0)}
    sheets = answer_sheets(context_of(assignment, tmp_path, evidence))
    (adapter,) = (sheet for sheet in sheets if sheet.title == "Trained adapter")
    was_right = [row.before == row.expected for row in adapter.wrong]
    assert was_right == sorted(was_right, reverse=True)
    assert sum(was_right) == 5


def test_nothing_of_hidden_questions_enters(assignment: Assignment, tmp_path: Path) -> None:
    assert answer_sheets(context_of(assignment, tmp_path, RUNS, hidden=True)) == ()


def workflow() -> Run:
    run = Run().upload(TRAIN).create()
    for first in (1, 4):
        steps = [
            {"type": "metrics", "data": {"step": n, "train_loss": 3 / n, "full_valid_loss": 2 / n}}
            for n in range(first, first + 4)
        ]
        run.call("GET", f"{JOBS}/{JOB}/events", told={"data": [{"data": None}, *steps[::-1]]})
    return run.look("succeeded")


def test_the_students_own_test_set_is_told_at_grading_too(
    assignment: Assignment, tmp_path: Path
) -> None:
    run = workflow().evaluate(right_before=2, right_after=9)
    context = context_of(assignment, tmp_path, {"openai_ok": run.ended()}, hidden=True)
    (sheet,) = answer_sheets(context)
    assert (sheet.asked, sheet.right, sheet.right_before) == (len(QUESTIONS), 9, 2)
    assert {row.given for row in sheet.wrong} == {"no idea"}


def test_the_curve_of_a_job_is_what_its_events_told(assignment: Assignment, tmp_path: Path) -> None:
    (curve,) = learning_curves(
        context_of(assignment, tmp_path, {"openai_ok": workflow().ended()}, hidden=True)
    )
    assert [point.step for point in curve.points] == list(range(1, 8))
    assert curve.points[2].training == 1
    assert curve.points[0].validation == 2


@pytest.mark.parametrize(
    ("state", "steps"),
    [
        ({"log_history": [{"step": 1, "loss": 2}, {"step": 1, "eval_loss": 3}, {"step": 2}]}, None),
        ({"log_history": [{"step": n, "loss": 1.0} for n in (2, 1)]}, [1, 2]),
        ({"log_history": [{"step": n, "loss": 1.0} for n in range(9_999)]}, "thinned"),
        ({"log_history": [{"step": "1", "loss": 1}, 7, {"step": True}, {"step": -1}]}, None),
        ({"log_history": 3}, None),
        ([], None),
    ],
)
def test_the_curve_of_a_trainers_state(
    state: object, steps: list[int] | str | None, assignment: Assignment, tmp_path: Path
) -> None:
    files = {"trainer_state.json": json.dumps(state)}
    curves = learning_curves(context_of(assignment, tmp_path, {}, files))
    if steps is None:
        assert curves == ()
    elif steps == "thinned":
        assert len(curves[0].points) <= LESSON_MAX_POINTS + 1
        assert curves[0].points[-1].step == 9_998
    else:
        assert [point.step for point in curves[0].points] == steps


def test_a_result_with_lessons_is_read_back(assignment: Assignment, tmp_path: Path) -> None:
    home = tmp_path / "me"
    home.mkdir()
    (home / "reflection.md").write_text("I expected more than I got from all of it.\n")

    graded = grade.grade(
        [home], assignment, None, tmp_path / "e.sqlite", Silent(), extent=Extent.ONE
    )
    (result,) = graded.results
    context = context_of(assignment, tmp_path, {**RUNS, "openai_ok": workflow().ended()})
    taught = replace(result, sheets=answer_sheets(context), curves=learning_curves(context))
    again = from_json(json.loads(json.dumps(to_json(taught))))
    assert again.curves == taught.curves
    assert again.sheets == taught.sheets

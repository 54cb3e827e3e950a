"""LAY051 and API03x: who taught whom is told by replies, files and jobs that the service saw."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bonus import (
    ASKED,
    HANDED_IN,
    LESSONS,
    SMALL,
    SMALL_TUNED,
    examined,
    file_of,
    found,
    submission,
    taught,
)
from support.transcripts import BASE, TUNED, Run

from grader.checks.api.context import Context
from grader.core.nouns import Outcome

CODES = ("API030", "API031", "API032", "API033")
WRONG = dict.fromkeys(LESSONS, "no idea")


@pytest.fixture(scope="module")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return submission(tmp_path_factory.mktemp("class"), HANDED_IN)


@pytest.mark.parametrize("code", CODES)
def test_a_distillation_that_does_it_all_passes(code: str, submitted: Context) -> None:
    assert found(code, submitted, distill_ok=examined(taught())).outcome is Outcome.PASS


@pytest.mark.parametrize("code", CODES[:3])
def test_what_a_script_prints_is_no_evidence(code: str, submitted: Context) -> None:
    ran = Run().ended(stdout="Exact match of the student: 100%")
    assert found(code, submitted, distill_ok=ran).outcome is Outcome.FAIL


@pytest.mark.parametrize("code", ["LAY051", *CODES])
def test_who_leaves_it_out_has_nothing_to_mend(code: str, tmp_path: Path) -> None:
    finding = found(code, submission(tmp_path, {"dspy_hybrid.py": ""}))
    assert finding.left_out
    assert "voluntary" in finding.message


def test_one_job_teaches_nobody(submitted: Context) -> None:
    ran = Run().upload().create().look("succeeded").ended()
    for code in ("API030", "API031", "API033"):
        assert found(code, submitted, distill_ok=ran).outcome is Outcome.FAIL


@given(st.integers(0, 20))
def test_the_share_of_replies_in_the_file_is_measured(submitted: Context, own: int) -> None:
    """The first so many answers are not the teacher's."""
    lessons = {q: "made up" if n < own else a for n, (q, a) in enumerate(LESSONS.items())}
    finding = found("API030", submitted, distill_ok=taught(lessons, LESSONS).ended())
    assert finding.measures["share"] == pytest.approx((20 - own) / 20)
    assert (finding.outcome is Outcome.PASS) == (own <= 2)


@pytest.mark.parametrize(
    "run",
    [
        taught(replies={}),  # answers from elsewhere
        taught(teacher=BASE),  # replies of a model that nobody tuned
        taught(replies=WRONG),  # other answers than the teacher's
        taught(own=LESSONS),  # what the teacher was trained on
        taught(replies={}).ask(TUNED, *next(iter(LESSONS.items()))),  # asked too late
    ],
)
def test_what_is_not_the_teachers_reply_is_no_lesson(run: Run, submitted: Context) -> None:
    assert found("API030", submitted, distill_ok=run.ended()).measures["taught"] == 0
    assert found("API031", submitted, distill_ok=run.ended()).outcome is Outcome.FAIL


def test_wrong_replies_are_lessons_too(submitted: Context) -> None:
    """Whether the teacher is any good shows in the student's gain."""
    assert (
        found("API030", submitted, distill_ok=taught(WRONG, WRONG).ended()).measures["share"] == 1
    )


def test_few_lessons_are_not_enough(submitted: Context) -> None:
    few = dict(list(LESSONS.items())[:5])
    assert found("API030", submitted, distill_ok=taught(few).ended()).measures["share"] == 0.5


def test_a_lesson_that_is_repeated_counts_once(submitted: Context) -> None:
    run = taught()
    run.upload(file_of(LESSONS) * 2, id="file-three")
    run.create("ftjob-three", file="file-three", base=SMALL)
    ran = run.look("succeeded", id="ftjob-three", model=f"{SMALL_TUNED}3").ended()
    # The pair that is taught most is looked at.
    assert found("API030", submitted, distill_ok=ran).measures["share"] == 1.0


@pytest.mark.parametrize(
    ("base", "share"),
    [
        (SMALL, 1.0),
        ("gpt-4.1-nano", 1.0),
        ("course-model", 1.0),
        (BASE, 0.5),
        ("gpt-4.1-2025-04-14", 0.5),
        ("nobody-knows-it", 0.5),
        (TUNED, 0.5),
        (SMALL_TUNED, 0.5),
    ],
)
def test_smaller_is_what_costs_less_to_train(base: str, share: float, submitted: Context) -> None:
    finding = found("API031", submitted, distill_ok=taught(base=base).ended())
    assert finding.measures["share"] == share


def test_a_student_whose_end_nobody_saw_is_no_student(submitted: Context) -> None:
    run = taught()
    del run.exchanges[-1]
    assert found("API031", submitted, distill_ok=run.ended()).measures["share"] == 0.5


@pytest.mark.parametrize("as_lessons", [True, False])
def test_test_questions_in_either_file_are_found(as_lessons: bool, submitted: Context) -> None:
    run = taught(ASKED, ASKED) if as_lessons else taught(own=ASKED)
    finding = found("API032", submitted, distill_ok=run.ended())
    assert finding.measures["leaked"] == len(ASKED)
    assert found("API033", submitted, distill_ok=examined(run)).outcome is Outcome.SKIP


@pytest.mark.parametrize(
    ("before", "after", "passes"), [(0, 10, True), (2, 9, True), (5, 5, False), (9, 2, False)]
)
def test_only_a_gain_over_its_own_base_passes(
    before: int, after: int, passes: bool, submitted: Context
) -> None:
    finding = found("API033", submitted, distill_ok=examined(taught(), before, after))
    assert (finding.outcome is Outcome.PASS) is passes


def test_the_teachers_base_is_not_the_students(submitted: Context) -> None:
    finding = found("API033", submitted, distill_ok=examined(taught(), 1, 9, base=BASE))
    assert finding.measures["delta"] == 0.0


def test_the_base_may_be_asked_without_its_date(submitted: Context) -> None:
    ran = examined(taught(), 1, 9, base="gpt-4o-mini")
    assert found("API033", submitted, distill_ok=ran).outcome is Outcome.PASS

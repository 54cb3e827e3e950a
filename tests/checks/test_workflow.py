"""API00x: what a workflow did is told by its requests and the service's answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.part2 import finding, share
from support.transcripts import (
    BASE,
    JOBS,
    QUESTIONS,
    TEST,
    TRAIN,
    TUNED,
    Run,
    chat_line,
    followed,
    good,
    job,
)

from grader.checks.api.context import Context
from grader.core.nouns import Outcome


@pytest.mark.parametrize("code", [f"API00{n}" for n in range(1, 10)])
def test_a_workflow_that_does_it_all_passes(code: str, submitted: Context) -> None:
    assert finding(code, submitted, good()).outcome is Outcome.PASS


@pytest.mark.parametrize("code", [f"API00{n}" for n in range(1, 10)])
def test_what_a_program_prints_and_writes_is_no_evidence(code: str, submitted: Context) -> None:
    said = "Uploaded file-abc\nCreated fine-tuning job: ftjob-abc\nsucceeded\nbefore 20%, after 90%"
    found = finding(code, submitted, Run().writes().ended(stdout=said))
    assert found.outcome is Outcome.FAIL
    assert found.measures.get("share", 0) in (0, 0.0, pytest.approx(1 / 3, abs=1e-3))
    assert found.hint


def test_a_crash_after_the_job_is_no_end(submitted: Context) -> None:
    found = finding("API001", submitted, followed().ended(1))
    assert share(found) == 0.5
    assert "exit code 1" in found.message


def test_the_uploaded_file_must_be_the_one_that_is_trained_on(submitted: Context) -> None:
    run = Run().upload().create(file="file-other")
    assert share(finding("API002", submitted, run.ended())) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("content", "reached"),
    [(TRAIN, 1.0), (TRAIN + TEST, 0.75), ("", 0.5 + 0.25), (chat_line("a?", "b"), 0.75)],
)
def test_what_is_trained_on_is_looked_at(content: str, reached: float, submitted: Context) -> None:
    run = Run().upload(content).create()
    assert share(finding("API002", submitted, run.ended())) == pytest.approx(reached)


def test_each_job_more_than_one_is_a_bill_too_many(submitted: Context) -> None:
    found = finding("API003", submitted, Run().upload().create().create("ftjob-two").ended())
    assert share(found) == 0.0
    assert found.measures["jobs"] == 2


@pytest.mark.parametrize(
    ("waits", "reached"),
    [
        ([0.1] * 200, 0.0),
        ([0.0, *[0.5] * 30], 0.0),
        ([2.0] * 30, 0.25),
        ([5.5] * 30, 0.5),
        ([10.5] * 30, 1.0),
        ([60.0] * 5, 1.0),
        ([600.0], 1.0),
        ([2, 3, 4.5, 7, 10, 15, 23, 34, 51, 60], 1.0),
        ([1, 2, 4, 8, 16, 32, 60, 60], 1.0),
        ([2, 3, 4, 4.5, 4.5, 4.5, 4.5], 0.25),
    ],
)
def test_the_pace_of_polling_is_weighed(
    waits: list[float], reached: float, submitted: Context
) -> None:
    found = finding("API004", submitted, followed(waits).ended())
    assert share(found) == pytest.approx(reached)
    assert found.measures["polls"] == len(waits)


@given(st.lists(st.floats(10.01, 600.0), min_size=1, max_size=40))
def test_whoever_waits_ten_seconds_each_time_is_polite(
    submitted: Context, waits: list[float]
) -> None:
    assert share(finding("API004", submitted, followed(waits).ended())) == 1.0


@given(st.lists(st.floats(0.0, 0.9), min_size=2, max_size=60))
def test_whoever_hardly_waits_is_never_polite(submitted: Context, waits: list[float]) -> None:
    assert share(finding("API004", submitted, followed(waits).ended())) == 0.0


@given(st.lists(st.floats(0.0, 100.0), min_size=2, max_size=30), st.floats(1.0, 5.0))
def test_waiting_longer_never_costs(submitted: Context, waits: list[float], factor: float) -> None:
    """All waits longer by the same factor: whatever made it polite still does."""
    before = share(finding("API004", submitted, followed(waits).ended()))
    longer = [factor * wait for wait in waits]
    assert share(finding("API004", submitted, followed(longer).ended())) >= before


def test_following_the_list_or_the_events_is_polling_too(submitted: Context) -> None:
    by_list, by_events = Run().upload().create(), Run().upload().create()
    for status in ("running", "running", "succeeded"):
        by_list.call("GET", JOBS, after=20, told={"data": [job(status)]})
        by_events.events(after=20)
    for run in (by_list, by_events):
        assert share(finding("API004", submitted, run.ended())) == 1.0
    assert share(finding("API005", submitted, by_list.ended())) == 1.0


def test_a_loop_that_goes_on_after_the_end_is_stopped(submitted: Context) -> None:
    run = followed()
    for _ in range(20):
        run.look("succeeded")
    found = finding("API005", submitted, run.ended(None, verdict="timeout"))
    assert share(found) == 0.0
    assert found.measures["looks_after"] == 20
    assert "still running" in found.message


def test_a_last_look_at_the_finished_job_is_no_fault(submitted: Context) -> None:
    assert share(finding("API005", submitted, followed().look("succeeded").ended())) == 1.0


def test_a_name_of_an_earlier_run_is_not_the_returned_model(submitted: Context) -> None:
    run = followed().ask("ft:gpt:old::x", QUESTIONS[0], status=404)
    assert share(finding("API007", submitted, run.ended(1))) == 0.0
    found = finding("API007", submitted, run.ask(TUNED, QUESTIONS[0]).ended())
    assert share(found) == 0.5


@pytest.mark.parametrize(
    ("base", "tuned", "reached"), [(10, 0, 0.5), (0, 10, 0.5), (5, 5, 0.5), (10, 9, 0.95)]
)
def test_questions_that_nobody_asked_are_missing(
    base: int, tuned: int, reached: float, submitted: Context
) -> None:
    run = followed()
    for model, n in ((BASE, base), (TUNED, tuned)):
        for question in QUESTIONS[:n]:
            run.ask(model, question)
    found = finding("API008", submitted, run.ended())
    assert share(found) == pytest.approx(reached)
    assert found.measures["base_share"] == base / 10


def test_all_questions_in_one_request_are_one_question(submitted: Context) -> None:
    run = followed().ask(BASE, "\n".join(QUESTIONS)).ask(TUNED, "\n".join(QUESTIONS))
    assert share(finding("API008", submitted, run.ended())) == pytest.approx(0.1)


def test_a_question_may_stand_in_a_prompt_of_its_own(submitted: Context) -> None:
    run = followed()
    for question in QUESTIONS:
        run.ask(BASE.removesuffix("-2025-04-14"), f"Answer briefly.\n\n  {question.upper()} ")
        run.ask(TUNED, question)
    assert share(finding("API008", submitted, run.ended())) == 1.0


@pytest.mark.parametrize("other", ["gpt-4.1", "gpt-4o-mini", "", "gpt"])
def test_another_base_is_not_the_one_that_was_tuned(other: str, submitted: Context) -> None:
    run = followed()
    for question in QUESTIONS:
        run.ask(other, question).ask(TUNED, question)
    assert share(finding("API008", submitted, run.ended())) == 0.5


@pytest.mark.parametrize(
    ("before", "after", "simulated", "reached"),
    [
        (0.2, 0.9, False, 1.0),
        (0.25, 0.85, False, 1.0),
        (0.2, 0.9, True, 2 / 3),
        (0.2, 0.5, False, 2 / 3),
        (0.6, 0.5, False, 1 / 3),
        (0.2, 90, False, 0.0),
        (True, 0.9, False, 0.0),
        (None, 0.9, False, 0.0),
        (0.2, "high", False, 0.0),
        (0.2, 0.9, "no", 0.0),
    ],
)
def test_reported_results_are_held_against_the_answers(
    before: object, after: object, simulated: object, reached: float, submitted: Context
) -> None:
    evidence = followed().evaluate().writes(before, after, simulated).ended()
    assert share(finding("API009", submitted, evidence)) == pytest.approx(reached, abs=1e-3)


def test_results_of_models_that_were_never_asked_are_made_up(submitted: Context) -> None:
    evidence = followed().writes(0.0, 0.0).ended()
    assert share(finding("API009", submitted, evidence)) == pytest.approx(1 / 3, abs=1e-3)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"simulated": NaN}', "null", "\x00"])
def test_results_that_cannot_be_read_are_no_results(text: str, submitted: Context) -> None:
    evidence = followed().evaluate().leaves("openai_results.json", text).ended()
    assert share(finding("API009", submitted, evidence)) == 0.0


def test_no_message_shows_what_the_grader_keeps_to_itself(submitted: Context) -> None:
    evidence = followed().ended(1, stderr='Traceback\n  File "/box/secret.py", line 3')
    for code in (f"API00{n}" for n in range(1, 10)):
        found = finding(code, submitted, evidence)
        assert "/box" not in found.message + found.hint
        assert "File" not in found.message

"""What the journal's page tells of requests."""

from __future__ import annotations

from typing import Any

from grader.openai_sim.pages.journal_page import (
    STATUSES,
    about,
    fits,
    how_it_went,
    kind_of,
    repeated,
    runs,
    strips,
)
from grader.openai_sim.store.journal import of_clients, summary

JOBS = "/v1/fine_tuning/jobs"


def line(path: str, time: float = 0.0, **more: Any) -> dict[str, Any]:
    """A line of the journal: an answered GET unless told otherwise."""
    return {"method": "GET", "path": path, "time": time, "status": 200, "retry_count": 0} | more


def test_five_minutes_of_silence_begin_a_run() -> None:
    times = [1000.0, 0.0, 299.0, 1001.0, 2000.0]
    found = [[one["time"] for one in run] for run in runs([line("/v1/models", t) for t in times])]
    assert found == [[0.0, 299.0], [1000.0, 1001.0], [2000.0]]
    assert runs([]) == []


def test_people_who_look_at_pages_are_no_clients() -> None:
    lines = [
        line("/journal"),
        line("/v1/chat/completions", method="POST", user_agent="finegrade-page", model="m"),
        line("/v1/chat/completions", method="POST", user_agent="OpenAI/Python", model="m"),
    ]
    assert of_clients(lines) == lines[2:]
    assert summary(lines)["requests"] == 1
    assert summary(lines)["models_used"] == {"m": 1}


def test_requests_are_told_by_kind_also_where_they_were_refused() -> None:
    kinds = {
        kind_of(line("/v1/files", method="POST", status=500)): "Uploads",
        kind_of(line(JOBS, method="POST")): "New jobs",
        kind_of(line(f"{JOBS}/j", status=500, scenario="flaky")): "Polls of jobs",
        kind_of(line(f"{JOBS}/j/cancel", method="POST")): "Others",
        kind_of(line("/v1/responses", method="POST")): "Questions",
        kind_of(line(JOBS)): "Others",
    }
    assert all(found == wanted for found, wanted in kinds.items())


def test_marks_lie_on_one_axis_and_say_how_it_went() -> None:
    lines = [
        line("/v1/files", 100.0, method="POST"),
        line(f"{JOBS}/j", 105.0, status=500, scenario="flaky"),
        line(f"{JOBS}/j", 105.0, status=500, scenario="flaky"),
        line(f"{JOBS}/j", 120.0, retry_count=1),
    ]
    drawn = strips(lines)
    by_kind = {strip.kind: strip for strip in drawn.strips}
    assert set(by_kind) == {"Uploads", "Polls of jobs"}
    polls = by_kind["Polls of jobs"]
    assert polls.requests == 3
    assert {(mark.at, mark.how) for mark in polls.marks} == {(25.0, "bad"), (100.0, "retry")}
    assert drawn.ticks == ((0.0, 0), (25.0, 5), (50.0, 10), (75.0, 15), (100.0, 20))


def test_a_month_of_requests_has_an_axis_too() -> None:
    drawn = strips([line("/v1/models", day * 86400.0) for day in range(31)])
    assert 2 <= len(drawn.ticks) <= 7
    assert all(0 <= at <= 100 for at, _ in drawn.ticks)


def test_jobs_of_one_request_body_are_named_together() -> None:
    made = [("a", "x"), ("b", "y"), ("c", "x")]
    lines = [line(JOBS, job=job, job_created=True, body_digest=digest) for job, digest in made]
    assert repeated([*lines, line(f"{JOBS}/a", job="a")]) == [["a", "c"]]


def test_reactions_are_counted_for_each_scenario() -> None:
    lost = {"status": 429, "scenario": "rate-limited"}
    failed = {"status": 500, "scenario": "flaky"}
    lines = [
        line("/v1/a", 1, **lost),
        line("/v1/a", 2, retry_count=1, **failed),
        line("/v1/a", 3),
        line("/v1/b", 4, **failed),
    ]
    assert summary(lines)["reactions_to"] == {
        "rate-limited": {"retried by the client library": 1},
        "flaky": {"retried by the program": 1, "gave up": 1},
    }


def test_requests_are_found_by_path_and_status() -> None:
    one = line("/v1/files/f", status=404, retry_count=2)
    assert fits(one, "get /V1", "")
    assert not fits(one, "jobs", "")
    found = {name for name in STATUSES if fits(one, "", name)}
    assert found == {"", "refused", "retry"}
    assert {name for name in STATUSES if fits(line("/v1/x"), "", name)} == {"", "ok"}
    cut = line("/v1/x", scenario="truncated")
    assert fits(cut, "", "fault")
    assert how_it_went(cut) == "bad"


def test_what_a_request_touched_is_told_once() -> None:
    said = about(line(f"{JOBS}/ftjob-a", job="ftjob-a", file="file-b", wrong_key=True))
    assert said == ["file-b", "wrong key"]

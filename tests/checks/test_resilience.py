"""API01x: what counts is what a program does after it met the fault."""

from __future__ import annotations

import pytest
from support.part2 import finding, share
from support.transcripts import (
    BASE,
    CLOSED_SAID,
    FAULT_SAID,
    JOB,
    JOBS,
    KEY_SAID,
    QUESTIONS,
    Run,
    error,
    followed,
    job,
)

from grader.checks.api.context import Context
from grader.checks.api.registry import all_checks

PATIENT = {"openai_rate_limited": 429, "openai_flaky": 500}


@pytest.mark.parametrize("code", [f"API0{n}" for n in range(11, 18)])
def test_a_program_that_never_meets_a_fault_has_shown_nothing(
    code: str, submitted: Context
) -> None:
    for evidence in (Run().ended(1, stderr=FAULT_SAID), Run().writes(simulated=True).ended()):
        assert share(finding(code, submitted, evidence)) == 0.0


def refused_once(status: int, wait: float, *, again: bool = True) -> Run:
    """A run in which one look was refused."""
    retry = 1 if status == 429 else None
    run = Run().upload().create().look(after=10)
    run.call("GET", f"{JOBS}/{JOB}", after=10, status=status, retry_after=retry)
    return run.look("succeeded", after=wait) if again else run


@pytest.mark.parametrize(("id", "status"), PATIENT.items())
def test_waiting_and_asking_again_passes(id: str, status: int, submitted: Context) -> None:
    code = {429: "API011", 500: "API012"}[status]
    assert id in all_checks()[code].evidence_ids
    evidence = refused_once(status, 1.0).evaluate().ended()
    assert share(finding(code, submitted, evidence)) == 1.0


@pytest.mark.parametrize(("status", "code"), [(429, "API011"), (500, "API012")])
def test_asking_again_at_once_is_hammering(status: int, code: str, submitted: Context) -> None:
    found = finding(code, submitted, refused_once(status, 0.05).ended())
    assert share(found) == 0.75
    assert "1 made again too soon" in found.message


@pytest.mark.parametrize(("status", "code"), [(429, "API011"), (500, "API012")])
def test_giving_up_loses_the_job(status: int, code: str, submitted: Context) -> None:
    evidence = refused_once(status, 0.0, again=False).ended(1)
    assert share(finding(code, submitted, evidence)) == 0.5


@pytest.mark.parametrize(("status", "code"), [(429, "API011"), (500, "API012")])
def test_starting_all_over_pays_twice(status: int, code: str, submitted: Context) -> None:
    evidence = refused_once(status, 5.0).create("ftjob-two").ended()
    assert share(finding(code, submitted, evidence)) == 0.75


FAILED = ["API013", "API016"]


@pytest.mark.parametrize("code", FAILED)
def test_a_failed_job_is_said_and_ends_the_program(code: str, submitted: Context) -> None:
    evidence = followed(end="failed").ended(1, stderr=f"The job failed: {FAULT_SAID}\n")
    assert share(finding(code, submitted, evidence)) == 1.0


@pytest.mark.parametrize("code", FAILED)
def test_the_code_of_the_failure_is_as_good_as_its_message(code: str, submitted: Context) -> None:
    evidence = followed(end="failed").ended(1, stdout="job failed (internal_error)")
    assert share(finding(code, submitted, evidence)) == 1.0


@pytest.mark.parametrize("code", FAILED)
@pytest.mark.parametrize(
    ("exit_code", "said", "reached"), [(0, FAULT_SAID, 0.8), (1, "sorry", 0.8), (0, "done", 0.6)]
)
def test_silence_and_exit_code_0_cost(
    code: str, exit_code: int, said: str, reached: float, submitted: Context
) -> None:
    evidence = followed(end="failed").ended(exit_code, stdout=said)
    assert share(finding(code, submitted, evidence)) == pytest.approx(reached)


@pytest.mark.parametrize("code", FAILED)
def test_waiting_for_a_failed_job_to_succeed_is_for_ever(code: str, submitted: Context) -> None:
    run = followed(end="failed")
    for _ in range(50):
        run.look("failed")
    found = finding(code, submitted, run.ended(None, verdict="timeout"))
    assert share(found) == pytest.approx(0.4)
    assert "50 times more" in found.message


@pytest.mark.parametrize("code", FAILED)
def test_asking_a_model_that_was_never_made_is_no_end(code: str, submitted: Context) -> None:
    run = followed(end="failed").ask("", QUESTIONS[0], status=400)
    assert share(finding(code, submitted, run.ended(1, stderr="Traceback"))) == pytest.approx(0.6)


def test_a_job_may_be_tried_once_more_but_a_bad_file_may_not(submitted: Context) -> None:
    run = followed(end="failed").create("ftjob-two").look("failed", id="ftjob-two")
    evidence = run.ended(1, stderr=FAULT_SAID)
    assert share(finding("API013", submitted, evidence)) == 1.0
    assert share(finding("API016", submitted, evidence)) == pytest.approx(0.8)


def closed(times: int = 1) -> Run:
    """A service that takes no jobs any longer."""
    run, told = Run().upload(), error(CLOSED_SAID, "training_not_available")
    for _ in range(times):
        run.call("POST", JOBS, after=1, asked={"model": BASE}, told=told, status=403)
    return run


def test_a_simulation_that_says_so_is_what_is_left(submitted: Context) -> None:
    evidence = closed().writes(simulated=True).ended(stdout=f"No training: {CLOSED_SAID}")
    assert share(finding("API014", submitted, evidence)) == 1.0


@pytest.mark.parametrize(
    ("run", "exit_code", "said", "reached"),
    [
        (closed().writes(simulated=False), 0, "success", 0.5),
        (closed(), 1, CLOSED_SAID, 0.5),
        (closed(9).writes(simulated=True), 0, "403", 0.75),
        (closed().writes(simulated=True), 0, "cannot train", 0.75),
        (closed(9), 0, "", 0.25),
    ],
)
def test_each_thing_that_is_missing_without_training_costs(
    run: Run, exit_code: int, said: str, reached: float, submitted: Context
) -> None:
    found = finding("API014", submitted, run.ended(exit_code, stdout=said))
    assert share(found) == pytest.approx(reached)


def lost() -> Run:
    """A job whose answer never came."""
    return Run().upload().create(status=499, takes=5.0)


def test_the_job_behind_a_lost_answer_is_found(submitted: Context) -> None:
    run = lost().call("GET", JOBS, told={"data": [job("queued")]}).look("succeeded")
    assert share(finding("API015", submitted, run.ended())) == 1.0


def test_a_second_job_is_a_second_bill(submitted: Context) -> None:
    run = lost().create("ftjob-two").look("succeeded", id="ftjob-two")
    found = finding("API015", submitted, run.ended())
    assert share(found) == pytest.approx(1 / 6, abs=1e-3)
    assert "2 jobs" in found.message


def test_giving_up_pays_once_and_waiting_for_ever_too(submitted: Context) -> None:
    gave_up, waited = lost().ended(1), lost().ended(None, verdict="timeout")
    assert share(finding("API015", submitted, gave_up)) == pytest.approx(4 / 6, abs=1e-3)
    assert share(finding("API015", submitted, waited)) == pytest.approx(3 / 6, abs=1e-3)


def locked_out(times: int = 1) -> Run:
    """A service whose key is dead."""
    run = Run()
    for _ in range(times):
        run.call("POST", "/v1/files", status=401, told=error(KEY_SAID, "invalid_api_key"))
    return run


@pytest.mark.parametrize(
    ("times", "exit_code", "stderr", "reached"),
    [
        (1, 1, f"The service refused: {KEY_SAID}", 1.0),
        (1, 1, f"Traceback (most recent call last)\n… {KEY_SAID}", 0.75),
        (1, 0, "", 0.5),
        (30, 1, "gave up: 401", 0.75),
        (30, 0, "all is well", 0.25),
    ],
)
def test_a_dead_key_is_explained_in_a_sentence(
    times: int, exit_code: int, stderr: str, reached: float, submitted: Context
) -> None:
    evidence = locked_out(times).ended(exit_code, stderr=stderr)
    assert share(finding("API017", submitted, evidence)) == pytest.approx(reached)

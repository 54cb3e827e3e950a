"""The queue, and what becomes of jobs whose process or service is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sim_builder import (
    BASE,
    add_file,
    add_job,
    chat_lines,
    environment,
    job_of,
    steps_told,
    until,
)

from grader.core.errors import UsageError
from grader.core.openai_wire import ENDED
from grader.openai_sim.jobs.job_state import CANCELLED
from grader.openai_sim.jobs.runner import JobRunner
from grader.openai_sim.jobs.training import train
from grader.openai_sim.store.store import SimulatorStore

# peft and transformers warn about each other's names; nothing here depends on them.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

# A second of training and more, so that there is time to kill something in the middle.
LONG = {"n_epochs": 4, "batch_size": 1}
LONG_STEPS = 4 * 12
PATIENCE = 180.0  # seconds for a process that is niced, beside others on a busy machine
SHORT = {"n_epochs": 1, "batch_size": 8}
SERVICE = """
import sys, time
from pathlib import Path
from grader.openai_sim.runner import Runner
from grader.openai_sim.store import Store
Runner(Store(Path(sys.argv[1])), Path(sys.argv[2])).start()
time.sleep(600)
"""


@pytest.fixture
def store(tmp_path: Path) -> SimulatorStore:
    return SimulatorStore(tmp_path / "home")


@pytest.fixture
def runner(store: SimulatorStore) -> Iterator[JobRunner]:
    runner = JobRunner(store, BASE)
    runner.start()
    yield runner
    runner.stop()


def training(store: SimulatorStore, job_id: str, steps: int = 15) -> bool:
    return len(steps_told(store, job_id)) >= steps


def pid_of(store: SimulatorStore, job_id: str) -> int:
    pid = job_of(store, job_id).pid
    assert pid is not None
    return pid


def gone(pid: int) -> bool:
    """Whether the process has ended, be it unburied."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def adapter(store: SimulatorStore, job_id: str) -> bytes:
    model = store.get_model(job_of(store, job_id).fine_tuned_model or "")
    assert model is not None
    assert model.adapter is not None
    return (store.adapters_folder / model.adapter / "adapter_model.safetensors").read_bytes()


def ended(store: SimulatorStore, job_id: str) -> bool:
    return job_of(store, job_id).status in ENDED


def test_a_killed_process_fails_its_job_and_the_next_job_is_trained(
    store: SimulatorStore, runner: JobRunner
) -> None:
    file = add_file(store, chat_lines(12))
    first = add_job(store, file, hyperparameters=LONG)
    second = add_job(store, file, hyperparameters=SHORT)
    until(lambda: training(store, first, 1), "the first job trains", PATIENCE)
    assert job_of(store, second).status == "queued"
    pid = pid_of(store, first)
    os.kill(pid, signal.SIGKILL)
    until(lambda: ended(store, second), "the second job ends", PATIENCE)
    failed = job_of(store, first)
    assert (failed.status, failed.pid) == ("failed", None)
    assert failed.error is not None
    assert failed.error["code"] == "server_error"
    assert "not of your data" in failed.error["message"]
    assert job_of(store, second).status == "succeeded"


def test_a_job_of_a_killed_service_goes_on_where_it_was(store: SimulatorStore) -> None:
    file = add_file(store, chat_lines(12))
    whole = add_job(store, file, hyperparameters=LONG)
    train(store, whole, BASE)
    job_id = add_job(store, file, hyperparameters=LONG)
    service = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVICE, str(store.home), str(BASE)],
        env=environment(),
    )
    try:
        until(lambda: training(store, job_id), "the job trains", PATIENCE)
        pid = pid_of(store, job_id)
    finally:
        service.kill()
        service.wait()
    until(lambda: gone(pid), "the process of the job notices", 5)
    left = job_of(store, job_id)
    told = len(steps_told(store, job_id))
    assert left.status == "running"
    assert told < LONG_STEPS
    runner = JobRunner(store, BASE)
    runner.start()
    until(lambda: ended(store, job_id), "the job ends", PATIENCE)
    runner.stop()
    assert job_of(store, job_id).status == "succeeded"
    assert steps_told(store, job_id) == steps_told(store, whole)  # each step once
    assert adapter(store, job_id) == adapter(store, whole)


def test_a_service_that_stops_leaves_no_process_and_no_second_one_starts_beside_it(
    store: SimulatorStore,
) -> None:
    runner = JobRunner(store, BASE)
    runner.start()
    with pytest.raises(UsageError, match="Another service"):
        JobRunner(store, BASE).start()
    job_id = add_job(store, add_file(store, chat_lines(12)), hyperparameters=LONG)
    until(lambda: training(store, job_id, 1), "the job trains", PATIENCE)
    pid = pid_of(store, job_id)
    runner.stop()
    assert gone(pid)
    assert job_of(store, job_id).status == "running"
    assert (store.home / "jobs" / job_id / "state.safetensors").is_file()
    store.update_job(job_id, wanted="cancel")
    again = JobRunner(store, BASE)
    again.start()
    until(lambda: ended(store, job_id), "the job is cancelled")
    again.stop()
    assert job_of(store, job_id).status == "cancelled"


def test_a_process_that_cannot_start_fails_its_job(
    store: SimulatorStore, runner: JobRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    job_id = add_job(store, add_file(store, chat_lines(12)), hyperparameters=SHORT)
    until(lambda: ended(store, job_id), "the job fails")
    assert (job_of(store, job_id).error or {})["code"] == "server_error"


def test_a_paused_job_stays_paused_when_its_service_was_killed(store: SimulatorStore) -> None:
    job_id = add_job(store, add_file(store, chat_lines(12)), status="pausing", wanted="pause")
    runner = JobRunner(store, BASE)
    runner.start()
    runner.stop()
    assert job_of(store, job_id).status == "paused"


@pytest.mark.parametrize("status", ["running", "pausing"])
@pytest.mark.parametrize("fate", ["", "job-fails"])
def test_a_job_that_was_to_be_cancelled_when_its_service_was_killed_is(
    store: SimulatorStore, status: str, fate: str
) -> None:
    file = add_file(store, chat_lines(12))
    job_id = add_job(store, file, status=status, wanted="cancel", fate=fate)
    runner = JobRunner(store, BASE)
    runner.start()
    runner.stop()
    job = job_of(store, job_id)
    assert (job.status, job.error) == ("cancelled", None)
    assert job.finished_at is not None
    assert [event.message for event in store.list_events(job_id)].count(CANCELLED) == 1


def test_a_cancelled_jobs_checkpoints_stay_whatever_was_killed_first(
    store: SimulatorStore, runner: JobRunner
) -> None:
    job_id = add_job(store, add_file(store, chat_lines(12)), hyperparameters=LONG)
    until(lambda: store.list_checkpoints(job_id), "an epoch is done", PATIENCE)
    os.kill(pid_of(store, job_id), signal.SIGSTOP)  # it heeds nothing any more
    store.update_job(job_id, wanted="cancel")
    os.kill(pid_of(store, job_id), signal.SIGKILL)
    until(lambda: ended(store, job_id), "the job is cancelled", PATIENCE)
    job = job_of(store, job_id)
    assert (job.status, job.error) == ("cancelled", None)
    assert [event.message for event in store.list_events(job_id)].count(CANCELLED) == 1
    for checkpoint in store.list_checkpoints(job_id):
        model = store.get_model(checkpoint.model_name)
        assert model is not None
        assert model.adapter is not None
        folder = store.adapters_folder / model.adapter
        assert (folder / "adapter_model.safetensors").is_file()


def test_a_scenarios_job_is_never_trained_not_even_after_a_kill(
    store: SimulatorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")  # would fail the job at once
    file = add_file(store, chat_lines(10))
    staged = add_job(store, file, hyperparameters=SHORT, status="running", fate="job-fails")
    waiting = add_job(store, file, hyperparameters=SHORT, fate="job-fails")
    queued = add_job(store, file, hyperparameters=SHORT)
    runner = JobRunner(store, BASE)
    runner.start()
    until(lambda: ended(store, queued), "the other job is taken")
    runner.stop()
    assert job_of(store, queued).status == "failed"
    assert [job_of(store, job).status for job in (staged, waiting)] == ["running", "queued"]

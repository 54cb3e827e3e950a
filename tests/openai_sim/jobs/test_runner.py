"""The queue, and what becomes of jobs whose process or service is killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.sim_apps import (
    BASE,
    add_file,
    add_job,
    chat_lines,
    environment,
    job_of,
    steps_told,
)
from support.waiting import wait_for

from grader.core.errors import UsageError
from grader.core.openai_wire import ENDED
from grader.openai_sim.jobs.fork_server import ForkServer
from grader.openai_sim.jobs.job_state import CANCELLED
from grader.openai_sim.jobs.runner import JobRunner
from grader.openai_sim.jobs.training import train
from grader.openai_sim.store.store import SimulatorStore

# peft and transformers warn about each other's names; nothing here depends on them.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

# Seconds of training, so that there is time to kill something in the middle.
LONG = {"n_epochs": 8, "batch_size": 1}
LONG_STEPS = 8 * 12
# Many times as long, for jobs that are never to be done.
ENDLESS = {"n_epochs": 50, "batch_size": 1}
SHORT = {"n_epochs": 1, "batch_size": 8}
SERVICE = """
import sys, time
from pathlib import Path
from grader.openai_sim.jobs.runner import JobRunner
from grader.openai_sim.store.store import SimulatorStore
JobRunner(SimulatorStore(Path(sys.argv[1])), Path(sys.argv[2])).start()
time.sleep(600)
"""


@pytest.fixture
def store(tmp_path: Path) -> SimulatorStore:
    return SimulatorStore(tmp_path / "home")


@pytest.fixture
def runner(store: SimulatorStore, fork_server: ForkServer) -> Iterator[JobRunner]:
    runner = JobRunner(store, BASE)
    runner.start()
    yield runner
    runner.stop()


@pytest.fixture
def no_process_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python cannot be started, and there is no fork server yet."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setattr("grader.openai_sim.jobs.runner.FORK_SERVER", ForkServer())


def training(store: SimulatorStore, job_id: str, steps: int = 15) -> bool:
    return len(steps_told(store, job_id)) >= steps


def parent_of(pid: int) -> int:
    found = re.search(r"^PPid:\t(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


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
    first = add_job(store, file, hyperparameters=ENDLESS)
    second = add_job(store, file, hyperparameters=SHORT)
    wait_for(lambda: training(store, first, 1), "the first job trains")
    assert job_of(store, second).status == "queued"
    pid = pid_of(store, first)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: ended(store, second), "the second job ends")
    failed = job_of(store, first)
    assert (failed.status, failed.pid) == ("failed", None)
    assert failed.error is not None
    assert failed.error["code"] == "server_error"
    assert "not of your data" in failed.error["message"]
    assert job_of(store, second).status == "succeeded"


@pytest.mark.live(sample=1, of="killed service")
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
        wait_for(lambda: training(store, job_id), "the job trains")
        pid = pid_of(store, job_id)
        server = parent_of(pid)
        assert parent_of(server) == service.pid
    finally:
        service.kill()
        service.wait()
    wait_for(lambda: gone(pid), "the process of the job notices")
    wait_for(lambda: gone(server), "the fork server notices")
    left = job_of(store, job_id)
    told = len(steps_told(store, job_id))
    assert left.status == "running"
    assert told < LONG_STEPS
    runner = JobRunner(store, BASE)
    runner.start()
    wait_for(lambda: ended(store, job_id), "the job ends")
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
    job_id = add_job(store, add_file(store, chat_lines(12)), hyperparameters=ENDLESS)
    wait_for(lambda: training(store, job_id, 1), "the job trains")
    pid = pid_of(store, job_id)
    runner.stop()
    assert gone(pid)
    assert job_of(store, job_id).status == "running"
    assert (store.home / "jobs" / job_id / "state.safetensors").is_file()
    store.update_job(job_id, wanted="cancel")
    again = JobRunner(store, BASE)
    again.start()
    wait_for(lambda: ended(store, job_id), "the job is cancelled")
    again.stop()
    assert job_of(store, job_id).status == "cancelled"


@pytest.mark.usefixtures("no_process_starts")
def test_a_process_that_cannot_start_fails_its_job(store: SimulatorStore) -> None:
    runner = JobRunner(store, BASE)
    runner.start()
    job_id = add_job(store, add_file(store, chat_lines(12)), hyperparameters=SHORT)
    wait_for(lambda: ended(store, job_id), "the job fails")
    runner.stop()
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
    job_id = add_job(store, add_file(store, chat_lines(12)), hyperparameters=ENDLESS)
    wait_for(lambda: store.list_checkpoints(job_id), "an epoch is done")
    os.kill(pid_of(store, job_id), signal.SIGSTOP)  # it heeds nothing any more
    store.update_job(job_id, wanted="cancel")
    os.kill(pid_of(store, job_id), signal.SIGKILL)
    wait_for(lambda: ended(store, job_id), "the job is cancelled")
    job = job_of(store, job_id)
    assert (job.status, job.error) == ("cancelled", None)
    assert [event.message for event in store.list_events(job_id)].count(CANCELLED) == 1
    for checkpoint in store.list_checkpoints(job_id):
        model = store.get_model(checkpoint.model_name)
        assert model is not None
        assert model.adapter is not None
        folder = store.adapters_folder / model.adapter
        assert (folder / "adapter_model.safetensors").is_file()


@pytest.mark.usefixtures("no_process_starts")  # a job that is taken fails at once
def test_a_scenarios_job_is_never_trained_not_even_after_a_kill(store: SimulatorStore) -> None:
    file = add_file(store, chat_lines(10))
    staged = add_job(store, file, hyperparameters=SHORT, status="running", fate="job-fails")
    waiting = add_job(store, file, hyperparameters=SHORT, fate="job-fails")
    queued = add_job(store, file, hyperparameters=SHORT)
    runner = JobRunner(store, BASE)
    runner.start()
    wait_for(lambda: ended(store, queued), "the other job is taken")
    runner.stop()
    assert job_of(store, queued).status == "failed"
    assert [job_of(store, job).status for job in (staged, waiting)] == ["running", "queued"]

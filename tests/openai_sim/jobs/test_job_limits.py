"""What a job may use of the machine, and that nothing of it outlives its run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.sim_apps import BASE, add_file, add_job, chat_lines, environment, job_of, steps_told
from support.waiting import wait_for

from grader.assignment.load import load_assignment
from grader.model_service.simulated import Simulator
from grader.openai_sim.jobs.training import train
from grader.openai_sim.store.clock import ProgramClock
from grader.openai_sim.store.store import SimulatorStore

# peft and transformers warn about each other's names; nothing here depends on them.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

ENDLESS = {"n_epochs": 50, "batch_size": 1}
QUICK = {"n_epochs": 1, "batch_size": 4}


def limited(store: SimulatorStore, job_id: str, limit: str) -> int:
    """The exit code of a job's process that has a lower limit."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from grader.openai_sim.jobs import fork_server, limits, training\n"
        "fork_server.preload(Path(sys.argv[3]))\n"
        f"limits.{limit}\n"
        "training.run(sys.argv[1:])\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(store.home), job_id, str(BASE)]
    return subprocess.run(command, env=environment(), check=False, timeout=300).returncode


def long_lines(n: int, answers: int) -> list[dict[str, object]]:
    """Conversations of so many answers, each of which is a row with all that came before."""
    turn = [{"role": "user", "content": "Why? " * 8}, {"role": "assistant", "content": "So. " * 8}]
    return [{"messages": turn * answers} for _ in range(n)]


@pytest.mark.live(sample=1, of="job limits")
@pytest.mark.skipif(sys.platform != "linux", reason="no limit on data elsewhere")
def test_a_job_beyond_its_memory_fails_and_says_so(tmp_path: Path) -> None:
    store = SimulatorStore(tmp_path / "home")
    numbers = {"n_epochs": 1, "batch_size": 256}
    job_id = add_job(store, add_file(store, long_lines(2, 40)), hyperparameters=numbers)
    assert limited(store, job_id, "MEMORY_BYTES = 128 * 1024 * 1024") == 0
    failed = job_of(store, job_id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "memory_limit_exceeded"
    assert "fewer or shorter examples" in failed.error["message"]


@pytest.mark.live(sample=1, of="job limits")
def test_a_job_beyond_its_processor_time_fails_and_the_next_one_trains(tmp_path: Path) -> None:
    store = SimulatorStore(tmp_path / "home")
    file = add_file(store, chat_lines(12))
    endless = add_job(store, file, hyperparameters=ENDLESS)
    assert limited(store, endless, "CPU_SECONDS = 1") == 0
    failed = job_of(store, endless)
    assert failed.error is not None
    assert (failed.status, failed.error["code"]) == ("failed", "time_limit_exceeded")
    next_one = add_job(store, file, hyperparameters=QUICK)
    train(store, next_one, BASE)
    assert job_of(store, next_one).status == "succeeded"


def test_nothing_of_a_job_outlives_its_run(tmp_path: Path) -> None:
    """A job that would train for hours, in the middle of a step; and one that waits behind it."""
    trainings = tmp_path / "trainings"
    clock = ProgramClock()
    with Simulator(load_assignment("llm-methods").base, trainings, seed=1) as simulator:
        with simulator.service((), clock) as app:
            store = app.services.store  # type: ignore[attr-defined]
            file = add_file(store, long_lines(20, 60))
            jobs = [add_job(store, file, hyperparameters=ENDLESS, seed=n) for n in range(2)]
            wait_for(lambda: job_of(store, jobs[0]).pid, "the job trains")
            pid, home = job_of(store, jobs[0]).pid, store.home
            draft = home / "jobs" / jobs[0] / "recording"
            wait_for(draft.exists, "it is in the middle of a training")
            assert not steps_told(store, jobs[0])
        wait_for(lambda: not _alive(pid), "the process has ended")
        assert not home.exists()
        assert [path.name for path in trainings.iterdir()] == ["locks"]


def _alive(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()

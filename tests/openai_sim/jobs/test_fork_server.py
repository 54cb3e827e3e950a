"""The processes of jobs: what they are forked from, and what becomes of them without it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
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
from support.sim_processes import is_alive
from support.waiting import wait_for

from grader.core.constants import FORK_WITH_TORCH
from grader.core.openai_wire import ENDED
from grader.openai_sim.jobs import fork_server
from grader.openai_sim.jobs import runner as runner_module
from grader.openai_sim.jobs.fork_server import ForkServer
from grader.openai_sim.jobs.runner import JobRunner
from grader.openai_sim.store.store import SimulatorStore

pytestmark = pytest.mark.skipif(not FORK_WITH_TORCH, reason="no fork server on this platform")

LONG = {"n_epochs": 4, "batch_size": 1}
SHORT = {"n_epochs": 1, "batch_size": 8}


@pytest.fixture
def own_server(monkeypatch: pytest.MonkeyPatch) -> ForkServer:
    """A fork server that only the runners of this test hold."""
    server = ForkServer()
    monkeypatch.setattr(runner_module, "FORK_SERVER", server)
    return server


@contextmanager
def running(*homes: Path) -> Iterator[list[SimulatorStore]]:
    """Stores whose jobs are trained."""
    stores = [SimulatorStore(home) for home in homes]
    with ExitStack() as runners:
        for store in stores:
            runner = JobRunner(store, BASE)
            runner.start()
            runners.callback(runner.stop)
        yield stores


def job(store: SimulatorStore, numbers: dict[str, int]) -> str:
    return add_job(store, add_file(store, chat_lines(12)), hyperparameters=numbers)


def pid_of(store: SimulatorStore, job_id: str, steps: int = 1) -> int:
    """The process of a job that has done so many steps."""
    wait_for(lambda: len(steps_told(store, job_id)) >= steps, "the job trains")
    pid = job_of(store, job_id).pid
    assert pid is not None
    return pid


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def ended(store: SimulatorStore, *jobs: str) -> None:
    wait_for(lambda: all(job_of(store, one).status in ENDED for one in jobs), "jobs end")


def run_here(*lines: str) -> Sequence[object]:
    """What a new interpreter prints as JSON."""
    command = [sys.executable, "-W", "ignore", "-c", "\n".join(lines), str(BASE)]
    done = subprocess.run(command, env=environment(), capture_output=True, check=True)
    found: Sequence[object] = json.loads(done.stdout)
    return found


@pytest.mark.live(sample=1, of="fork server")
def test_what_is_forked_has_one_thread_and_nothing_of_the_web_service() -> None:
    modules, threads = run_here(
        "import json, os, sys",
        "from pathlib import Path",
        "from grader.openai_sim.jobs.fork_server import preload",
        "preload(Path(sys.argv[1]))",
        "modules = [name for name, module in sys.modules.items() if module is not None]",
        "print(json.dumps([modules, len(os.listdir('/proc/self/task'))]))",
    )
    assert isinstance(modules, list)
    assert {"torch", "peft", "grader.openai_sim.jobs.training"} <= set(modules)
    web = {"fastapi", "starlette", "uvicorn", "openai"}
    assert web.isdisjoint(modules)
    assert "bitsandbytes" not in modules  # slow to load, and there is nothing in 4 bits
    assert threads == 1


@pytest.mark.live(sample=1, of="fork server")
def test_all_stores_of_a_process_share_one_fork_server_which_ends_with_the_last(
    own_server: ForkServer, tmp_path: Path
) -> None:
    with running(tmp_path / "one", tmp_path / "two") as stores:
        processes = [pid_of(store, job(store, LONG)) for store in stores]
        servers = {parent_of(pid) for pid in processes}
        assert len(servers) == 1
        assert os.getpid() not in servers
    wait_for(lambda: not any(map(is_alive, [*processes, *servers])), "all end")


def test_a_jobs_process_holds_its_own_socket_and_files_alone(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    with running(tmp_path / "one", tmp_path / "two") as stores:
        first, second = (job(store, LONG) for store in stores)
        pid_of(stores[0], first)
        descriptors = Path(f"/proc/{pid_of(stores[1], second)}/fd")
        held = {path.name: os.readlink(path) for path in descriptors.iterdir()}
    assert [name for name, what in held.items() if what.startswith("socket:")] == ["0"]
    files = {Path(what) for what in held.values() if what.startswith("/")}
    assert not [file for file in files if file.is_relative_to(tmp_path / "one")]
    assert tmp_path / "two" / "jobs" / second / "log" in files


@pytest.mark.live(sample=1, of="fork server")
def test_a_killed_fork_server_harms_no_job(own_server: ForkServer, tmp_path: Path) -> None:
    with running(tmp_path / "home") as [store]:
        first, second = job(store, LONG), job(store, SHORT)
        server = parent_of(pid_of(store, first))
        os.kill(server, signal.SIGKILL)
        ended(store, first, second)
        assert [job_of(store, one).status for one in (first, second)] == ["succeeded"] * 2


@pytest.mark.live(sample=1, of="fork server")
def test_where_nothing_can_be_forked_jobs_are_trained_all_the_same(
    own_server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_server, "FORK_WITH_TORCH", False)
    with running(tmp_path / "home") as [store]:
        one = job(store, SHORT)
        assert parent_of(pid_of(store, one)) == os.getpid()
        ended(store, one)
        assert job_of(store, one).status == "succeeded"

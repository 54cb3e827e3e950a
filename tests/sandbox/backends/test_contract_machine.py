"""What every sandbox leaves on the machine: nothing, however the run or the grader ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.sandbox_runs import (
    MirrorService,
    groups_of,
    left_on_the_machine,
    mounts,
    processes_with,
    run,
    said,
)
from support.waiting import wait_for

from grader.sandbox.api import Sandbox

DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in range(3):
            os.close(fd)
        time.sleep(600)
    os._exit(0)
os.wait()
print("gone")
"""


@pytest.fixture
def warm(sandbox: Sandbox) -> Sandbox:
    """A sandbox that has run once: what is made once for a process has been made."""
    run(sandbox, "pass")
    return sandbox


@pytest.mark.parametrize("_repeat", range(2))
def test_daemons_end_with_the_program(warm: Sandbox, _repeat: int):
    marker = f"marker-{uuid.uuid4()}"
    assert said(run(warm, DAEMON, environment={"MARKER": marker})) == "gone\n"
    assert processes_with(marker) == []


@pytest.mark.parametrize(
    ("program", "limits"),
    [
        ("pass", {}),
        (DAEMON, {}),
        ("import time; time.sleep(600)", {"wall_seconds": 1.0}),
        (
            "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
            {"cpu_seconds": 1},
        ),
        ("k = []\nwhile True: k.append(b'x' * 2**20)", {}),
        ("import os\nwhile True: os.write(1, b'x' * 65536)", {"wall_seconds": 1.0}),
    ],
    ids=["nothing", "daemon", "sleep", "forks", "memory", "output"],
)
def test_nothing_is_left(warm: Sandbox, program: str, limits: dict[str, float]):
    before = left_on_the_machine()
    run(warm, program, serve=MirrorService, **limits)
    assert left_on_the_machine() == before


def test_nothing_is_left_when_the_service_fails(warm: Sandbox):
    before = left_on_the_machine()

    def serve(listener):
        listener.close()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(warm, "pass", serve=serve)
    assert left_on_the_machine() == before


def test_fifty_runs_over_two_threads_leave_nothing(warm: Sandbox):
    before = left_on_the_machine()
    with ThreadPoolExecutor(2) as pool:
        texts = pool.map(lambda at: said(run(warm, f"print({at})", serve=MirrorService)), range(50))
        assert list(texts) == [f"{at}\n" for at in range(50)]
    assert left_on_the_machine() == before


GRADER = """
import signal, sys, threading
from grader.sandbox.choose import BACKENDS
from support.sandbox_runs import MirrorService, run

def grade():
    print(run(BACKENDS[sys.argv[1]](), sys.argv[3], environment={"MARKER": sys.argv[2]},
              serve=MirrorService).verdict, flush=True)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in a shell's background ignores it
threads = [threading.Thread(target=grade, daemon=True) for _ in range(2)]
for one in threads: one.start()
grade()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_grader_that_is_killed_leaves_nothing(sandbox: Sandbox, number: int):
    marker = f"marker-{uuid.uuid4()}"
    program = DAEMON + "import time; time.sleep(600)"
    before = mounts()
    with subprocess.Popen(
        [sys.executable, "-c", GRADER, sandbox.name, marker, program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as grader:
        try:
            # three programs, each with a daemon, and what started them
            wait_for(lambda: len(processes_with(marker)) >= 3 * 2)
            os.killpg(grader.pid, number)  # as Ctrl-C does: all of its group
            grader.wait()
        finally:
            grader.kill()
        assert grader.stdout is not None
        assert grader.stdout.read() == b""  # no verdict about a program that was not to blame
    wait_for(lambda: processes_with(marker) == [])
    wait_for(lambda: not groups_of(grader.pid))
    wait_for(lambda: processes_with(f"finegrade-{grader.pid}-") == [])
    assert mounts() == before

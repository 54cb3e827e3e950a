"""What a run waited for a processor is told apart from what it slept."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from support.waiting import wait_for

from grader.sandbox import queue_delay
from grader.sandbox.queue_delay import QueueDelay

ONE_PROCESSOR = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
BUSY = ONE_PROCESSOR + "while True: pass"
ASLEEP = "import time\ntime.sleep(600)"


def started(program: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-I", "-c", program])


def test_only_who_was_ready_has_waited() -> None:
    """Two busy programs on one processor, and one that sleeps."""
    programs = [started(BUSY), started(BUSY), started(ASLEEP)]
    try:
        busy, asleep = QueueDelay(), QueueDelay()

        def has_waited() -> bool:
            busy.look([programs[0].pid])
            asleep.look([programs[2].pid])
            return busy.seconds > 0.2

        wait_for(has_waited)
        assert asleep.seconds < busy.seconds
    finally:
        for program in programs:
            program.kill()
            program.wait()


def test_threads_that_wait_for_each_other_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many that waited a second each, a second counts; and never more than has passed."""
    now = [100.0]
    monkeypatch.setattr(queue_delay, "time", SimpleNamespace(monotonic=lambda: now[0]))
    waited = {"1": 0, "2": 0}
    monkeypatch.setattr(QueueDelay, "_waited", staticmethod(lambda _: list(waited.items())))
    delay = QueueDelay()
    for passed, expected in ((10.0, 1.0), (10.0, 2.0), (0.5, 3.0)):
        now[0] += passed
        waited = {one: ns + 1_000_000_000 for one, ns in waited.items()}
        delay.look([1])
        assert delay.seconds == expected
    now[0] += 0.1
    waited = {one: ns + 900_000_000_000 for one, ns in waited.items()}
    delay.look([1])
    assert delay.seconds == pytest.approx(20.6)


def test_processes_that_have_ended_or_may_not_be_seen_count_nothing() -> None:
    delay = QueueDelay()
    delay.look([2**22 - 1, os.getpid()])
    assert delay.seconds >= 0

"""The faster clock, in processes of their own: what it shortens and what it leaves."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from support.program_clock import INSTALL
from support.waiting import PATIENCE


def printed(program: str) -> str:
    """What a program prints under a clock 5,000 times as fast; it has a minute."""
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", INSTALL + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_clock_moves_by_the_whole_sleep():
    assert (
        printed(
            """
            import time, datetime
            reads = {
                "time": time.time, "monotonic": time.monotonic, "counter": time.perf_counter,
                "time_ns": lambda: time.time_ns() / 1e9,
                "monotonic_ns": lambda: time.monotonic_ns() / 1e9,
                "counter_ns": lambda: time.perf_counter_ns() / 1e9,
                "now": lambda: datetime.datetime.now().timestamp(),
                "aware": lambda: datetime.datetime.now(datetime.timezone.utc).timestamp(),
                "today": lambda: datetime.datetime.today().timestamp(),
            }
            before = {name: read() for name, read in reads.items()}
            time.sleep(1000)
            moved = {name: read() - before[name] for name, read in reads.items()}
            print([name for name, by in moved.items() if not 1000 <= by < 2000])
            """
        )
        == "[]\n"
    )


def test_sleeps_side_by_side_move_the_clock_once():
    assert (
        printed(
            """
            import asyncio, threading, time
            began = time.monotonic()
            threads = [threading.Thread(target=time.sleep, args=(500,)) for _ in range(5)]
            for one in threads: one.start()
            for one in threads: one.join()
            print(500 <= time.monotonic() - began < 1000)

            async def all_at_once():
                return await asyncio.gather(*(asyncio.sleep(500, at) for at in range(5)))

            began = time.monotonic()
            print(asyncio.run(all_at_once()), 500 <= time.monotonic() - began < 1000)
            """
        )
        == "True\n[0, 1, 2, 3, 4] True\n"
    )


def test_deadlines_for_work_keep_real_time():
    """A sleep elsewhere moves the clock far beyond them, and they are not late."""
    assert (
        printed(
            """
            import asyncio, queue, threading, time
            mail = queue.Queue()
            waiter = threading.Thread(target=lambda: print(mail.get(timeout=30)))
            waiter.start()
            time.sleep(1000)
            mail.put("in time")
            waiter.join()

            async def slow():
                await asyncio.get_running_loop().run_in_executor(None, threading.Event().wait, 0.2)
                return "answer in time"

            async def main():
                work = asyncio.create_task(asyncio.wait_for(slow(), 30))
                await asyncio.sleep(2000)
                print(await work)

            asyncio.run(main())
            """
        )
        == "in time\nanswer in time\n"
    )


def test_time_outs_are_not_shortened():
    assert (
        printed(
            """
            import subprocess, sys, threading, socket
            code = "import threading; threading.Event().wait(0.4)"
            print(subprocess.run([sys.executable, "-c", code], timeout=50).returncode)
            done = threading.Event()
            threading.Timer(0.4, done.set).start()
            print(done.wait(30))
            """
        )
        == "0\nTrue\n"
    )


def test_dates_are_still_dates():
    assert printed(
        """
            import copy, pickle, time, datetime, sqlite3
            from datetime import datetime as D, timedelta, timezone
            now = D.now()
            print(isinstance(now, D), isinstance(now, datetime.date), type(now) is D)
            print(pickle.loads(pickle.dumps(now)) == now == copy.deepcopy(now))
            next_day = D(2026, 1, 2) + timedelta(days=1)
            print(next_day == D.fromisoformat("2026-01-03"), repr(D(1, 1, 1)))
            print(D.strptime("2026", "%Y").year, D.now(timezone.utc).tzinfo, D.utcnow().tzinfo)
            print(isinstance(5, D), issubclass(D, datetime.date), D.min < now < D.max)
            """
    ).splitlines() == [
        "True True True",
        "True",
        "True datetime.datetime(1, 1, 1, 0, 0)",
        "2026 UTC None",
        "False True True",
    ]


def test_errors_of_sleep_are_those_of_python():
    assert printed(
        """
            import time
            for value in (-1, "1", None, float("nan"), 1e300):
                try:
                    time.sleep(value)
                except (ValueError, TypeError, OverflowError) as error:
                    print(type(error).__name__)
            time.sleep(0); time.sleep(False); time.sleep(0.001)
            """
    ).split() == ["ValueError", "TypeError", "TypeError", "ValueError", "OverflowError"]


def test_a_fork_has_the_clock_as_well():
    assert (
        printed(
            """
            import os, time
            began = time.time()
            if os.fork() == 0:
                time.sleep(900)
                print(900 <= time.time() - began < 1500, flush=True)
                os._exit(0)
            os.wait()
            print(time.time() - began < 100)
            """
        )
        == "True\nTrue\n"
    )

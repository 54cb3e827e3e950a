"""A run's time is its program's own: what it slept, whatever the machine does meanwhile."""

from __future__ import annotations

import http.client
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from support.gateways import Echo, served
from support.program_clock import INSTALL
from support.sandbox_runs import run, said
from support.sandboxes import need_sandbox

from grader.assignment.load import load_assignment
from grader.model_service.gateway import Gateway
from grader.model_service.metering import GatewayLimits
from grader.model_service.record import ServiceRecord
from grader.model_service.simulated import Simulator
from grader.openai_sim.store.clock import ProgramClock
from grader.sandbox.api import ExitReason

RATE = 5000.0


@contextmanager
def counted(gateway: Gateway, clock: ProgramClock) -> Iterator[tuple[int, ServiceRecord]]:
    """The port of a service with this clock, and its record."""
    with served(gateway, Echo(), record=ServiceRecord(clock)) as (port, record):
        yield port, record


def printed(program: str, port: int) -> str:
    """What a program prints whose sleeps are waited for at this port."""
    install = INSTALL.replace(f"({RATE})", f"({RATE}, {port})")
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", install + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def sleep(port: int, seconds: object) -> int:
    """Sleep as the program's clock does; the response's status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request("POST", f"/program/sleep?{seconds}")
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("program", "slept"),
    [
        ("import time\nfor _ in range(7): time.sleep(5.5)", 38.5),
        ("import time\nfor _ in range(50): time.sleep(0.01)", 0.5),
        ("import time, socket\nsocket.setdefaulttimeout(0.01)\ntime.sleep(600)", 600.0),
        (
            "import asyncio\nasync def main():\n"
            "    await asyncio.gather(*(asyncio.sleep(10_000 + n) for n in range(20)))\n"
            "asyncio.run(main())",
            10_019.0,
        ),
        (
            "import threading, time\n"
            "many = [threading.Thread(target=time.sleep, args=(10_000,)) for _ in range(5)]\n"
            "for one in many: one.start()\nfor one in many: one.join()",
            10_000.0,
        ),
    ],
)
def test_the_service_counts_what_the_program_sleeps(
    gateway: Gateway, program: str, slept: float
) -> None:
    clock = ProgramClock(RATE)
    with counted(gateway, clock) as (port, record):
        printed(program, port)
    assert clock.now() == pytest.approx(slept, abs=0.11)
    assert not record.exchanges
    assert record.refused_requests == 0


def test_a_sleep_takes_its_time_whoever_asks_for_it(gateway: Gateway) -> None:
    clock = ProgramClock(rate=10.0)
    with counted(gateway, clock) as (port, _):
        printed(f"import time, urllib.request as u\n"
                f"began = time.perf_counter()\n"
                f"u.urlopen(u.Request('http://127.0.0.1:{port}/program/sleep?5', method='POST'))\n"
                f"assert time.perf_counter() - began >= 0.5", port)  # fmt: skip
        for wrong in ("", "-1", "nan", "inf", "1e99", "soon", "0"):
            assert sleep(port, wrong) == 400
    assert clock.now() == 5.0


def test_without_its_service_a_sleep_still_ends(gateway: Gateway) -> None:
    with counted(gateway, ProgramClock()) as (port, _):
        pass
    assert printed(
        "import time\nt = time.time()\ntime.sleep(900)\nprint(time.time() - t >= 900)", port
    )


def test_chance_is_the_same_in_each_run() -> None:
    program = "import random\nprint(random.random(), random.sample(range(99), 5))"
    assert printed(program, 9) == printed(program, 9)


def test_waiting_without_a_sleep_counts_in_whole_seconds(gateway: Gateway) -> None:
    """With an event, as here, or a signal, or another process. Work of less than that does not."""
    clock = ProgramClock(RATE)
    with counted(gateway, clock) as (port, _):
        printed(
            f"""
            import threading, urllib.request
            for seconds in (0.0, 0.5, 2.2):
                threading.Event().wait(seconds)
                urllib.request.urlopen("http://127.0.0.1:{port}/v1/x", data=b"{{}}").read()
            """,
            port,
        )
    assert clock.now() == 2.0


def test_a_program_that_sleeps_beyond_its_time_is_ended_always_at_the_same_request(
    gateway: Gateway,
) -> None:
    """However long the real limit of its wall time is."""
    counts = []
    for _ in range(2):
        record = ServiceRecord(ProgramClock(RATE, limit=1000.0))
        ended = run(
            need_sandbox(),
            """
            import time, urllib.request
            while True:
                time.sleep(30)
                urllib.request.urlopen("http://127.0.0.1:8000/v1/x", data=b"{}").read()
            """,
            serve=lambda listener, record=record: gateway.serve(  # type: ignore[misc]
                Echo(), record, GatewayLimits(), listener
            ),
            clock_rate=RATE,
            wall_seconds=600.0,
        )
        assert ended.verdict is ExitReason.TIMEOUT
        counts.append([exchange.at for exchange in record.exchanges])
    assert counts[0] == counts[1]
    assert len(counts[0]) == 33


def test_the_sandbox_hands_sleeps_to_the_service(gateway: Gateway) -> None:
    record = ServiceRecord(ProgramClock(RATE))
    ended = run(
        need_sandbox(),
        "import time\ntime.sleep(300)\nprint('awake')",
        serve=lambda listener: gateway.serve(Echo(), record, GatewayLimits(), listener),
        clock_rate=RATE,
    )
    assert said(ended) == "awake\n"
    assert record.clock.now() == 300.0


# --- jobs on the program's clock ----------------------------------------------------------------


@pytest.fixture
def jobs(gateway: Gateway, trainings: Path) -> Iterator[Callable[..., Any]]:
    """Does something with the only job of a simulated service; returns what the job is then."""
    base, clock = load_assignment("llm-methods").base, ProgramClock(RATE)
    lines = b"\n".join(
        b'{"messages": [{"role": "user", "content": "%d"}, {"role": "assistant", "content": "b"}]}'
        % n
        for n in range(12)
    )
    with (
        Simulator(base, trainings, seed=0) as simulator,
        simulator.service(["ok"], clock) as app,
        served(gateway, app, record=ServiceRecord(clock)) as (port, _),
        openai.OpenAI(
            base_url=f"http://127.0.0.1:{port}/v1", api_key="run", max_retries=0
        ) as client,
    ):
        file = client.files.create(file=("train.jsonl", lines), purpose="fine-tune")
        job = client.fine_tuning.jobs.create(
            model="gpt-4.1-mini", training_file=file.id, hyperparameters={"n_epochs": 1}
        )

        def act(what: str, seconds: float = 0.0) -> Any:
            if seconds:
                assert sleep(port, seconds) == 204
            if what == "steps":
                events = client.fine_tuning.jobs.list_events(job.id, limit=100).data
                return sum(event.type == "metrics" for event in events)
            return getattr(client.fine_tuning.jobs, what)(job.id).status

        yield act


def test_a_job_lives_by_its_programs_clock(jobs: Callable[..., Any]) -> None:
    """12 steps in two minutes, after one second of validation; each poll takes a second."""
    assert jobs("retrieve", 8) == "running"  # at 9, 8 seconds after its start
    assert jobs("steps") == 0  # at 10
    assert jobs("steps") == 1  # at 11: a step takes 10 seconds
    assert jobs("steps", 53) == 6  # at 65
    assert jobs("pause") == "paused"
    assert jobs("steps", 500) == 6
    assert jobs("resume") == "running"
    assert jobs("steps", 9) == 7
    assert jobs("retrieve", 48) == "running"
    assert jobs("retrieve") == "succeeded"
    assert jobs("steps", 1000) == 12


def test_a_job_is_cancelled_where_its_program_sees_it(jobs: Callable[..., Any]) -> None:
    assert jobs("steps", 60) == 6
    assert jobs("cancel") == "cancelled"
    assert jobs("steps", 500) == 6


def test_who_sleeps_long_enough_finds_the_job_done(jobs: Callable[..., Any]) -> None:
    assert jobs("retrieve", 3600) == "succeeded"
    assert jobs("steps") == 12


def test_a_program_that_never_waits_sees_the_end_as_well(jobs: Callable[..., Any]) -> None:
    polls = 1
    while jobs("retrieve") != "succeeded":
        polls += 1
    assert polls == 121

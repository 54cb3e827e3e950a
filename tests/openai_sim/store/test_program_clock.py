"""A run's wall time stands still while its service works, not while the program has the turn."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from grader.openai_sim.store import clock
from grader.openai_sim.store.clock import ProgramClock


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The real time, which passes when the test says so."""
    at = [1000.0]
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: at[0]))
    return at


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_what_the_service_works_does_not_count(now: list[float]) -> None:
    mine = ProgramClock()
    now[0] += 5.0
    with mine.request():
        now[0] += 2.0
        assert mine.held_seconds == 2.0, "also before it is done"
        with mine.request():  # both at once are one time
            now[0] += 1.0
        with mine.client_turn():
            now[0] += 30.0
        now[0] += 0.5
    now[0] += 7.0
    assert mine.held_seconds == 3.5


def test_a_sleep_is_the_programs_and_what_a_job_then_needs_is_not(now: list[float]) -> None:
    mine = ProgramClock(rate=1e6)
    looks = []

    def settled() -> bool:
        now[0] += 10.0  # a look later
        looks.append(now[0])
        return len(looks) > 3

    async def sleeps() -> None:
        mine._settled = settled
        with mine.request():
            asleep = asyncio.ensure_future(mine.sleep(60.0))
            await asyncio.sleep(0)
            now[0] += 100.0
            await asleep

    run(sleeps())
    assert mine.held_seconds == pytest.approx(10.0 * len(looks))


def test_no_program_stops_its_time_for_ever(now: list[float]) -> None:
    mine = ProgramClock()
    for _ in range(3):
        with mine.request():
            now[0] += 1e6
    assert mine.held_seconds == clock._HELD_MOST_SECONDS

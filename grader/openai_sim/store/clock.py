"""The time that jobs live by: this machine's, or the own time of the one program that is served.

In a graded run a job's life is measured on the program's clock, so that what the program sees of
it is the same on a busy machine and on an idle one. The program's sleeps come to the service as
requests, and the service counts them itself: a program that says it sleeps has to wait like one
that does. A response, or the end of a sleep, is held back until the job is where it should be.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

_FILE: Final = "clock"  # below a service's folder
_POLL_SECONDS: Final = 1.0  # that a look at a job takes at least: one without sleeps ends as well
_REQUEST_SECONDS: Final = 0.001  # so that no two requests begin at the same time
_OTHER_WAIT_SECONDS: Final = 2.0  # of real time without a request or a sleep: less is work
_SHORTEST_HOLD: Final = 0.002  # real seconds that a sleep takes at least
_HELD_MOST_SECONDS: Final = 1200.0  # real ones; else a program could hold the grader for hours
_LOOK_SECONDS: Final = 0.01  # between two looks whether jobs are where they should be


class Clock(Protocol):
    """What jobs and scenarios need to know of time."""

    def now(self) -> float:
        """Seconds since some moment; only differences mean something."""

    def lasting(self, seconds: float) -> float:
        """How long a wait of the real service lasts on this clock."""

    def real(self, seconds: float) -> float:
        """How long a wait of the real service lasts for a client that sits on a connection."""

    async def caught_up(self) -> None:
        """Returns when jobs are where they should be at this time."""


class MachineClock:
    """Unix time; waits of the service are multiplied by `scale`."""

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale

    def now(self) -> float:
        return time.time()

    def lasting(self, seconds: float) -> float:
        return self._scale * seconds

    def real(self, seconds: float) -> float:
        return self._scale * seconds

    async def caught_up(self) -> None:
        """Jobs are always where they are."""


class ProgramClock:
    """The own time of a run's program, as its service counts it; begins at 0.

    A sleep of `s` seconds takes at least s / `rate` real seconds and moves the clock by `s`; those
    side by side move it once. Real time counts only where the program neither works nor sleeps nor
    waits for a response, which is taken to be so in whole seconds from the second one on. A sleep
    beyond `limit` never ends: the run is over then. For one event loop.
    """

    def __init__(self, rate: float = 1.0, limit: float = float("inf")) -> None:
        self._rate, self._limit = rate, limit
        self._waited = 0.0
        self._requests = self._polls = 0
        self._under_way = 0
        self._idle_since: float | None = None
        self._file: int | None = None
        self._moved: Callable[[], None] | None = None
        self._settled: Callable[[], bool] | None = None
        self.time_is_up = False
        """Whether a sleep has gone beyond the limit."""
        self._held = 0.0
        self._sleeping = self._waiting_for_client = 0
        self._counted_to = time.monotonic()

    @property
    def held_seconds(self) -> float:
        """Real seconds in which the service worked, or a job had to catch up: the run's wall time
        stands still then. May be read in any thread."""
        return min(_HELD_MOST_SECONDS, self._held + self._since_counted())

    def now(self) -> float:
        """The time that jobs live by: what the program waited, and a second for each poll."""
        return self._waited + _POLL_SECONDS * self._polls

    def seconds(self) -> float:
        """What the program waited; each request adds a millisecond, so that they have an order."""
        return self._waited + _REQUEST_SECONDS * self._requests

    def lasting(self, seconds: float) -> float:
        return seconds

    def real(self, seconds: float) -> float:
        return seconds / self._rate

    async def caught_up(self) -> None:
        await self._caught_up(float("inf"))

    @contextmanager
    def governing(
        self, home: Path, moved: Callable[[], None], settled: Callable[[], bool]
    ) -> Iterator[None]:
        """Let the jobs of the service in `home` live by this clock.

        `moved` is called when time has passed; what caused that goes on once `settled` is true.
        """
        self._file = os.open(home / _FILE, os.O_WRONLY | os.O_CREAT, 0o600)
        self._moved, self._settled = moved, settled
        self._write()
        try:
            yield
        finally:
            self._moved = self._settled = None
            os.close(self._file)
            self._file = None

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request or a sleep is under way."""
        self._waited += self._otherwise_waited()
        self._requests += 1
        self._count()
        self._under_way += 1
        try:
            yield
        finally:
            self._count()
            self._under_way -= 1
            self._idle_since = time.monotonic()

    @contextmanager
    def client_turn(self) -> Iterator[None]:
        """The service waits for the program to send or to read: that is the program's time."""
        self._count()
        self._waiting_for_client += 1
        try:
            yield
        finally:
            self._count()
            self._waiting_for_client -= 1

    def _count(self) -> None:
        """Count the real time up to now, before what is under way changes."""
        self._held += self._since_counted()
        self._counted_to = time.monotonic()

    def _since_counted(self) -> float:
        works = self._under_way > self._sleeping + self._waiting_for_client
        return time.monotonic() - self._counted_to if works else 0.0

    async def poll(self, patience: float) -> None:
        """The program asks for a job; returns when jobs are where they should be.

        Or after `patience` real seconds, since its client may not wait for longer.
        """
        self._polls += 1
        await self._advanced(patience)

    async def sleep(self, seconds: float) -> None:
        """The program sleeps; returns when it may wake."""
        wakes = self._waited + seconds
        self._count()
        self._sleeping += 1
        try:
            if wakes > self._limit:
                self.time_is_up = True
                await asyncio.get_running_loop().create_future()  # until the run is ended
            await asyncio.sleep(max(seconds / self._rate, _SHORTEST_HOLD))
        finally:
            self._count()
            self._sleeping -= 1
        self._waited = max(self._waited, wakes)
        await self._advanced(float("inf"))

    def _otherwise_waited(self) -> float:
        """Since the last response: with an event, a signal or another process, not with a sleep."""
        if self._under_way or self._idle_since is None:
            return 0.0
        idle = time.monotonic() - self._idle_since
        return float(int(idle)) if idle >= _OTHER_WAIT_SECONDS else 0.0

    async def _advanced(self, patience: float) -> None:
        self._write()
        if self._moved is not None:
            self._moved()
        await self._caught_up(patience)

    async def _caught_up(self, patience: float) -> None:
        until = time.monotonic() + patience
        while self._settled is not None and not self._settled() and time.monotonic() < until:
            await asyncio.sleep(_LOOK_SECONDS)

    def _write(self) -> None:
        if self._file is not None:
            _write(self._file, self.now())


class JobPace:
    """How far a job may go, seen from the process that trains it.

    Its steps take `step_seconds` each on the program's clock, from `began` on.
    """

    def __init__(self, home: Path, job_folder: Path, began: float, step_seconds: float) -> None:
        self._clock = home / _FILE
        self._reached = os.open(job_folder / _FILE, os.O_WRONLY | os.O_CREAT, 0o600)
        self._began, self._step_seconds = began, step_seconds

    def allows(self, steps: int) -> bool:
        """Whether so many steps may be done since it began; if not, the job is where it should."""
        now = read_seconds(self._clock)
        if now >= self._began + steps * self._step_seconds:
            return True
        _write(self._reached, now)
        return False


def program_time(home: Path) -> float | None:
    """The program's clock of the service in this folder; None where jobs live by the machine's."""
    file = home / _FILE
    return read_seconds(file) if file.exists() else None


def reached(job_folder: Path) -> float:
    """Up to which time a job has done all that it may; -1 for a job that has not begun."""
    file = job_folder / _FILE
    return read_seconds(file) if file.exists() else -1.0


def read_seconds(file: Path) -> float:
    """What another process wrote; -1 where nothing is written yet."""
    data = file.read_bytes()
    return float(struct.unpack("d", data)[0]) if len(data) == 8 else -1.0


def _write(file: int, seconds: float) -> None:
    os.pwrite(file, struct.pack("d", seconds), 0)

"""Amounts of which parts are reserved before they are used and settled afterwards.

What is reserved counts as used until it is settled, so that many requests at once stay within the
limit, and so does what nobody could settle because the grader was killed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grader.core.errors import GraderFault

_TABLE: Final = "CREATE TABLE IF NOT EXISTS spending (usd REAL NOT NULL) STRICT"
_FIRST: Final = "INSERT INTO spending SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM spending)"
_BUSY_SECONDS: Final = 30.0  # that a writer waits for another


class UsedUp(Exception):
    """The rest of the allowance is too small."""


@dataclass(slots=True)
class Reservation:
    """A part of an allowance. `used` is what is settled at the end: all of it, if nobody knows."""

    used: float


class Allowance:
    """An amount that must not be exceeded. For one event loop at a time."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._used = 0.0
        self._open = 0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def used(self) -> float:
        """What was used or is reserved."""
        return self._used

    @asynccontextmanager
    async def reserve(self, amount: float) -> AsyncIterator[Reservation]:
        """Reserve `amount`, until the context ends. Waits for other reservations to be settled.

        Raises UsedUp where it does not fit when none is left.
        """
        while not self._take(amount):
            if not self._open:
                raise UsedUp
            settled = asyncio.get_running_loop().create_future()
            self._waiting.append(settled)
            await settled
        self._open += 1
        reservation = Reservation(amount)
        try:
            yield reservation
        finally:
            self._open -= 1
            self._give_back(amount - reservation.used)
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    def _take(self, amount: float) -> bool:
        if self._used + amount > self.limit:
            return False
        self._used += amount
        return True

    def _give_back(self, amount: float) -> None:
        self._used -= amount


class Budget(Allowance):
    """USD for a class. What was spent lies in the evidence store, so that the next grading goes on
    counting, and two at once share the budget."""

    def __init__(self, limit: float, store: Path) -> None:
        """Raises GraderFault where the store cannot be used."""
        super().__init__(limit)
        try:
            store.touch(mode=0o600)  # it holds hidden questions
            self._db = sqlite3.connect(
                store, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            # Without a wait for the disk: what is committed is there when this process is killed.
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(_TABLE)
            self._db.execute(_FIRST)
        except (OSError, sqlite3.Error) as error:
            raise GraderFault(f"{store} cannot keep what was spent: {error}") from error

    @property
    def used(self) -> float:
        """USD spent or reserved in all gradings of this store."""
        return float(self._db.execute("SELECT usd FROM spending").fetchone()[0])

    def close(self) -> None:
        """Close the store."""
        self._db.close()

    def _take(self, amount: float) -> bool:
        sql = "UPDATE spending SET usd = usd + ? WHERE usd + ? <= ?"
        return self._db.execute(sql, (amount, amount, self.limit)).rowcount > 0

    def _give_back(self, amount: float) -> None:
        self._db.execute("UPDATE spending SET usd = usd - ?", (amount,))

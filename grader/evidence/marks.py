"""What an instructor set and gave out: rubrics, released marks, regrade requests. Append-only."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS rubric (
    position INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, name TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS release (
    position INTEGER PRIMARY KEY AUTOINCREMENT, student TEXT NOT NULL, marks TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS request (
    position INTEGER PRIMARY KEY AUTOINCREMENT, student TEXT NOT NULL, criterion TEXT NOT NULL,
    text TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'changed', 'declined', 'withdrawn'))
) STRICT;
"""


class RequestState(StrEnum):
    """What became of a student's request to look at a mark again."""

    OPEN = "open"
    CHANGED = "changed"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class RegradeRequest:
    """A student asks to look at one criterion's mark again; `reason` answers the `text`.

    `came` is a time in UTC, as ISO 8601, "" as long as it is not in the log.
    """

    student: str
    criterion: str
    text: str
    state: RequestState = RequestState.OPEN
    reason: str = ""
    came: str = field(default="", compare=False)

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from others; a later entry of the same key answers it."""
        return self.student, self.criterion, self.text


class MarksLog:
    """The log of one store."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rubric(self) -> tuple[str, str] | None:
        """(key of its text, name) of the rubric that was given last; the key is "" for one that is
        installed. None where none was ever given.
        """
        row = self._connection.execute(
            "SELECT key, name FROM rubric ORDER BY position DESC LIMIT 1"
        ).fetchone()
        return None if row is None else (row[0], row[1])

    def set_rubric(self, key: str, name: str) -> None:
        """Note the rubric that counts from now on."""
        if self.rubric() == (key, name):
            return
        with self._connection:
            self._connection.execute(
                "INSERT INTO rubric (key, name, at) VALUES (?, ?, ?)", (key, name, now())
            )

    def released(self) -> dict[str, str]:
        """By student, the key under which the marks that were released last are kept."""
        rows = self._connection.execute("SELECT student, marks FROM release ORDER BY position")
        return dict(rows.fetchall())

    def release(self, marks: Mapping[str, str]) -> None:
        """Note the marks of these students as released, all in one transaction."""
        at = now()
        with self._connection:
            self._connection.executemany(
                "INSERT INTO release (student, marks, at) VALUES (?, ?, ?)",
                [(student, key, at) for student, key in marks.items()],
            )

    def requests(self) -> list[RegradeRequest]:
        """Every request as it stands, in the order in which they came: its place there stays."""
        rows = self._connection.execute(
            "SELECT student, criterion, text, state, reason, at FROM request ORDER BY position"
        )
        found: dict[tuple[str, str, str], RegradeRequest] = {}
        for student, criterion, text, state, reason, at in rows:
            one = RegradeRequest(student, criterion, text, RequestState(state), reason, at)
            held = found.get(one.key, one)
            found[one.key] = replace(one, came=held.came)
        return list(found.values())

    def note_requests(self, requests: Sequence[RegradeRequest]) -> None:
        """Append requests, or what became of them, all in one transaction."""
        at = now()
        with self._connection:
            self._connection.executemany(
                "INSERT INTO request (student, criterion, text, state, reason, at) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                [(r.student, r.criterion, r.text, r.state, r.reason, at) for r in requests],
            )


def now() -> str:
    """The time in UTC, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")

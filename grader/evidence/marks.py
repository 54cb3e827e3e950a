"""What an instructor set and gave out: rubrics, released marks, regrade requests. Append-only."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS rubric (
    position INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, name TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;
"""


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


def now() -> str:
    """The time in UTC, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")

"""The evidence store: one SQLite file, keyed by content, safe against a kill at any moment.

WAL with full synchronisation: what was put is there after a crash; a killed run resumes where it
stopped. It must lie on a local disk (WAL does not work on network file systems).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grader.errors import GraderFault
from grader.model import Evidence

_SCHEMA = """
CREATE TABLE IF NOT EXISTS evidence (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, payload TEXT NOT NULL, cost TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS register (
    student TEXT PRIMARY KEY, submitted_at TEXT, sketch TEXT NOT NULL
) STRICT;
"""


class Store:
    """Evidence by key, and the class register of adapter sketches."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, key: str) -> Evidence | None:
        """The evidence of this key, or None when it was never collected."""
        row = self._connection.execute(
            "SELECT kind, payload, cost FROM evidence WHERE key = ?", (key,)
        ).fetchone()
        return Evidence(row[0], key, json.loads(row[1]), json.loads(row[2])) if row else None

    def put(self, evidence: Evidence) -> None:
        """Keep this evidence; the first of a key stays, since all of a key are equal."""
        self._write(
            "INSERT INTO evidence VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                evidence.key,
                evidence.kind,
                json.dumps(evidence.payload),
                json.dumps(evidence.cost),
            ),
        )

    def register(self, student: str, submitted_at: str | None, sketch: tuple[float, ...]) -> None:
        """Note the adapter that this student handed in last."""
        self._write(
            "INSERT INTO register VALUES (?, ?, ?) ON CONFLICT (student) DO UPDATE "
            "SET submitted_at = excluded.submitted_at, sketch = excluded.sketch",
            (student, submitted_at, json.dumps(sketch)),
        )

    def unregister(self, student: str) -> None:
        """Forget this student's adapter: the latest submission has none that can be read."""
        self._write("DELETE FROM register WHERE student = ?", (student,))

    def registered(self) -> list[tuple[str, str | None, tuple[float, ...]]]:
        """(student, submitted_at, sketch) of the whole class, by student."""
        rows = self._connection.execute("SELECT * FROM register ORDER BY student")
        return [(student, at, tuple(json.loads(sketch))) for student, at, sketch in rows]

    def damage(self) -> str | None:
        """What is wrong with the file, None where nothing is. Raises sqlite3.Error for no store."""
        self._connection.execute("SELECT key, kind, payload, cost FROM evidence LIMIT 1")
        (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        return None if found == "ok" else str(found)

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        try:
            with self._connection:
                self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise GraderFault(f"the evidence store cannot be written: {error}") from error


@contextmanager
def read_store(path: Path) -> Iterator[Store]:
    """Open a store to read from only, and change nothing of it. Raises sqlite3.Error."""
    path = path.resolve()
    log = path.with_name(f"{path.name}-wal")
    # Without a log to read too, nothing needs to be written beside it, not even a lock: it may lie
    # in a folder that is read-only.
    alone = not log.exists() or not log.stat().st_size
    options = "mode=ro&immutable=1" if alone else "mode=ro"
    connection = sqlite3.connect(f"{path.as_uri()}?{options}", uri=True, timeout=30)
    try:
        yield Store(connection)
    finally:
        connection.close()


@contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """Open or create the store; GraderFault when the file is not one or cannot be used."""
    try:
        path.touch(mode=0o600)  # it holds hidden questions, whatever the folder's own mode
        connection = sqlite3.connect(path, timeout=30)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_SCHEMA)
    except (OSError, sqlite3.Error) as error:
        raise GraderFault(f"{path} cannot be used as evidence store: {error}") from error
    try:
        yield Store(connection)
    finally:
        connection.close()

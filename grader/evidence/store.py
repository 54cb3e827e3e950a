"""The evidence store: one SQLite file, keyed by content, safe against a kill at any moment.

WAL with full synchronisation: what was put is there after a crash; a killed run resumes where it
stopped. It must lie on a local disk (WAL does not work on network file systems).

What a class wants is collected once: what the store has is not run again.

Wants are values; equal wants of different students share one key and one run. What runs them is a
producer, one for each kind of evidence.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from grader.core.errors import GraderFault
from grader.core.nouns import Evidence

_SCHEMA = """
CREATE TABLE IF NOT EXISTS evidence (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, payload TEXT NOT NULL, cost TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS register (
    student TEXT PRIMARY KEY, submitted_at TEXT, sketch TEXT NOT NULL
) STRICT;
"""


class EvidenceStore:
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
def read_store(path: Path) -> Iterator[EvidenceStore]:
    """Open a store to read from only, and change nothing of it. Raises sqlite3.Error."""
    path = path.resolve()
    log = path.with_name(f"{path.name}-wal")
    # Without a log to read too, nothing needs to be written beside it, not even a lock: it may lie
    # in a folder that is read-only.
    alone = not log.exists() or not log.stat().st_size
    options = "mode=ro&immutable=1" if alone else "mode=ro"
    connection = sqlite3.connect(f"{path.as_uri()}?{options}", uri=True, timeout=30)
    try:
        yield EvidenceStore(connection)
    finally:
        connection.close()


@contextmanager
def open_store(path: Path) -> Iterator[EvidenceStore]:
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
        yield EvidenceStore(connection)
    finally:
        connection.close()


class Progress(Protocol):
    """Hears how far long work has come; the command line draws it."""

    def start(self, stage: str, total: int) -> None:
        """A stage of `total` steps begins."""

    def step(self, label: str) -> None:
        """One step is done."""


@dataclass(frozen=True, slots=True)
class EvidenceRequest:
    """One evidence that one student's grading needs; `work` is what its producer runs."""

    student: str
    id: str
    kind: str
    key: str
    work: Any


class Producer(Protocol):
    """Runs what is wanted of one kind."""

    def produce(
        self,
        new: Mapping[str, EvidenceRequest],
        put: Callable[[Evidence], None],
        progress: Progress,
    ) -> dict[str, str]:
        """Run these wants, by key, and `put` what each gave as soon as it is there.

        Returns for each key that failed the reason: one want's trouble leaves the others alone.
        Raises UsageError where nothing can run and the user can mend it. `put` is called in the
        thread of the caller only.
        """


@dataclass(slots=True)
class Collected:
    """Evidence by (student, evidence id), and for what could not be collected the reason."""

    evidence: dict[tuple[str, str], Evidence] = field(default_factory=dict)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)
    ran: int = 0


def collect(
    wants: Sequence[EvidenceRequest],
    store: EvidenceStore,
    producers: Mapping[str, Producer],
    progress: Progress,
    earlier: Callable[[str], Evidence | None] = lambda key: None,
) -> Collected:
    """Fetch or produce all that is wanted; `producers` by kind.

    `earlier` may know the evidence of a key from elsewhere; it is kept in this store, too.
    """
    collected = Collected()
    failed: dict[str, str] = {}
    for kind, producer in producers.items():
        mine = {want.key: want for want in wants if want.kind == kind}
        new = {}
        for key, want in mine.items():
            if store.get(key) is not None:
                continue
            known = earlier(key)
            if known is not None:
                store.put(known)
            else:
                new[key] = want
        if new:
            troubles = producer.produce(new, store.put, progress)
            collected.ran += len(new) - len(troubles)
            failed |= troubles
    for want in wants:
        evidence = store.get(want.key)
        if evidence is None:
            collected.missing[want.student, want.id] = failed.get(want.key, "not collected")
        else:
            collected.evidence[want.student, want.id] = evidence
    return collected


def reason(error: Exception) -> str:
    """Why a want failed, for the instructor."""
    return f"{type(error).__name__}: {error}"

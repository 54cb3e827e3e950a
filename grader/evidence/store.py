"""The evidence store: one SQLite file, keyed by content, safe against a kill at any moment.

WAL with full synchronisation: what was put is there after a crash; a killed run resumes where it
stopped. It must lie on a local disk (WAL does not work on network file systems).

Recordings are what programs asked and were answered when an earlier grading ran them: the exchanges
of each run, in the store of that grading; its results say which evidence is whose. Another grading
may run a program under other limits or in another sandbox: as long as it asks the same, its model
service can answer from the recording and needs no model.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from grader.checks.api.context import AnswerTraits, Classmate
from grader.core.errors import GraderFault, UsageError
from grader.core.nouns import Evidence
from grader.evidence import marks, review
from grader.model_service.record import CLIENT_LEFT, Exchange

INSTEAD: Final = "Grade again without --replay."
_ENDED_BY_ITSELF: Final = ("ok", "exit")

_SCHEMA_FIRST: Final = re.compile(rb'\{"schema": "([^"\\]{1,100})"')
_SCHEMA_BYTES: Final = 128  # of a payload, in which its schema stands

_SCHEMA = """
CREATE TABLE IF NOT EXISTS evidence (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, payload TEXT NOT NULL, cost TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS submission (student TEXT PRIMARY KEY, place TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS register (
    student TEXT PRIMARY KEY, submitted_at TEXT, sketch TEXT NOT NULL
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class StoredEvidence:
    """What the store tells of evidence without reading it: the schema that its payload names first
    (None where it names none there), its cost, and its size."""

    schema: str | None
    cost: Mapping[str, float]
    size_bytes: int


class EvidenceStore:
    """Evidence by key, and the class register of adapters."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.reviews = review.ReviewLog(connection)
        """What people judged."""
        self.marks = marks.MarksLog(connection)
        """What the instructor set and gave out."""

    def get(self, key: str) -> Evidence | None:
        """The evidence of this key, or None when it was never collected."""
        row = self._connection.execute(
            "SELECT kind, payload, cost FROM evidence WHERE key = ?", (key,)
        ).fetchone()
        return Evidence(row[0], key, json.loads(row[1]), json.loads(row[2])) if row else None

    def about(self, key: str) -> StoredEvidence | None:
        """What is known of evidence without reading it, or None when it was never collected."""
        row = self._connection.execute(
            "SELECT rowid, cost FROM evidence WHERE key = ?", (key,)
        ).fetchone()
        if row is None:
            return None
        with self._connection.blobopen("evidence", "payload", row[0], readonly=True) as payload:
            schema = _SCHEMA_FIRST.match(payload.read(_SCHEMA_BYTES))
            size = len(payload)
        name = schema[1].decode() if schema is not None else None
        return StoredEvidence(name, json.loads(row[1]), size)

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

    def register(self, student: str, adapters: Sequence[Classmate]) -> None:
        """Note the adapters that this student submitted last; without any, forget the student."""
        self._write("DELETE FROM register WHERE student = ?", (student,))
        if adapters:
            stored = json.dumps([_stored(adapter) for adapter in adapters])
            self._write(
                "INSERT INTO register VALUES (?, ?, ?)",
                (student, adapters[0].submitted_at, stored),
            )

    def registered(self) -> list[Classmate]:
        """The adapters of the whole class, by student."""
        rows = self._connection.execute("SELECT * FROM register ORDER BY student")
        return [
            _classmate(student, at, one)
            for student, at, text in rows
            for one in _several(json.loads(text))
        ]

    def places(self) -> dict[str, str]:
        """By student, the path of the submission that was graded last."""
        return dict(self._connection.execute("SELECT student, place FROM submission"))

    def note_place(self, student: str, place: str) -> None:
        """Note where the submission of this student lies."""
        self._write(
            "INSERT INTO submission VALUES (?, ?) ON CONFLICT (student) DO UPDATE "
            "SET place = excluded.place",
            (student, place),
        )

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


def _stored(adapter: Classmate) -> dict[str, Any]:
    """An adapter of the register as JSON."""
    value: dict[str, Any] = {"sketch": adapter.sketch}
    if adapter.row_space is not None:
        value["row_space"] = base64.b64encode(adapter.row_space).decode()
    if adapter.traits is not None:
        value["asked"] = adapter.traits.asked
        value["wrong"] = base64.b64encode(adapter.traits.wrong).decode()
        value["logliks"] = base64.b64encode(adapter.traits.logliks).decode()
    return value


def _several(stored: list[Any]) -> list[Any]:
    """Stores of before a submission could hold several adapters have one sketch, not a list."""
    return stored if isinstance(stored[0], list | dict) else [stored]


def _classmate(student: str, submitted_at: str | None, stored: Any) -> Classmate:
    """The reverse of `_stored`; earlier stores have the sketch alone."""
    if isinstance(stored, list):
        return Classmate(student, submitted_at, tuple(stored))
    known = Classmate(student, submitted_at, tuple(stored["sketch"]))
    if "row_space" in stored:
        known = replace(known, row_space=base64.b64decode(stored["row_space"]))
    if "asked" in stored:
        wrong, logliks = (base64.b64decode(stored[name]) for name in ("wrong", "logliks"))
        known = replace(known, traits=AnswerTraits(stored["asked"], wrong, logliks))
    return known


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
        connection.executescript(_SCHEMA + review.SCHEMA + marks.SCHEMA)
    except (OSError, sqlite3.Error) as error:
        raise GraderFault(f"{path} cannot be used as evidence store: {error}") from error
    try:
        yield EvidenceStore(connection)
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class RunRecording:
    """One run's exchanges. `digest` tells what it answers from others; both are None for none."""

    grading: Recordings
    key: str | None
    digest: str | None

    def exchanges(self) -> list[Exchange]:
        """What can be replayed. Raises GraderFault where nothing was recorded.

        May be called in any thread.
        """
        evidence = self.grading.evidence(self.key) if self.key is not None else None
        if evidence is None:
            raise GraderFault(f"no run of it is recorded in {self.grading.store.parent}. {INSTEAD}")
        return _replayable(evidence.payload)


class Recordings:
    """The recordings of an earlier grading, and what else of it is as true now as then."""

    def __init__(self, store: Path, keys: Mapping[tuple[str, str], str]) -> None:
        """`keys` are those of its evidence in the store, by student and evidence id.

        Raises UsageError when the store is not there, or is damaged.
        """
        self.store, self._keys = store, keys
        self.registered: list[Classmate] = []
        """The adapters of the earlier class."""
        try:
            with read_store(store) as opened:
                damage = opened.damage()
                self.registered = opened.registered()
        except (sqlite3.Error, ValueError) as error:
            damage = str(error)
        if damage is not None:
            raise UsageError(
                f"{store} cannot be replayed ({damage}). Expected the evidence of an earlier "
                f"grading, undamaged. {INSTEAD}"
            )

    def evidence(self, key: str) -> Evidence | None:
        """What the earlier grading collected under this key. Raises UsageError for a damaged one.

        May be called in any thread.
        """
        try:
            with read_store(self.store) as opened:
                return opened.get(key)
        except (sqlite3.Error, ValueError) as error:
            raise UsageError(f"{self.store} cannot be read ({error}). {INSTEAD}") from error

    def decided(self) -> frozenset[review.Place]:
        """What people had decided in the earlier grading; it is not replayed."""
        try:
            with read_store(self.store) as opened:
                return frozenset(p for p, held in opened.reviews.latest().items() if held.level)
        except sqlite3.Error:  # of a version before people's decisions were kept there
            return frozenset()

    def of(self, student: str, id: str) -> RunRecording:
        """The recording of this student's run of this evidence id."""
        key = self._keys.get((student, id))
        evidence = self.evidence(key) if key is not None else None
        if evidence is None:
            return RunRecording(self, None, None)
        try:
            return RunRecording(self, evidence.key, _digest(_replayable(evidence.payload)))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{self.store}: what is recorded of {student}'s {id} cannot be read "
                f"({type(error).__name__}). {INSTEAD}"
            ) from error


def _replayable(payload: Mapping[str, Any]) -> list[Exchange]:
    """The exchanges whose outcome was the program's own or the service's."""
    exchanges = [Exchange.from_json(one) for one in payload["exchanges"]]
    if payload["verdict"] in _ENDED_BY_ITSELF:
        return exchanges
    # What it still waited for when the run was ended: nobody knows what the answer would have been.
    last = max((one.at for one in exchanges), default=0.0)
    return [e for e in exchanges if e.status != CLIENT_LEFT or e.at + e.seconds < last]


def _digest(exchanges: list[Exchange]) -> str:
    """The same for recordings that answer alike, at whatever times they were made."""
    answers = defaultdict(list)
    for one in exchanges:
        if not one.refused:
            response = [one.status, one.reply, one.reply_headers, dict(one.notes)]
            answers[one.digest].append(response)
    return hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()

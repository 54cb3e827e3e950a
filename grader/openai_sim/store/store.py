"""The service's store: files, jobs, events, checkpoints and models, in one SQLite file.

Every change is one transaction, and SQLite's write-ahead log lets the service and the process of a
job read and write at once. What a response says is on disk before it is sent: a service that is
killed finds it again.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, TypeVar

from grader.core.errors import UsageError
from grader.core.openai_wire import JobStatus
from grader.openai_sim.store.records import CheckpointRow as CheckpointRow
from grader.openai_sim.store.records import EventRow as EventRow
from grader.openai_sim.store.records import FileRow as FileRow
from grader.openai_sim.store.records import JobRow as JobRow
from grader.openai_sim.store.records import ModelRow as ModelRow
from grader.openai_sim.store.records import new_id as new_id
from grader.openai_sim.store.records import now as now

_BUSY_SECONDS: Final = 30.0  # that a writer waits for another; a transaction takes milliseconds
_FORMAT: Final = 1  # PRAGMA user_version

Row = TypeVar("Row", "FileRow", "JobRow", "EventRow", "CheckpointRow", "ModelRow")


_TABLES: Final[Mapping[type[Any], str]] = {
    FileRow: "files",
    JobRow: "jobs",
    EventRow: "events",
    CheckpointRow: "checkpoints",
    ModelRow: "models",
}
_JSON: Final = frozenset(
    {"hyperparameters", "resolved", "error", "metadata", "result_files", "data", "metrics"}
)


class SimulatorStore:
    """The tables below a folder. Safe to use from many threads and processes."""

    def __init__(self, home: Path) -> None:
        """Open or create the store. Raises UsageError when it is of another version."""
        self.home = home
        self.files_folder = home / "files"
        self.adapters_folder = home / "adapters"
        self._path = home / "sim.sqlite"
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []  # by all threads
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.files_folder, self.adapters_folder, home / "jobs"):
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)  # earlier versions let everybody read
        self._path.touch(mode=0o600)
        self._prepare()
        for file in home.glob("*.*"):  # the database, its log, the journal
            if file.name.startswith(("sim.sqlite", "journal.", "runner.")):
                with suppress(FileNotFoundError):  # the log comes and goes
                    file.chmod(0o600)

    @classmethod
    def open(cls, home: Path) -> SimulatorStore:
        """The store in this folder. Raises UsageError when it is of another version."""
        return cls(home)

    def file_path(self, file_id: str) -> Path:
        """Where the bytes of a file lie."""
        return self.files_folder / file_id

    # --- files ---------------------------------------------------------------------------------
    def add_file(self, row: FileRow) -> FileRow:
        """Add a file whose bytes lie at `file_path`."""
        return self._insert(row)

    def get_file(self, file_id: str) -> FileRow | None:
        """The file, or None."""
        return self._get(FileRow, file_id)

    def list_files(
        self,
        after: str | None = None,
        limit: int | None = None,
        *,
        purpose: str | None = None,
        newest_first: bool = True,
    ) -> list[FileRow]:
        """Files that follow the id `after` in this order; none after an unknown one."""
        where = {} if purpose is None else {"purpose": purpose}
        return self._list(FileRow, after, limit, where, newest_first)

    def delete_file(self, file_id: str) -> bool:
        """Delete a file and its bytes; False when there is none."""
        with self._change() as db:
            gone = db.execute("DELETE FROM files WHERE id = ?", (file_id,)).rowcount > 0
        if gone:
            self.file_path(file_id).unlink(missing_ok=True)
        return gone

    def bytes_stored(self) -> int:
        """The size of all files together."""
        found = self._db().execute("SELECT coalesce(sum(bytes), 0) FROM files").fetchone()
        return int(found[0])

    # --- jobs ----------------------------------------------------------------------------------
    def add_job(self, row: JobRow, *messages: str) -> JobRow:
        """Add a job together with its first events."""
        with self._change() as db:
            _insert(db, row)
            for message in messages:
                _insert(db, EventRow(new_id("ftevent"), row.id, now(), "info", message))
        return row

    def get_job(self, job_id: str) -> JobRow | None:
        """The job, or None."""
        return self._get(JobRow, job_id)

    def list_jobs(
        self,
        after: str | None = None,
        limit: int | None = None,
        *,
        status: JobStatus | None = None,
        newest_first: bool = True,
    ) -> list[JobRow]:
        """Jobs that follow the id `after` in this order; none after an unknown one."""
        where = {} if status is None else {"status": status}
        return self._list(JobRow, after, limit, where, newest_first)

    def next_queued(self, now: float) -> JobRow | None:
        """The oldest queued job that may start by this time."""
        waiting = self.list_jobs(status="queued", newest_first=False)
        may_start = (j for j in waiting if not j.fate and j.not_before <= now)
        return next(may_start, None)

    def due_jobs(self, now: float) -> list[JobRow]:
        """Jobs that are trained, or of which something is to become by then: the first few.

        Those that wait for another to be trained come last.
        """
        sql = """
            SELECT * FROM jobs
            WHERE status IN ('validating_files', 'queued') AND not_before <= ?
            OR status IN ('running', 'pausing')
            AND (not_before <= ? OR fate = '' OR wanted <> 'run')
            ORDER BY status = 'queued', fate = '' LIMIT 8
        """
        return [_row(JobRow, found) for found in self._db().execute(sql, (now, now))]

    def update_job(
        self,
        job_id: str,
        *,
        if_status: JobStatus | Collection[JobStatus] | None = None,
        event: str | None = None,
        level: str = "info",
        **changes: Any,
    ) -> bool:
        """Change a job and add an `event`; False when there is none in such a status."""
        wanted = [if_status] if isinstance(if_status, str) else if_status
        sql = f"UPDATE jobs SET {', '.join(f'{name} = ?' for name in changes)} WHERE id = ?"
        values = [*(_to_sql(name, value) for name, value in changes.items()), job_id]
        if wanted is not None:
            sql += f" AND status IN ({', '.join('?' * len(wanted))})"
            values += wanted
        with self._change() as db:
            done = db.execute(sql, values).rowcount > 0
            if done and event is not None:
                _insert(db, EventRow(new_id("ftevent"), job_id, now(), level, event))
        return done

    # --- events and checkpoints ----------------------------------------------------------------
    def add_event(
        self,
        job_id: str,
        message: str,
        *,
        level: str = "info",
        type: str = "message",
        data: Mapping[str, Any] | None = None,
    ) -> EventRow:
        """Add an event of a job."""
        return self._insert(EventRow(new_id("ftevent"), job_id, now(), level, message, type, data))

    def list_events(
        self, job_id: str, after: str | None = None, limit: int | None = None
    ) -> list[EventRow]:
        """Events of a job, newest first."""
        return self._list(EventRow, after, limit, {"job": job_id}, True)

    def add_checkpoint(self, row: CheckpointRow, *messages: str) -> CheckpointRow:
        """Add a checkpoint, whose model must be in the store, together with its events."""
        with self._change() as db:
            _insert(db, row)
            for message in messages:
                _insert(db, EventRow(new_id("ftevent"), row.job, now(), "info", message))
        return row

    def list_checkpoints(
        self, job_id: str, after: str | None = None, limit: int | None = None
    ) -> list[CheckpointRow]:
        """Checkpoints of a job, newest first."""
        return self._list(CheckpointRow, after, limit, {"job": job_id}, True)

    def delete_checkpoint(self, checkpoint_id: str) -> bool:
        """Delete a checkpoint; False when there is none."""
        with self._change() as db:
            done = db.execute("DELETE FROM checkpoints WHERE id = ?", (checkpoint_id,))
            return done.rowcount > 0

    # --- models --------------------------------------------------------------------------------
    def add_model(self, row: ModelRow) -> ModelRow:
        """Add a model, in place of one of the same name."""
        with self._change() as db:
            db.execute("DELETE FROM models WHERE id = ?", (row.id,))
            _insert(db, row)
        return row

    def get_model(self, model_id: str) -> ModelRow | None:
        """The model, or None."""
        return self._get(ModelRow, model_id)

    def list_models(self) -> list[ModelRow]:
        """All models, oldest first."""
        return self._list(ModelRow, None, None, {}, False)

    def delete_model(self, model_id: str) -> bool:
        """Delete a model; False when there is none. Its adapter stays on disk."""
        with self._change() as db:
            return db.execute("DELETE FROM models WHERE id = ?", (model_id,)).rowcount > 0

    # --- below -----------------------------------------------------------------------------------
    def close(self) -> None:
        """Close this thread's connection; the next call opens another."""
        db = getattr(self._local, "db", None)
        if db is not None:
            db.close()
            self._local.db = None

    def end(self) -> None:
        """Close the connections of all threads; the store is not used any longer."""
        while self._opened:
            self._opened.pop().close()

    def _db(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            # Collected in whatever thread comes last, hence no check of the thread.
            db = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA synchronous = NORMAL")  # with WAL: whole after kill -9
            self._local.db = db
            self._opened.append(db)
        return db

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        db = self._db()
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def _prepare(self) -> None:
        self._db().execute("PRAGMA journal_mode = WAL")
        with self._change() as db:
            found = db.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, _FORMAT):
                raise UsageError(
                    f"{self._path} is of version {found}, and this finegrade writes {_FORMAT}. "
                    "Name another folder with --home."
                )
            for row, table in _TABLES.items():
                columns = ", ".join(f.name for f in fields(row) if f.name != "id")
                db.execute(
                    f"CREATE TABLE IF NOT EXISTS {table} "
                    f"(place INTEGER PRIMARY KEY AUTOINCREMENT, id UNIQUE, {columns})"
                )
            for table in ("events", "checkpoints"):
                db.execute(f"CREATE INDEX IF NOT EXISTS {table}_of ON {table} (job, place)")
            db.execute("CREATE INDEX IF NOT EXISTS jobs_in ON jobs (status, place)")
            db.execute(f"PRAGMA user_version = {_FORMAT}")

    def _insert(self, row: Row) -> Row:
        with self._change() as db:
            _insert(db, row)
        return row

    def _get(self, kind: type[Row], id: str) -> Row | None:
        sql = f"SELECT * FROM {_TABLES[kind]} WHERE id = ?"
        found = self._db().execute(sql, (id,)).fetchone()
        return None if found is None else _row(kind, found)

    def _list(
        self,
        kind: type[Row],
        after: str | None,
        limit: int | None,
        where: Mapping[str, str],
        newest_first: bool,
    ) -> list[Row]:
        table = _TABLES[kind]
        conditions = [f"{name} = ?" for name in where]
        values: list[Any] = list(where.values())
        if after is not None:
            beyond = "<" if newest_first else ">"
            conditions.append(f"place {beyond} (SELECT place FROM {table} WHERE id = ?)")
            values.append(after)
        sql = f"SELECT * FROM {table}"
        sql += f" WHERE {' AND '.join(conditions)}" if conditions else ""
        sql += f" ORDER BY place {'DESC' if newest_first else 'ASC'} LIMIT ?"
        values.append(-1 if limit is None else limit)
        return [_row(kind, found) for found in self._db().execute(sql, values)]


def _insert(db: sqlite3.Connection, row: Any) -> None:
    names = [f.name for f in fields(row)]
    values = [_to_sql(name, getattr(row, name)) for name in names]
    places = ", ".join("?" * len(names))
    db.execute(f"INSERT INTO {_TABLES[type(row)]} ({', '.join(names)}) VALUES ({places})", values)


def _to_sql(name: str, value: Any) -> Any:
    if name in _JSON and value is not None:
        return json.dumps(value, ensure_ascii=True)
    return value


def _row(kind: type[Row], found: sqlite3.Row) -> Row:
    values = {f.name: _from_sql(f.name, found[f.name]) for f in fields(kind)}
    return kind(**values)


def _from_sql(name: str, value: Any) -> Any:
    if name in _JSON and value is not None:
        read = json.loads(value)
        return tuple(read) if name == "result_files" else read
    return bool(value) if name == "retired" else value

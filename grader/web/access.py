"""Who may look: invitations, one-time links and sessions, and a log of who came in.

Only digests of secrets are kept, in a file of its own beside the store: a copy of the store lets
nobody in. Sections are those of the class; a viewer without any sees all students.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from grader.core.constants import WEB_LOGIN_FAILURES, WEB_LOGIN_SECONDS, WEB_SESSION_SECONDS
from grader.core.errors import GraderFault, UsageError
from grader.evidence.marks import now

ACCESS_NAME: Final = "access.sqlite"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS invitation (
    grader TEXT PRIMARY KEY, token TEXT NOT NULL UNIQUE, role TEXT NOT NULL,
    sections TEXT NOT NULL, at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS session (
    id TEXT PRIMARY KEY, grader TEXT NOT NULL, role TEXT NOT NULL, sections TEXT NOT NULL,
    until REAL NOT NULL, names INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS audit (
    position INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, who TEXT NOT NULL,
    what TEXT NOT NULL
) STRICT;
"""

_ADDRESSES: Final = 10_000  # whose failures are remembered


class Role(StrEnum):
    """What somebody is to the class."""

    INSTRUCTOR = "instructor"
    TA = "ta"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks. `sections` empty: all students. `names`: they chose to see students' names."""

    grader: str
    role: Role
    sections: tuple[str, ...] = ()
    names: bool = False
    session: str = ""


class TooManyAttempts(Exception):
    """Somebody is guessing links."""


class Access:
    """The invitations, sessions and the audit log of one OUT."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._once: dict[str, Viewer] = {}
        self._failures: dict[str, deque[float]] = {}

    def invite(self, grader: str, role: Role, sections: Sequence[str] = ()) -> str:
        """The token of a link that lets this grader in until it is revoked; a former one ends."""
        name = grader.strip()
        if not name or not name.isprintable():
            raise UsageError("--invite needs a name of printable characters.")
        self.revoke(name)
        token = secrets.token_urlsafe(32)
        with self._connection:
            self._connection.execute(
                "INSERT INTO invitation VALUES (?, ?, ?, ?, ?)",
                (name, _digest(token), role, json.dumps(list(sections)), now()),
            )
        self.note(name, f"invited as {role}, sections: {', '.join(sections) or 'all'}")
        return token

    def revoke(self, grader: str) -> bool:
        """End a grader's link and sessions. False where there was no link."""
        with self._connection:
            gone = self._connection.execute("DELETE FROM invitation WHERE grader = ?", (grader,))
            self._connection.execute("DELETE FROM session WHERE grader = ?", (grader,))
        if gone.rowcount:
            self.note(grader, "revoked")
        return bool(gone.rowcount)

    def once(self, viewer: Viewer) -> str:
        """The token of a link that works once, as long as this process lives."""
        token = secrets.token_urlsafe(32)
        self._once[_digest(token)] = viewer
        return token

    def enter(self, token: str, client: str) -> str | None:
        """The secret of a new session; None for a token that is not, or no longer, valid.

        Raises TooManyAttempts where this client's address failed too often.
        """
        if len(self._failures) > _ADDRESSES:
            self._failures.clear()
        failures = self._failures.setdefault(client, deque(maxlen=WEB_LOGIN_FAILURES))
        if len(failures) == WEB_LOGIN_FAILURES and failures[0] > time.time() - WEB_LOGIN_SECONDS:
            raise TooManyAttempts
        digest = _digest(token)
        viewer = self._once.pop(digest, None) or self._invited(digest)
        if viewer is None:
            failures.append(time.time())
            self.note(client, "refused: an unknown or used link")
            return None
        session = secrets.token_urlsafe(32)
        with self._connection:
            self._connection.execute("DELETE FROM session WHERE until < ?", (time.time(),))
            self._connection.execute(
                "INSERT INTO session (id, grader, role, sections, until) VALUES (?, ?, ?, ?, ?)",
                (
                    _digest(session),
                    viewer.grader,
                    viewer.role,
                    json.dumps(viewer.sections),
                    time.time() + WEB_SESSION_SECONDS,
                ),
            )
        self.note(viewer.grader, f"came in from {client}")
        return session

    def viewer(self, session: str) -> Viewer | None:
        """Whose session this is; None where it is none, has ended, or was revoked."""
        row = self._connection.execute(
            "SELECT grader, role, sections, names, id FROM session WHERE id = ? AND until > ?",
            (_digest(session), time.time()),
        ).fetchone()
        if row is None:
            return None
        return Viewer(row[0], Role(row[1]), tuple(json.loads(row[2])), bool(row[3]), row[4])

    def show_names(self, viewer: Viewer, names: bool) -> None:
        """Show or hide students' names in this session."""
        with self._connection:
            self._connection.execute(
                "UPDATE session SET names = ? WHERE id = ?", (int(names), viewer.session)
            )
        self.note(viewer.grader, "names shown" if names else "names hidden")

    def leave(self, viewer: Viewer) -> None:
        """End this session."""
        with self._connection:
            self._connection.execute("DELETE FROM session WHERE id = ?", (viewer.session,))
        self.note(viewer.grader, "left")

    def note(self, who: str, what: str) -> None:
        """Add a line to the audit log."""
        with self._connection:
            self._connection.execute(
                "INSERT INTO audit (at, who, what) VALUES (?, ?, ?)", (now(), who, what)
            )

    def audit(self) -> list[tuple[str, str, str]]:
        """(time, who, what), the oldest first."""
        return list(self._connection.execute("SELECT at, who, what FROM audit ORDER BY position"))

    def _invited(self, digest: str) -> Viewer | None:
        row = self._connection.execute(
            "SELECT grader, role, sections FROM invitation WHERE token = ?", (digest,)
        ).fetchone()
        return None if row is None else Viewer(row[0], Role(row[1]), tuple(json.loads(row[2])))


def _digest(secret: str) -> str:
    """Secrets have 256 random bits, so that a plain hash cannot be searched."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


@contextmanager
def open_access(out: Path) -> Iterator[Access]:
    """Open or create the file of OUT; GraderFault where it cannot be used."""
    path = out / ACCESS_NAME
    try:
        path.touch(mode=0o600)
        connection = sqlite3.connect(path, timeout=30)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.executescript(_SCHEMA)
    except (OSError, sqlite3.Error) as error:
        raise GraderFault(f"{path} cannot be used: {error}") from error
    try:
        yield Access(connection)
    finally:
        connection.close()

"""Evidence `review`: what people judged, as a log that only grows.

The latest entry of a student's item is in force. Nothing is ever changed or removed: a decision is
taken back by another entry without a level. Beside the log lie the texts that were judged, so that
a later version of the work can be held against them.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, NamedTuple

from grader.core.errors import GraderFault
from grader.core.review import Level

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS review (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    student TEXT NOT NULL, criterion TEXT NOT NULL, item TEXT NOT NULL,
    level TEXT NOT NULL CHECK (level IN ('full', 'half', 'none', '')), comment TEXT NOT NULL,
    grader TEXT NOT NULL, at TEXT NOT NULL, revision TEXT NOT NULL, definition TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS review_of ON review (student, criterion, item);
CREATE TRIGGER IF NOT EXISTS review_is_not_changed BEFORE UPDATE ON review
    BEGIN SELECT RAISE(ABORT, 'a review is never changed'); END;
CREATE TRIGGER IF NOT EXISTS review_is_not_removed BEFORE DELETE ON review
    BEGIN SELECT RAISE(ABORT, 'a review is never removed'); END;
CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;
"""
_FIELDS: Final = "student, criterion, item, level, comment, grader, at, revision, definition"


class Place(NamedTuple):
    """What a review is about."""

    student: str
    criterion: str
    item: str


@dataclass(frozen=True, slots=True)
class Review:
    """One entry of the log; `position` is 0 as long as it is none.

    `level` is None where a decision is taken back, or a comment stands alone. `at` is a time in
    UTC, as ISO 8601. `revision` is the digest of what was judged, `definition` that of the item's
    wording then.
    """

    place: Place
    level: Level | None
    comment: str
    grader: str
    revision: str
    definition: str
    at: str = ""
    position: int = 0

    def says(self, other: Review) -> bool:
        """Whether the other is the same judgement on the same work, whoever made it."""
        mine = (self.level, self.comment, self.revision, self.definition)
        return mine == (other.level, other.comment, other.revision, other.definition)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why a review was not recorded: somebody decided otherwise since."""

    held: Review


class ReviewLog:
    """The log of one store."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def latest(self) -> dict[Place, Review]:
        """What is in force, by place."""
        rows = self._connection.execute(
            f"SELECT {_FIELDS}, position FROM review WHERE position IN "
            "(SELECT max(position) FROM review GROUP BY student, criterion, item)"
        )
        return {review.place: review for review in map(_review, rows)}

    def history(self, place: Place) -> list[Review]:
        """All that was ever decided there, the oldest first."""
        rows = self._connection.execute(
            f"SELECT {_FIELDS}, position FROM review "
            "WHERE student = ? AND criterion = ? AND item = ? ORDER BY position",
            place,
        )
        return list(map(_review, rows))

    def since(self, position: int) -> list[Review]:
        """The entries after this position, the oldest first."""
        rows = self._connection.execute(
            f"SELECT {_FIELDS}, position FROM review WHERE position > ? ORDER BY position",
            (position,),
        )
        return list(map(_review, rows))

    def at(self, position: int) -> Review | None:
        """The entry at this position."""
        row = self._connection.execute(
            f"SELECT {_FIELDS}, position FROM review WHERE position = ?", (position,)
        ).fetchone()
        return None if row is None else _review(row)

    def record(
        self, new: Sequence[tuple[Review, int]], texts: Mapping[str, str]
    ) -> list[Review | Conflict | None]:
        """Append reviews, each with the position of what its author saw in force (0 for nothing).

        All in one transaction, in which `texts` are kept, too. Of each review comes back the entry,
        None where the same is in force already, or a Conflict where another was recorded after what
        the author saw.
        """
        done: list[Review | Conflict | None] = []
        with self._transaction():
            self._keep(texts)
            for review, seen in new:
                held = next(reversed(self.history(review.place)), None)
                if held is not None and held.says(review):
                    done.append(None)
                elif held is not None and held.position > seen:
                    done.append(Conflict(held))
                else:
                    done.append(self._append(review))
        return done

    def keep(self, texts: Mapping[str, str]) -> None:
        """Keep texts under the digests of what they were read from; the first of a key stays."""
        if texts:
            with self._transaction():
                self._keep(texts)

    def keep_text(self, text: str) -> str:
        """Keep a text under its own digest, which comes back."""
        key = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        self.keep({key: text})
        return key

    def has(self, key: str) -> bool:
        """Whether something is kept under this key."""
        found = self._connection.execute("SELECT 1 FROM kept WHERE key = ?", (key,))
        return found.fetchone() is not None

    def kept(self, key: str) -> str | None:
        """The text that is kept under this key."""
        row = self._connection.execute("SELECT body FROM kept WHERE key = ?", (key,)).fetchone()
        return None if row is None else zlib.decompress(row[0]).decode()

    def _keep(self, texts: Mapping[str, str]) -> None:
        self._connection.executemany(
            "INSERT INTO kept VALUES (?, ?) ON CONFLICT DO NOTHING",
            [(key, zlib.compress(said.encode("utf-8", "replace"))) for key, said in texts.items()],
        )

    def _append(self, review: Review) -> Review:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        values = (
            *review.place,
            review.level or "",
            review.comment,
            review.grader,
            now,
            review.revision,
            review.definition,
        )
        marks = ", ".join("?" * len(values))
        added = self._connection.execute(f"INSERT INTO review ({_FIELDS}) VALUES ({marks})", values)
        return replace(review, at=now, position=added.lastrowid or 0)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Nobody else writes between what is read in it and what is written."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:
                yield
        except sqlite3.Error as error:
            raise GraderFault(f"the evidence store cannot be written: {error}") from error


def _review(row: tuple[str, str, str, str, str, str, str, str, str, int]) -> Review:
    student, criterion, item, level, comment, grader, at, revision, definition, position = row
    place = Place(student, criterion, item)
    decided = Level(level) if level else None
    return Review(place, decided, comment, grader, revision, definition, at, position)

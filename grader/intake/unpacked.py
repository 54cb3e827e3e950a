"""The submissions of a class, whose archives are unpacked as long as something reads them.

Each archive is unpacked into the same folder whenever it is needed, so that paths stay true, and
has to be the archive that was taken in. A folder is read where it lies, and has to be unchanged.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import TypeVar

from grader.core.constants import UNPACKED_AT_ONCE
from grader.core.errors import FinegradeError, GraderFault
from grader.core.nouns import Deliverable, Submission
from grader.core.temporary import NoRoom
from grader.intake.find import FoundSubmission
from grader.intake.submission import is_folder, taken_from

T = TypeVar("T")


@dataclass(slots=True)
class _Taken:
    """A submission that was taken in. `own` is the folder for its archive, None where it is one
    itself; `state` tells a folder that nobody has touched since."""

    found: FoundSubmission
    own: Path | None
    submission: Submission
    state: bytes
    users: int = 0
    there: bool = True


class UnpackedSubmissions:
    """The submissions of one grading. May be used from several threads."""

    def __init__(self, folder: Path, deliverables: Iterable[Deliverable]) -> None:
        """`folder` is a new one, for what is unpacked."""
        self._folder, self._deliverables = folder, tuple(deliverables)
        self._taken: dict[str, _Taken] = {}
        self._idle: dict[str, None] = {}  # unpacked although nothing reads them, oldest first
        self._changed = threading.Condition()

    def take_in(self, found: FoundSubmission) -> Submission:
        """The submission, checked and hashed; its files are there within `held`.

        Raises what `grader.intake.submission.take_in` raises.
        """
        own = None if is_folder(found) else self._folder / str(len(self._taken))
        with self._changed:
            submission = self._with_room(lambda: taken_from(found, own, self._deliverables))
            one = _Taken(found, own, submission, _state(submission))
            self._taken[found.student] = one
            self._rest(found.student)
        return submission

    @contextmanager
    def held(self, student: str) -> Iterator[None]:
        """The files of this student's submission are there, and are those that were taken in.

        Raises GraderFault where they have changed, or cannot be unpacked again.
        """
        one = self._taken[student]
        with self._changed:
            one.users += 1
            self._idle.pop(student, None)
            try:
                self._bring(one)
            except BaseException:
                self._leave(one, student)
                raise
        try:
            yield
        finally:
            with self._changed:
                self._leave(one, student)

    def _leave(self, one: _Taken, student: str) -> None:
        one.users -= 1
        if one.users == 0 and one.there:
            self._rest(student)
        self._changed.notify_all()

    def _rest(self, student: str) -> None:
        """Nothing reads it now: it stays until others need its place."""
        if self._taken[student].own is not None:
            self._idle[student] = None
            while len(self._idle) > UNPACKED_AT_ONCE:
                self._drop_oldest()

    def _bring(self, one: _Taken) -> None:
        if one.own is None:
            state = _state(one.submission)
            if state != one.state:
                self._refuse_another(one, self._again(one))
                one.state = state
        elif not one.there:
            self._with_room(lambda: self._unpack(one))

    def _unpack(self, one: _Taken) -> None:
        if one.there:  # another thread has done it while this one waited for room
            return
        self._refuse_another(one, self._again(one))
        one.there = True

    def _again(self, one: _Taken) -> Submission:
        try:
            return taken_from(one.found, one.own, self._deliverables)
        except NoRoom:
            raise
        except FinegradeError as error:
            raise GraderFault(f"{one.found.path} changed while it was graded: {error}") from error

    def _refuse_another(self, one: _Taken, now: Submission) -> None:
        if now.digest != one.submission.digest:
            if one.own is not None:
                rmtree(one.own, ignore_errors=True)
            raise GraderFault(f"{one.found.path} changed while it was graded; grade it again")

    def _with_room(self, unpack: Callable[[], T]) -> T:
        """What `unpack` gives; where there is no room, others make some first."""
        while True:
            try:
                return unpack()
            except NoRoom:
                if self._idle:
                    self._drop_oldest()
                elif not any(one.users and one.there and one.own for one in self._taken.values()):
                    raise
                else:
                    self._changed.wait()

    def _drop_oldest(self) -> None:
        student = next(iter(self._idle))
        del self._idle[student]
        one = self._taken[student]
        assert one.own is not None
        one.there = False
        rmtree(one.own, ignore_errors=True)


def _state(submission: Submission) -> bytes:
    """Changes when a file does: its inode, size and times. Reads no file."""
    digest = hashlib.sha256()
    for file in submission.files:
        with suppress(OSError):
            at = os.lstat(submission.root / file.path)
            found = (at.st_ino, at.st_mode, at.st_size, at.st_mtime_ns, at.st_ctime_ns)
            digest.update(f"{file.path}\0{found}\n".encode())
    return digest.digest()

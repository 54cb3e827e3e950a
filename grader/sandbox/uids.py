"""User ids of runs, and file access with the rights of such a user.

Each run on a machine gets a uid that no other run has at the time. A grader that is root runs the
program as that user, so that the kernel separates runs, counts their processes separately, and
finds all processes of one at its end. Root in a container may change users but may not look into
other users' processes; `seeing_as` gives one thread the rights to do so.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from grader.core.constants import SANDBOX_RUN_UIDS
from grader.core.errors import GraderFault


@contextmanager
def seeing_as(user: int | None) -> Iterator[None]:
    """Open files with this user's rights in this thread; None changes nothing."""
    if user is None:
        yield
        return
    libc = ctypes.CDLL(None)
    libc.setfsgid(user)
    libc.setfsuid(user)
    try:
        yield
    finally:
        libc.setfsuid(os.geteuid())
        libc.setfsgid(os.getegid())


@dataclass(frozen=True, slots=True)
class Lease:
    """A uid that belongs to one run while `lock` is open in any process."""

    uid: int
    lock: int


@contextmanager
def lent_uid() -> Iterator[Lease]:
    """Lease the lowest free uid. Raises GraderFault when there is none."""
    lock = os.open(_lock_file(), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield Lease(_lowest_free(lock), lock)
    finally:
        os.close(lock)


def _lowest_free(lock: int) -> int:
    """Lock the first free byte, one for each uid; closing the descriptor frees it."""
    for at, uid in enumerate(SANDBOX_RUN_UIDS):
        # struct flock: type, from the file's start, place, length, no process
        request = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, at, 1, 0)
        try:
            fcntl.fcntl(lock, fcntl.F_OFD_SETLK, request)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise GraderFault(f"the numbers of runs cannot be locked: {error}") from error
        else:
            return uid
    raise GraderFault(
        f"{len(SANDBOX_RUN_UIDS)} programs run already on this machine; wait for some to end"
    )


def _lock_file() -> Path:
    """The lock file, in a folder that only this user can write to."""
    user = os.geteuid()
    if user == 0:
        return Path("/run/finegrade.uids")
    folder = os.environ.get("XDG_RUNTIME_DIR")
    if folder and os.access(folder, os.W_OK):
        return Path(folder, "finegrade.uids")
    own = Path(tempfile.gettempdir(), f"finegrade-of-{user}")
    own.mkdir(mode=0o700, exist_ok=True)
    found = own.lstat()
    if not own.is_dir() or own.is_symlink() or found.st_uid != user or found.st_mode & 0o077:
        raise GraderFault(f"{own} must be a folder that only you may enter; remove it")
    return own / "uids"

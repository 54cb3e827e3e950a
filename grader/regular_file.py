"""Opening files that a student may have prepared: never through a link, never one that blocks."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from grader.errors import GraderFault

# Windows lacks some of these flags, and needs O_BINARY.
_COMMON = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_BINARY", "O_CLOEXEC"))
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _COMMON
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _COMMON


class NotRegular(Exception):
    """The path is a link, a folder, a pipe, a device or a socket."""


def open_regular(path: Path) -> BinaryIO:
    """The regular file at `path`, open for reading.

    Raises NotRegular for anything else, GraderFault when the machine does not let us read it.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):  # before opening: a device may act on that
            raise NotRegular(path.name)
        descriptor = os.open(path, _READ)
    except OSError as error:
        raise GraderFault(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # exchanged since
        os.close(descriptor)
        raise NotRegular(path.name)
    return os.fdopen(descriptor, "rb")


def create_new(path: Path) -> BinaryIO:
    """A new file at `path`, mode 0600, open for writing; FileExistsError if anything is there."""
    return os.fdopen(os.open(path, _CREATE, 0o600), "wb")

"""Collects the files that a program made in its working folder, after the program has ended.

The folder is read through a descriptor that was opened before the program ran. No link is followed
and nothing blocks: what is not a regular file is listed and left.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from grader.core.constants import (
    HARVEST_MAX_DEPTH,
    HARVEST_MAX_ENTRIES,
    HARVEST_MAX_LISTED,
    HARVEST_MAX_REFUSED,
)
from grader.sandbox.api import HarvestOnly, Limits, RefusedFile

State = tuple[int, int, int, int]
"""(inode, bytes, changed, changed status) of a file; times in ns. Any write changes the last."""

KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(slots=True)
class Harvest:
    """The collected files by path, the refused ones, and the bytes of each regular one of both."""

    files: dict[str, bytes] = field(default_factory=dict)
    refused: list[RefusedFile] = field(default_factory=list)
    made_bytes: dict[str, int] = field(default_factory=dict)

    def refuse(self, path: str, why: str) -> None:
        """Record a refusal; after HARVEST_MAX_REFUSED of them only that there are more."""
        if len(self.refused) < HARVEST_MAX_REFUSED:
            self.refused.append(RefusedFile(_shown(path), why))
        elif len(self.refused) == HARVEST_MAX_REFUSED:
            self.refused.append(RefusedFile("", "and more"))


def snapshot(folder: int) -> dict[str, State]:
    """The state of every entry below an open folder that is not a folder, by path."""
    return {path: _state(status) for path, status in _entries(folder, Harvest())}


def harvest(
    folder: int, before: Mapping[str, State], limits: Limits, only: HarvestOnly | None = None
) -> Harvest:
    """The regular files below an open folder that are new or changed since `before`.

    Files are taken in the order of their paths until the limits on number or bytes are met; what
    is beyond them is refused, as is all that is no regular file or has a name that is not UTF-8.
    With `only`, so are files of other names, unread.
    """
    out = Harvest()
    if only is not None:
        limits = replace(limits, harvest_bytes=min(limits.harvest_bytes, only.most_bytes))
    left = limits.harvest_bytes
    for path, status in sorted(_entries(folder, out), key=lambda entry: entry[0]):
        if before.get(path) == _state(status):
            continue
        if stat.S_ISREG(status.st_mode) and len(out.made_bytes) < HARVEST_MAX_LISTED:
            out.made_bytes[_shown(path)] = status.st_size
        if only is not None and not only.takes(path):
            why: str | None = f"nothing reads it ({status.st_size} bytes)"
        else:
            why = _why_refused(path, status, out, limits, left)
        data = None if why else _read(folder, path, status.st_size)
        if data is None:
            out.refuse(path, why or "it cannot be read")
        else:
            out.files[path] = data
            left -= len(data)
    return out


def _why_refused(
    path: str, status: os.stat_result, out: Harvest, limits: Limits, left: int
) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "something")
        return f"{kind}, not a regular file"
    if _shown(path) != path:
        return "its name is not UTF-8"
    if len(out.files) >= limits.harvest_files:
        return f"there are more than {limits.harvest_files} files"
    if status.st_size > left:
        return f"all files together have more than {limits.harvest_bytes} bytes"
    return None


def _state(status: os.stat_result) -> State:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _shown(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _entries(folder: int, out: Harvest) -> Iterator[tuple[str, os.stat_result]]:
    """Every entry below an open folder that is not a folder, in any order."""
    seen = 0
    folders = [("", 0)]
    while folders:
        at, depth = folders.pop()
        for path, status in _listing(folder, at, out):
            seen += 1
            if seen > HARVEST_MAX_ENTRIES:
                out.refuse("", f"more than {HARVEST_MAX_ENTRIES} files and folders")
                return
            if not stat.S_ISDIR(status.st_mode):
                yield path, status
            elif depth < HARVEST_MAX_DEPTH:
                folders.append((path, depth + 1))
            else:
                out.refuse(path, f"more than {HARVEST_MAX_DEPTH} folders below each other")


def _listing(folder: int, at: str, out: Harvest) -> Iterator[tuple[str, os.stat_result]]:
    """One folder's entries. What stands at `at` is a folder: nothing runs that could change it."""
    try:
        fd = os.open(at or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    except OSError:
        out.refuse(at, "it cannot be read")
        return
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                path = f"{at}/{entry.name}" if at else entry.name
                yield path, entry.stat(follow_symlinks=False)
    finally:
        os.close(fd)


def _read(folder: int, path: str, size: int) -> bytes | None:
    """The whole file, of which `size` bytes are expected; None when it cannot be read."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, dir_fd=folder)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            return file.read(size)
    except OSError:
        return None

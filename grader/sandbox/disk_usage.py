"""Measures scratch folders that are no file systems of their own, file by file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from grader.core.constants import HARVEST_MAX_ENTRIES
from grader.sandbox.limits import DiskUsage
from grader.sandbox.uids import seeing_as

SHARED_MEMORY: Final = Path("/dev/shm")
BLOCK: Final = 512
DEEPEST: Final = 200
TOO_MANY: Final = 10**9


def real_usage(
    members: Callable[[], Iterable[int]],
    user: int | None,
    shared: bool,
    not_counted: int,
    folders: list[int],
) -> DiskUsage:
    """Bytes and entries below each open folder; deleted files that are still open count as well.

    `members` gives the run's processes, `user` the run's own user, if it has one. If `shared`, the
    last folder counts together with what that user has in /dev/shm. Of the first, `not_counted`
    bytes are the grader's own.
    """
    sizes = [_below(folder) for folder in folders]
    device = os.fstat(folders[0]).st_dev
    with seeing_as(user):
        first = sizes[0][0] + _deleted(members(), device)
    sizes[0] = max(0, first - not_counted), sizes[0][1]
    if shared and user is not None:
        found = [size for _, size in files_of_user(SHARED_MEMORY, user)]
        sizes[-1] = sizes[-1][0] + sum(found), sizes[-1][1] + len(found)
    return DiskUsage(tuple(sizes))


def files_of_user(folder: Path, user: int) -> Iterator[tuple[Path, int]]:
    """The user's files in a folder, with their bytes on the disk."""
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                if found.st_uid == user:
                    yield Path(entry.path), found.st_blocks * BLOCK


def _below(folder: int) -> tuple[int, int]:
    """Bytes and number of everything below an open folder, while a program may change it.

    What cannot be looked at, or lies deeper than DEEPEST, counts as too many files.
    """
    return _count(_opened(".", folder), DEEPEST)


def _opened(name: str, parent: int) -> int:
    """Open a folder; restore the owner's access to one that its owner has closed."""
    flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(PermissionError):
        return os.open(name, os.O_RDONLY | flags, dir_fd=parent)
    place = parent if name == "." else os.open(name, os.O_PATH | flags, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{place}", 0o700)
        return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        if place != parent:
            os.close(place)


def _count(folder: int, deeper: int) -> tuple[int, int]:
    size = entries = 0
    try:
        folders = []
        for name, found in _listing(folder):
            size += found.st_blocks * BLOCK
            entries += 1
            if stat.S_ISDIR(found.st_mode):
                folders.append(name)
        for name in folders:
            if entries > HARVEST_MAX_ENTRIES:
                break
            try:
                below = _opened(name, folder)
            except PermissionError:
                return size, TOO_MANY
            except OSError:
                continue  # it is gone, or no folder any more
            if not deeper:
                os.close(below)
                return size, TOO_MANY
            more = _count(below, deeper - 1)
            size, entries = size + more[0], entries + more[1]
    finally:
        os.close(folder)
    return size, entries


def _listing(folder: int) -> Iterator[tuple[str, os.stat_result]]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                yield entry.name, entry.stat(follow_symlinks=False)


def _deleted(members: Iterable[int], device: int) -> int:
    """Bytes of deleted files that these processes hold open, each once."""
    seen: dict[int, int] = {}
    for pid in members:
        with suppress(OSError):
            for number in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    found = os.stat(f"/proc/{pid}/fd/{number}")
                    if not found.st_nlink and found.st_dev == device:
                        seen[found.st_ino] = found.st_blocks * BLOCK
    return sum(seen.values())


def remove_tree(folder: Path) -> None:
    """Remove a folder and all below it, at any depth and whatever its modes.

    Everything is moved to the top first, so that no path is longer than one name. Nothing of the
    run may live any more; the folder itself is the grader's, so that nothing stands in the way.
    """
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        waiting = os.listdir(top)
        moved = 0
        while waiting:
            name = waiting.pop()
            if not _is_folder(name, top):
                os.unlink(name, dir_fd=top)
                continue
            os.chmod(name, 0o700, dir_fd=top)
            at = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
            try:
                for entry in os.listdir(at):
                    if _is_folder(entry, at):
                        os.chmod(entry, 0o700, dir_fd=at)  # else it may not be moved
                    moved += 1
                    waiting.append(f"moved-{moved}")
                    os.rename(entry, waiting[-1], src_dir_fd=at, dst_dir_fd=top)
            finally:
                os.close(at)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    folder.rmdir()


def _is_folder(name: str, parent: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)

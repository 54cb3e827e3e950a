"""Which of the files laid into its folder a program opens, as the kernel reports it.

The files themselves (their inodes) are watched with inotify, from outside the sandbox. So an event
comes whatever library opens a file, Python's or a native one, by whatever name or link, and nothing
inside can suppress or forge it. What it does not tell is what was read of an opened file.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from grader.core.errors import GraderFault

# <sys/inotify.h>
_OPENED: Final = 0x00000020
_CLOSED: Final = 0x00000008 | 0x00000010  # between two openings, else the kernel merges these
_ONCE: Final = 0x80000000
_OVERFLOW: Final = 0x00004000
_NONBLOCK_CLOEXEC: Final = os.O_NONBLOCK | os.O_CLOEXEC
_EVENT: Final = struct.Struct("iIII")
_READ_BYTES: Final = 64 * 1024

MANY: Final = 1_000
"""How often a file was opened where a program opened more than the kernel could report."""


class OpenedFiles:
    """Watches the files of a staged run from when it is made until `close`.

    One queue gets each file once, so that no program can fill it; the other counts.
    """

    def __init__(self, folder: int, paths: Iterable[str], large: Mapping[str, Path]) -> None:
        """`folder` is a descriptor of the working folder, `paths` are files in it. Those in `large`
        are watched where they lie on the machine.

        Raises GraderFault where the machine has no watches left.
        """
        places = {path: os.fsencode(f"/proc/self/fd/{folder}/{path}") for path in paths}
        places |= {path: os.fsencode(file) for path, file in large.items()}
        self._first = _Queue(places, _OPENED | _ONCE)
        try:
            self._all = _Queue(places, _OPENED | _CLOSED)
        except BaseException:
            self._first.close()
            raise

    def seen(self) -> dict[str, int]:
        """By path, how often each of the files that were opened was; at the end of the run."""
        opened, counted = self._first.openings(), self._all.openings()
        many = MANY if counted.pop("", 0) else 1  # events of the second were lost
        return {path: max(many, counted.get(path, 1)) for path in sorted(opened)}

    def close(self) -> None:
        """End all watches."""
        self._first.close()
        self._all.close()


class _Queue:
    """An inotify queue for events of this mask on files at these places."""

    def __init__(self, places: Mapping[str, bytes], mask: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = _checked(libc.inotify_init1(_NONBLOCK_CLOEXEC), "inotify_init1")
        self._paths: dict[int, str] = {}
        try:
            for path, place in places.items():
                watch = libc.inotify_add_watch(self._fd, place, ctypes.c_uint32(mask))
                self._paths[_checked(watch, "inotify_add_watch")] = path
        except BaseException:
            self.close()
            raise

    def openings(self) -> Counter[str]:
        """The openings by path since the last call; under "" those that were lost."""
        found = Counter[str]()
        while events := self._read():
            at = 0
            while at < len(events):
                watch, mask, _, size = _EVENT.unpack_from(events, at)
                at += _EVENT.size + size
                if mask & (_OPENED | _OVERFLOW):
                    found[self._paths.get(watch, "")] += 1
        return found

    def close(self) -> None:
        os.close(self._fd)

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return b""


def _checked(result: Any, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        advice = ""
        if number in (errno.EMFILE, errno.ENOSPC):
            advice = "; raise fs.inotify.max_user_instances and fs.inotify.max_user_watches"
        raise GraderFault(f"opened files cannot be watched: {what}: {os.strerror(number)}{advice}")
    return int(result)


def can_watch() -> bool:
    """Whether this system has inotify."""
    return sys.platform == "linux"

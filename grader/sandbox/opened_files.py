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
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from grader.core.errors import GraderFault

# <sys/inotify.h>; each file is reported once, so that no program can fill the queue
_OPENED: Final = 0x00000020
_ONCE: Final = 0x80000000
_OVERFLOW: Final = 0x00004000
_NONBLOCK_CLOEXEC: Final = os.O_NONBLOCK | os.O_CLOEXEC
_EVENT: Final = struct.Struct("iIII")
_READ_BYTES: Final = 64 * 1024


class OpenedFiles:
    """Watches the files of a staged run from when it is made until `close`."""

    def __init__(self, folder: int, paths: Iterable[str], large: Mapping[str, Path]) -> None:
        """`folder` is a descriptor of the working folder, `paths` are files in it. Those in `large`
        are watched where they lie on the machine.

        Raises GraderFault where the machine has no watches left.
        """
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.inotify_init1(_NONBLOCK_CLOEXEC), "inotify_init1")
        self._paths: dict[int, str] = {}
        self._opened: set[str] = set()
        try:
            for path in paths:
                self._watch(os.fsencode(f"/proc/self/fd/{folder}/{path}"), path)
            for path, file in large.items():
                self._watch(os.fsencode(file), path)
        except BaseException:
            self.close()
            raise

    def seen(self) -> tuple[str, ...]:
        """The paths of the files that were opened so far, sorted."""
        while events := self._read():
            at = 0
            while at < len(events):
                watch, mask, _, size = _EVENT.unpack_from(events, at)
                at += _EVENT.size + size
                if mask & _OVERFLOW:
                    raise GraderFault("the kernel lost reports of opened files")
                if mask & _OPENED:
                    self._opened.add(self._paths[watch])
        return tuple(sorted(self._opened))

    def close(self) -> None:
        """End all watches."""
        os.close(self._fd)

    def _watch(self, place: bytes, path: str) -> None:
        watch = self._libc.inotify_add_watch(self._fd, place, ctypes.c_uint32(_OPENED | _ONCE))
        self._paths[self._checked(watch, "inotify_add_watch")] = path

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return b""

    @staticmethod
    def _checked(result: Any, what: str) -> int:
        if result < 0:
            number = ctypes.get_errno()
            advice = ""
            if number in (errno.EMFILE, errno.ENOSPC):
                advice = "; raise fs.inotify.max_user_instances and fs.inotify.max_user_watches"
            raise GraderFault(
                f"opened files cannot be watched: {what}: {os.strerror(number)}{advice}"
            )
        return int(result)


def can_watch() -> bool:
    """Whether this system has inotify."""
    return sys.platform == "linux"

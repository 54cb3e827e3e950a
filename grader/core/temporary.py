"""Names of temporary folders that tell who made them, so that those of killed processes go.

A name holds the process, the moment at which it started, and the machine on which that means
something (boot, and namespace of processes). Nothing of another user or another machine is touched.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import stat
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from grader.core.constants import MIB
from grader.core.errors import GraderFault

_NAME: Final = re.compile(r"finegrade-[a-z]{1,20}-([0-9a-f]{8})-([0-9]{1,10})-([0-9]{1,20})-.{8}")
_OF_START: Final = 19  # the place of a process's start among its fields behind the name


class NoRoom(GraderFault):
    """A file system has too little free space; nothing was written."""


def prefix(what: str) -> str:
    """The beginning of a temporary folder's name; `what` (a lower-case word) says what it holds."""
    return f"finegrade-{what}-{_machine()}-{os.getpid()}-{_started(os.getpid())}-"


def sweep() -> int:
    """Remove the folders that killed processes of this user left; returns how many."""
    removed = 0
    try:
        entries = sorted(Path(tempfile.gettempdir()).iterdir())
    except OSError:
        return 0
    for path in entries:
        named = _NAME.fullmatch(path.name)
        if named is None or named[1] != _machine() or _started(int(named[2])) == named[3]:
            continue
        try:
            status = path.lstat()
        except OSError:  # another process removes it
            continue
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid():
            shutil.rmtree(path, ignore_errors=True)
            removed += not path.exists()
    return removed


def require_room(folder: Path, size: int, what: str, by: str = "TMPDIR") -> None:
    """Raise NoRoom where the file system of `folder` has less than `size` bytes free for `what`;
    the user names another place `by` this variable or option."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise NoRoom(
            f"{what} needs {-(-size // MIB)} MiB in {folder}; {free // MIB} MiB are free there. "
            f"Make room, or choose another place with {by}, and grade again."
        )


@cache
def _machine() -> str:
    """A name for this boot of this machine and this namespace of processes."""
    parts = [platform.node()]
    with suppress(OSError):  # not on Linux
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]


def _started(process: int) -> str:
    """When the process started, in ticks since the boot; "0" where that is not known, or it has
    ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
        return fields[_OF_START].decode()
    except (OSError, IndexError):
        return "0"

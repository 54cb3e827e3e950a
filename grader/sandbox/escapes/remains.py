"""What is left behind on the machine: processes, mounts, cgroups, files, descriptors of ours.

Others work on the machine meanwhile. What is ours is told by descent, by a token in environments
and file names, and by the name of the product, which every backend gives to what it makes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SETTLE_SECONDS: Final = 5.0  # another sandbox's own things on this machine may come and go
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_GET_CHILD_SUBREAPER: Final = 37
_PRODUCT: Final = "finegrade"
_SYSTEM_V_KEYS: Final = 0x46470000
_NOTE_FOLDERS: Final = ("/tmp", "/var/tmp", "/dev/shm", "/run")


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is now."""

    processes: frozenset[int]
    mounts: frozenset[str]
    cgroups: frozenset[str]
    files: frozenset[str]
    objects: frozenset[str]
    descriptors: frozenset[str]


def look(temporary: Path, token: str) -> Machine:
    """What there is now of ours; `token` is in the environment of every program."""
    return Machine(
        processes=frozenset([*_descendants(), *_bearers(token)]),
        mounts=frozenset(_mounts()),
        cgroups=frozenset(_empty_cgroups()),
        files=frozenset(_files(temporary, token)),
        objects=frozenset(_system_v_objects()),
        descriptors=frozenset(_descriptors()),
    )


def left_since(before: Machine, temporary: Path, token: str) -> tuple[str, ...]:
    """What has come since and does not go away by itself, in words."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    new: tuple[str, ...] | None = None
    while True:
        now = _words(before, look(temporary, token))
        # Only what was there at every look: others work on this machine, too.
        new = now if new is None else tuple(thing for thing in new if thing in now)
        if not new or time.monotonic() > deadline:
            return new
        time.sleep(0.05)


@contextlib.contextmanager
def orphans_come_here() -> Iterator[None]:
    """A process that loses its parent becomes a child of this one, so that it is found."""
    libc = ctypes.CDLL(None, use_errno=True)
    was = ctypes.c_int()
    libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(was), 0, 0, 0)
    strangers = set(_children())
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, was.value, 0, 0, 0)
        for pid in set(_children()) - strangers:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _words(before: Machine, now: Machine) -> tuple[str, ...]:
    new: list[tuple[str, frozenset[object], Callable[[object], str]]] = [
        ("process", frozenset(now.processes - before.processes), _describe),
        ("mount", frozenset(now.mounts - before.mounts), str),
        ("cgroup", frozenset(now.cgroups - before.cgroups), str),
        ("file", frozenset(now.files - before.files), str),
        ("System V object", frozenset(now.objects - before.objects), str),
        ("descriptor of the grader", frozenset(now.descriptors - before.descriptors), str),
    ]
    return tuple(
        sorted(f"{kind} {describe(thing)}" for kind, things, describe in new for thing in things)
    )


def _statuses() -> Iterator[tuple[int, str, int]]:
    """The id, state and parent of every process that can be seen."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                yield int(entry), fields[0], int(fields[1])


def _children() -> list[int]:
    return [pid for pid, _, parent in _statuses() if parent == os.getpid()]


def _descendants() -> Iterator[int]:
    children: dict[int, list[int]] = {}
    dead = set()
    for pid, state, parent in _statuses():
        children.setdefault(parent, []).append(pid)
        if state in "ZX":
            dead.add(pid)
    waiting = [os.getpid()]
    while waiting:
        for child in children.get(waiting.pop(), []):
            waiting.append(child)
            if child not in dead:
                yield child


def _bearers(token: str) -> Iterator[int]:
    """Processes with the token in their environment, whoever started them."""
    for pid, state, _ in _statuses():
        with contextlib.suppress(OSError):
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            if state not in "ZX" and token.encode() in environment:
                yield pid


def _describe(pid: object) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")[:120]
    except OSError:
        return f"{pid}"
    return f"{pid} ({command.decode(errors='replace').strip()})"


def _mounts() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    # Without the ids at the front, which are numbered anew.
    return [" ".join(line.split()[3:5]) for line in lines if _PRODUCT in line]


def _empty_cgroups() -> Iterator[str]:
    for folder, folders, files in os.walk("/sys/fs/cgroup"):
        if _PRODUCT in folder and "cgroup.procs" in files and not folders:
            with contextlib.suppress(OSError):
                if not (Path(folder) / "cgroup.procs").read_bytes().strip():
                    yield folder


def _files(temporary: Path, token: str) -> Iterator[str]:
    for path in temporary.iterdir():
        yield str(path)
    for folder in {*_NOTE_FOLDERS, tempfile.gettempdir()}:
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                if token in name:
                    yield os.path.join(folder, name)


def _system_v_objects() -> Iterator[str]:
    """Segments, queues and semaphores under the keys that the programs use."""
    for kind in ("shm", "msg", "sem"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]:
                key, number = line.split()[:2]
                if int(key) & 0xFFFF0000 == _SYSTEM_V_KEYS:
                    yield f"{kind} {number}"


def _descriptors() -> Iterator[str]:
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            link = os.readlink(f"/proc/self/fd/{number}")
            if not link.startswith(f"/proc/{os.getpid()}/fd"):
                yield f"{number} {link}"

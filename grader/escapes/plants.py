"""Secrets and listeners around a hostile program, and what a run leaves behind on the machine.

Left behind are processes, mounts, cgroups, files and descriptors. Others work on the machine
meanwhile: what belongs to finegrade is recognised by descent, by a token in environments and file
names, and by the product's name, which every backend gives to what it makes.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grader
from grader.sandbox.api import Isolation, Limits

PREFIX: Final = "fgcanary"  # programs know it and look for it
_SOCKETS: Final = "/tmp"  # a socket's path is at most 107 bytes, the temporary folder's may be more
_SHARED_MEMORY: Final = Path("/dev/shm")


def fresh_canary() -> str:
    """A random string that occurs nowhere else."""
    return PREFIX + secrets.token_hex(12)


class Decoy:
    """A process of the grader's own user with secrets in its environment and its arguments.

    While it lives, the environment that this process hands to its children holds one as well.
    """

    def __init__(self) -> None:
        self.canaries = [fresh_canary() for _ in range(3)]
        os.environ["FINEGRADE_ESCAPE_SECRET"] = self.canaries[0]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", "input()", self.canaries[1]],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"SECRET": self.canaries[2]},
        )

    @property
    def pid(self) -> int:
        """Its process id, which programs are told."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether it was neither killed nor stopped."""
        if self._process.poll() is not None:
            return False
        status = Path(f"/proc/{self.pid}/stat").read_text()
        return status.rpartition(")")[2].split()[0] not in "Tt"

    def close(self) -> None:
        """End it and take the secret out of the environment again."""
        os.environ.pop("FINEGRADE_ESCAPE_SECRET", None)
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()


class Plants:
    """Fresh secrets and listeners for one run; all gone after `close`.

    `submission` is the program's own folder. `targets` says where everything lies, as an attacker
    would know it who has read all of our source, but not the secrets themselves.
    """

    def __init__(self, decoy: Decoy, isolation: Isolation, limits: Limits, token: str) -> None:
        self._open = contextlib.ExitStack()
        self._base = Path(tempfile.mkdtemp(prefix="finegrade-escape-"))
        self._open.callback(shutil.rmtree, self._base, ignore_errors=True)
        # Permissions alone must not be what protects other students: many folders are 0755.
        self._base.chmod(0o755)
        self.canaries = list(decoy.canaries)
        hidden = self._secret("hidden/questions.jsonl", folder_mode=0o700)
        evidence = self._secret("store/evidence.sqlite", folder_mode=0o755)
        class_folder = self._base / f"submissions-{self._canary()}"
        self.submission = class_folder / "me"
        self.submission.mkdir(parents=True)
        other = self._base / "others" / "ada"
        self._secret("others/ada/reflection.md", folder_mode=0o755)
        public = self._secret("public.txt", folder_mode=0o755)
        self._listeners: list[socket.socket] = []
        tcp = self._listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        udp = self._listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        sockets = Path(tempfile.mkdtemp(prefix="finegrade-escape-", dir=_SOCKETS))
        self._open.callback(shutil.rmtree, sockets, ignore_errors=True)
        sockets.chmod(0o755)
        unix = str(sockets / "socket")
        self._listen(socket.AF_UNIX, socket.SOCK_STREAM, unix)
        Path(unix).chmod(0o777)
        abstract = f"finegrade-escape-{secrets.token_hex(8)}"
        self._listen(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + abstract)
        files = [hidden, evidence, other / "reflection.md", public]
        if _SHARED_MEMORY.is_dir():
            shared = _SHARED_MEMORY / f"finegrade-escape-{secrets.token_hex(8)}"
            self._open.callback(shared.unlink, missing_ok=True)
            shared.write_text(self._canary())
            shared.chmod(0o644)
            files.append(shared)
        self.targets: dict[str, Any] = {
            "prefix": PREFIX,
            "token": token,
            "isolation": isolation.value,
            "base": str(self._base),
            "hidden": str(hidden),
            "evidence": str(evidence),
            "other": str(other),
            "files": [str(path) for path in files],
            "home": str(Path.home()),
            "source": str(Path(grader.__file__).parent),
            "uid": os.getuid(),
            "grader": os.getpid(),
            "decoy": decoy.pid,
            "tcp": tcp[1],
            "udp": udp[1],
            "unix": unix,
            "abstract": abstract,
            "processes": limits.processes,
            "memory": limits.memory_bytes,
            "scratch": limits.scratch_bytes,
            "inodes": limits.scratch_files,
            "descriptors": limits.open_files,
        }

    def targets_file(self) -> bytes:
        """`targets` as the input file that programs read."""
        return json.dumps(self.targets).encode()

    def reached(self) -> list[str]:
        """The planted listeners that something connected to."""
        names = ["TCP server", "UDP server", "Unix socket", "abstract Unix socket"]
        return [
            name
            for name, listener in zip(names, self._listeners, strict=True)
            if _anything_came(listener)
        ]

    def close(self) -> None:
        """Remove the files and close the listeners."""
        self._open.close()

    def _canary(self) -> str:
        self.canaries.append(fresh_canary())
        return self.canaries[-1]

    def _secret(self, relative: str, folder_mode: int) -> Path:
        path = self._base / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(folder_mode)
        path.write_text(f'{{"answer": "{self._canary()}"}}\n')
        path.chmod(0o644)
        return path

    def _listen(self, family: int, kind: int, address: Any) -> Any:
        listener = self._open.enter_context(socket.socket(family, kind))
        listener.bind(address)
        if kind == socket.SOCK_STREAM:
            listener.listen(8)
        listener.setblocking(False)
        self._listeners.append(listener)
        return listener.getsockname()


@contextlib.contextmanager
def own_temporary_folder() -> Iterator[Path]:
    """Put all temporary files of this process into a folder of their own."""
    before = tempfile.tempdir
    folder = Path(tempfile.mkdtemp(prefix="finegrade-escapes-"))
    folder.chmod(0o755)
    tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def _anything_came(listener: socket.socket) -> bool:
    try:
        if listener.type == socket.SOCK_DGRAM:
            listener.recv(1)
        else:
            listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


_SETTLE_SECONDS: Final = 5.0  # another sandbox's own things on this machine may come and go
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_GET_CHILD_SUBREAPER: Final = 37
_PRODUCT: Final = "finegrade"
_SYSTEM_V_KEYS: Final = 0x46470000
_NOTE_FOLDERS: Final = ("/tmp", "/var/tmp", "/dev/shm", "/run")


@dataclass(frozen=True, slots=True)
class Machine:
    """The state of the machine."""

    processes: frozenset[int]
    mounts: frozenset[str]
    cgroups: frozenset[str]
    files: frozenset[str]
    objects: frozenset[str]
    descriptors: frozenset[str]


def look(temporary: Path, token: str) -> Machine:
    """The present state; `token` is in the environment of every program."""
    return Machine(
        processes=frozenset([*_descendants(), *_bearers(token)]),
        mounts=frozenset(_mounts()),
        cgroups=frozenset(_empty_cgroups()),
        files=frozenset(_files(temporary, token)),
        objects=frozenset(_system_v_objects()),
        descriptors=frozenset(_descriptors()),
    )


def left_since(before: Machine, temporary: Path, token: str) -> tuple[str, ...]:
    """What has appeared since and does not go away by itself, in words."""
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
    """Adopt orphaned processes, so that they are found."""
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
    """The pid, state and parent of every visible process."""
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

"""The default backend on Linux: every program in namespaces of its own, made by bubblewrap.

Own file system (this interpreter and its packages, read-only, and three sized folders in memory),
own processes, own network with nothing but itself, own users, no capability, a system-call filter.

A grader that is root runs bubblewrap as a user who owns nothing. A virtual environment below /root
is out of that user's reach, so bubblewrap is started from a thread with a mount namespace of its
own, in which the folders are bound below /mnt. No other thread or process sees them. The thread
lives as long as the grader, because its programs are killed when it ends.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from grader.core.constants import (
    SANDBOX_ROOT_BYTES,
    SANDBOX_SEEN_UID,
    SANDBOX_START_SECONDS,
    SANDBOX_STATUS_MAX_BYTES,
    SANDBOX_UID,
)
from grader.core.errors import GraderFault
from grader.sandbox.api import Isolation, RunSpec
from grader.sandbox.handshake import start_program
from grader.sandbox.interpreter import (
    HOME,
    LOADER_CACHE,
    PYTHON,
    SCRATCH,
    SUBMISSION,
    SYSTEM_FILES,
    SYSTEM_FOLDERS,
    SYSTEM_LINKS,
    environment,
    interpreter,
    own_package,
)
from grader.sandbox.limits import can_make_cgroups, family, folder_bytes
from grader.sandbox.runner import (
    ProcessSandbox,
    SandboxProcess,
    limited_group,
    pipe,
    readable,
    start_process,
    wait_gone,
)
from grader.sandbox.seccomp_filter import seccomp_filter
from grader.sandbox.staging import StagedFiles

PUBLIC: Final = Path("/mnt")
CLONE_NEWNS: Final = 0x00020000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_SLAVE = 0x2, 0x4, 0x1000, 0x4000, 0x80000


def public_mounts() -> dict[str, Path]:
    """The interpreter's mounts in the thread's namespace: path inside to path there."""
    return {inside: PUBLIC / str(at) for at, inside in enumerate(interpreter().mounts)}


def popen_publicly(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Call `start` in the thread with its own mounts. Raises GraderFault."""
    return _thread_of(os.getpid()).submit(_entered, start).result()


@cache
def _thread_of(process: int) -> ThreadPoolExecutor:
    """One thread in each process: a fork has none of its parent's."""
    return ThreadPoolExecutor(1, thread_name_prefix="sandbox-launcher")


def _entered(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    _enter(os.getpid())
    return start()


@cache
def _enter(process: int) -> None:
    """Make the namespace; runs once, in the thread."""
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int, what: str) -> None:
        if result != 0:
            reason = os.strerror(ctypes.get_errno())
            raise GraderFault(f"{what} failed: {reason}")

    def mount(source: str, target: Path | str, kind: str | None, flags: int, data: str) -> None:
        check(
            libc.mount(
                source.encode(),
                str(target).encode(),
                kind.encode() if kind else None,
                ctypes.c_ulong(flags),
                data.encode() or None,
            ),
            f"mounting {target}",
        )

    check(libc.unshare(CLONE_NEWNS), "making a mount namespace")
    mount("none", "/", None, MS_REC | MS_SLAVE, "")
    # opened first: they may lie below the folder that is hidden next
    opened = [
        (os.open(path, os.O_PATH | os.O_CLOEXEC), path.is_dir())
        for path in interpreter().mounts.values()
    ]
    size = f"mode=0755,size={SANDBOX_ROOT_BYTES}"
    mount("finegrade", PUBLIC, "tmpfs", MS_NOSUID | MS_NODEV, size)
    for target, (fd, is_folder) in zip(public_mounts().values(), opened, strict=True):
        target.mkdir() if is_folder else target.touch()
        mount(f"/proc/self/fd/{fd}", target, None, MS_BIND | MS_REC, "")
        os.close(fd)


TOOL_PATH: Final = "/usr/bin:/bin:/usr/local/bin:/run/current-system/sw/bin"
START: Final = "/opt/finegrade/start.pyc"
SCRATCH_MODES: Final = ("0700", "1777", "1777")
NAMESPACES: Final = (
    *("--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"),
    *("--new-session", "--as-pid-1", "--cap-drop", "ALL", "--hostname", "sandbox"),
    *("--uid", str(SANDBOX_SEEN_UID), "--gid", str(SANDBOX_SEEN_UID), "--clearenv"),
)


# What bwrap says, in every version since 0.4, when it may not make namespaces.
NO_NAMESPACES: Final = ("namespace", "uid map", "NETLINK_ROUTE", "loopback")
WEAK_ROOT: Final = ("setpriv: setres", "a mount namespace failed", "mounting ")
NOT_AS_ROOT: Final = "run finegrade as a user who is not root, or outside this container"
ALLOW_NAMESPACES: Final = (
    "on Ubuntu 24.04 and later run: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0; "
    "on others: sudo sysctl user.max_user_namespaces=10000; in Docker start the container with "
    "--security-opt seccomp=unconfined, or choose the restricted backend"
)


class Bubblewrap(ProcessSandbox):
    """Runs programs by `bwrap`; see the protocol `Sandbox`."""

    name = "bubblewrap"
    isolation = Isolation.FULL

    def why_not(self) -> str | None:
        """Why it does not work here and what to do, found by a trial run; None where it works."""
        return _why_not(os.geteuid(), TOOL_PATH)

    def policy(self) -> Mapping[str, Any]:
        """What the isolation consists of; equal for equal versions of this program and machine."""
        return {
            "backend": self.name,
            "namespaces": list(NAMESPACES),
            "system_calls": hashlib.sha256(seccomp_filter()).hexdigest(),
            "start": hashlib.sha256(start_program()).hexdigest(),
            "shown": [*SYSTEM_FOLDERS, *interpreter().mounts],
            "python": platform.python_version(),
            "memory": "control group" if can_make_cgroups() else "watchdog",
        }

    def _public(self) -> bool:
        return os.geteuid() == 0

    def _started(
        self, spec: RunSpec, staged: StagedFiles, served: bool, kept: ExitStack
    ) -> SandboxProcess:
        as_root = os.geteuid() == 0
        with ExitStack() as given:
            control, inside = socket.socketpair()
            kept.callback(control.close)
            given.callback(inside.close)
            status, write_status = pipe(kept, given)
            command, fds = _command(spec, staged, served, as_root, given)
            command += [
                *("--json-status-fd", str(write_status)),
                *("--", PYTHON, "-s", "-P", START, str(inside.fileno())),
            ]
            process, stdout, stderr = start_process(
                kept,
                command,
                environment={},  # process 1 of a sandbox shows what its launcher was given
                pass_fds=(*fds, write_status, inside.fileno()),
                start=popen_publicly if as_root else None,
            )
        kept.callback(_reap, process)
        first = _first_process(status) or process.pid
        group = limited_group(spec.limits, first, kept)
        kept.callback(_reap, process)  # before the group is removed
        end = os.pidfd_open(first)
        kept.callback(os.close, end)
        return SandboxProcess(
            process=process,
            control=control,
            stdout=stdout,
            stderr=stderr,
            kill=lambda: _kill(end),
            members=lambda: family(first),
            gone=lambda: wait_gone(end),
            group=group,
        )


@cache
def _why_not(_user: int, _path: str) -> str | None:
    """Cached by user and search path of bwrap."""
    if sys.platform != "linux":
        return "bubblewrap works on Linux only; use the container backend"
    try:
        return Bubblewrap().trial()
    except GraderFault as fault:
        if any(sign in str(fault) for sign in WEAK_ROOT):
            return f"this root may not act as another user ({fault}); {NOT_AS_ROOT}"
        if any(sign in str(fault) for sign in NO_NAMESPACES):
            return f"namespaces are blocked on this machine ({fault}); {ALLOW_NAMESPACES}"
        return str(fault)


def _first_process(status: int) -> int | None:
    """The pid of the sandbox's process 1 on this machine; None when bwrap ended before."""
    report = b""
    until = time.monotonic() + SANDBOX_START_SECONDS
    while b"\n" not in report and len(report) < SANDBOX_STATUS_MAX_BYTES:
        ready = readable([status], until - time.monotonic())
        piece = os.read(status, 4096) if ready else b""
        if not piece:
            return None
        report += piece
    match = re.search(rb'"child-pid": *([0-9]+)', report)
    return int(match[1]) if match else None


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Kill the launcher, unless the run has ended it."""
    if process.returncode is None:
        process.kill()
        process.wait()


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)


def _command(
    spec: RunSpec, staged: StagedFiles, serve: bool, as_root: bool, given: ExitStack
) -> tuple[list[str], list[int]]:
    """bwrap's command line without the program, and the descriptors that it takes with it.

    The options go through a descriptor: a command line is seen by every user of the machine.
    """
    fds: list[int] = []

    def hold(data: bytes) -> str:
        fd = os.memfd_create("sandbox", os.MFD_CLOEXEC)
        given.callback(os.close, fd)
        os.write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        fds.append(fd)
        return str(fd)

    options = [*NAMESPACES, "--seccomp", hold(seccomp_filter())]
    options += ["--perms", "0755", "--size", str(SANDBOX_ROOT_BYTES), "--tmpfs", "/"]
    options += _system(hold, as_root)
    options += ["--proc", "/proc", "--dev", "/dev"]
    sizes = list(folder_bytes(spec.limits))
    sizes[0] += staged.copied_bytes + len(staged.files) * os.sysconf("SC_PAGE_SIZE")
    for folder, mode, size in zip(SCRATCH, SCRATCH_MODES, sizes, strict=True):
        options += ["--perms", mode, "--size", str(size), "--tmpfs", folder]
    for path, file in staged.large.items():
        options += ["--ro-bind", str(file), f"{SUBMISSION}/{path}"]
    options += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", HOME]
    for name, value in environment(spec, serve).items():
        options += ["--setenv", name, value]
    listed = hold("".join(f"{option}\0" for option in options).encode("utf-8", "surrogateescape"))
    return [*_launcher(as_root), "--args", listed], fds


def _system(hold: Callable[[bytes], str], as_root: bool) -> list[str]:
    """The read-only part: the machine's programs and libraries, the interpreter, this program."""
    python = interpreter()
    options: list[str] = []
    for folder in SYSTEM_FOLDERS:
        options += ["--ro-bind-try", folder, folder]
    for link, target in {**SYSTEM_LINKS, **python.links}.items():
        options += ["--symlink", target, link]
    options += ["--ro-bind-try", LOADER_CACHE, LOADER_CACHE]
    for inside, place in (public_mounts() if as_root else python.mounts).items():
        options += ["--ro-bind", str(place), inside]
    shown = {**{folder: Path(folder) for folder in SYSTEM_FOLDERS}, **python.mounts}
    for hidden in own_package(shown):
        options += ["--tmpfs", hidden, "--remount-ro", hidden]
    for path, text in {**SYSTEM_FILES, **python.files}.items():
        options += ["--perms", "0444", "--file", hold(text.encode()), path]
    return [*options, "--perms", "0444", "--file", hold(start_program()), START]


def _launcher(as_root: bool) -> list[str]:
    bwrap = _tool("bwrap", "bubblewrap")
    if not as_root:
        return [bwrap]
    setpriv = _tool("setpriv", "util-linux")
    return [setpriv, f"--reuid={SANDBOX_UID}", f"--regid={SANDBOX_UID}", "--clear-groups", bwrap]


def _tool(name: str, package: str) -> str:
    found = shutil.which(name, path=TOOL_PATH)
    if not found:
        raise GraderFault(f"{name} is not installed; run: sudo apt install {package}")
    return found

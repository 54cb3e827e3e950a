"""Starts programs from a thread that sees root's files at a place that every user can reach.

A grader that is root runs scripts as another user, to whom a virtual environment below /root is
out of reach. The thread has a mount namespace of its own, with the folders bound below /mnt; no
other thread or process of the machine sees them, and they go away with the thread. It lives as
long as the grader, because the programs that it starts are killed when it ends.

The default backend on Linux: every program in namespaces of its own, made by bubblewrap.

Own file system (this interpreter and its packages, read-only, and three sized folders in memory),
own processes, own network with nothing but itself, own users, no capability, a system-call filter.
A grader that is root starts it as a user who owns nothing.
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
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from grader.core.constants import (
    SANDBOX_END_SECONDS,
    SANDBOX_ROOT_BYTES,
    SANDBOX_SEEN_UID,
    SANDBOX_START_SECONDS,
    SANDBOX_STATUS_MAX_BYTES,
    SANDBOX_UID,
)
from grader.core.errors import GraderFault
from grader.sandbox.api import ExitReason, Isolation, Limits, RunResult, RunSpec, Serve
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
from grader.sandbox.limits import can_make_cgroups, family, folder_bytes, make_cgroup
from grader.sandbox.runner import ProcessRun, SandboxProcess, readable
from grader.sandbox.seccomp_filter import seccomp_filter
from grader.sandbox.staging import StagedFiles

PUBLIC: Final = Path("/mnt")
CLONE_NEWNS: Final = 0x00020000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_SLAVE = 0x2, 0x4, 0x1000, 0x4000, 0x80000


def public_mounts() -> dict[str, Path]:
    """The interpreter's mounts as `run_in_public` sees them: path inside to path there."""
    return {inside: PUBLIC / str(at) for at, inside in enumerate(interpreter().mounts)}


def popen_publicly(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Call `start` in the thread. Raises GraderFault where no namespace can be made."""
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
    wanted = [
        (os.open(path, os.O_PATH | os.O_CLOEXEC), path.is_dir())
        for path in interpreter().mounts.values()
    ]
    size = f"mode=0755,size={SANDBOX_ROOT_BYTES}"
    mount("finegrade", PUBLIC, "tmpfs", MS_NOSUID | MS_NODEV, size)
    for target, (fd, is_folder) in zip(public_mounts().values(), wanted, strict=True):
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


class Bubblewrap:
    """Runs programs by `bwrap`; see the protocol `Sandbox`."""

    name = "bubblewrap"
    isolation = Isolation.FULL

    def why_not(self) -> str | None:
        """Why it does not work here and what to do, found by a launch; None where it does."""
        return _why_not(os.geteuid(), TOOL_PATH)

    def policy(self) -> Mapping[str, Any]:
        """What its walls are made of; equal for equal versions of this program and machine."""
        return {
            "backend": self.name,
            "namespaces": list(NAMESPACES),
            "system_calls": hashlib.sha256(seccomp_filter()).hexdigest(),
            "start": hashlib.sha256(start_program()).hexdigest(),
            "shown": [*SYSTEM_FOLDERS, *interpreter().mounts],
            "python": platform.python_version(),
            "memory": "control group" if can_make_cgroups() else "watchdog",
        }

    def run(
        self, launch: RunSpec, serve: Serve | None = None, stop: threading.Event | None = None
    ) -> RunResult:
        """See `Sandbox.run`."""
        as_root = os.geteuid() == 0
        with (
            closing(StagedFiles(launch, public=as_root)) as staged,
            _started(launch, staged, serve is not None, as_root) as child,
        ):
            return ProcessRun(child, launch, self.isolation).finish(staged, serve, stop)


@cache
def _why_not(_user: int, _path: str) -> str | None:
    """Asked once for each user and place of bwrap."""
    if sys.platform != "linux":
        return "bubblewrap works on Linux only; use the container backend"
    limits = Limits(wall_seconds=SANDBOX_START_SECONDS)
    try:
        ended = Bubblewrap().run(RunSpec({}, "try.py", inputs={"try.py": b""}, limits=limits))
    except GraderFault as fault:
        if any(sign in str(fault) for sign in WEAK_ROOT):
            return f"this root may not act as another user ({fault}); {NOT_AS_ROOT}"
        if any(sign in str(fault) for sign in NO_NAMESPACES):
            return f"namespaces are blocked on this machine ({fault}); {ALLOW_NAMESPACES}"
        return str(fault)
    if ended.verdict != ExitReason.OK:
        said = ended.stderr.decode("utf-8", "replace").strip()
        return f"an empty script ended with {ended.verdict} in the sandbox: {said[-500:]}"
    return None


@contextmanager
def _started(
    launch: RunSpec, staged: StagedFiles, serve: bool, as_root: bool
) -> Iterator[SandboxProcess]:
    """A started sandbox; what it held of the machine is given back at the end."""
    with ExitStack() as stack:
        with ExitStack() as given:
            control, inside = socket.socketpair()
            stack.callback(control.close)
            given.callback(inside.close)
            stdout, write_stdout = _pipe(stack, given)
            stderr, write_stderr = _pipe(stack, given)
            status, write_status = _pipe(stack, given)
            command, fds = _command(launch, staged, serve, as_root, given)
            command += [
                *("--json-status-fd", str(write_status)),
                *("--", PYTHON, "-s", "-P", START, str(inside.fileno())),
            ]

            def start() -> subprocess.Popen[bytes]:
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=write_stdout,
                    stderr=write_stderr,
                    env={},  # process 1 of a sandbox shows what its launcher was given
                    cwd="/",
                    pass_fds=(*fds, write_status, inside.fileno()),
                    start_new_session=True,  # Ctrl-C is for the grader, which then ends it
                )

            process = popen_publicly(start) if as_root else start()
        group = make_cgroup(launch.limits)
        if group:
            stack.callback(group.remove)
        stack.callback(_reap, process)
        first = _first_process(status) or process.pid
        end = os.pidfd_open(first)
        stack.callback(os.close, end)
        if group:
            group.add(first)
        yield SandboxProcess(
            process=process,
            control=control,
            stdout=stdout,
            stderr=stderr,
            kill=lambda: _kill(end),
            members=lambda: family(first),
            gone=lambda: _wait(end),
            group=group,
        )


def _pipe(kept: ExitStack, given: ExitStack) -> tuple[int, int]:
    """A pipe whose writing end is closed here once the sandbox has it."""
    read, write = os.pipe()
    kept.callback(os.close, read)
    given.callback(os.close, write)
    return read, write


def _first_process(status: int) -> int | None:
    """The sandbox's process 1 as the machine numbers it; None when bwrap ended before."""
    said = b""
    until = time.monotonic() + SANDBOX_START_SECONDS
    while b"\n" not in said and len(said) < SANDBOX_STATUS_MAX_BYTES:
        ready = readable([status], until - time.monotonic())
        piece = os.read(status, 4096) if ready else b""
        if not piece:
            return None
        said += piece
    match = re.search(rb'"child-pid": *([0-9]+)', said)
    return int(match[1]) if match else None


def _reap(process: subprocess.Popen[bytes]) -> None:
    """End what was started, unless the run has done so."""
    if process.returncode is None:
        process.kill()
        process.wait()


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)


def _wait(process: int) -> None:
    if not readable([process], SANDBOX_END_SECONDS):
        raise GraderFault("a program in the sandbox was killed and has not ended")


def _command(
    launch: RunSpec, staged: StagedFiles, serve: bool, as_root: bool, given: ExitStack
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
    sizes = list(folder_bytes(launch.limits))
    sizes[0] += staged.copied_bytes + len(staged.files) * os.sysconf("SC_PAGE_SIZE")
    for folder, mode, size in zip(SCRATCH, SCRATCH_MODES, sizes, strict=True):
        options += ["--perms", mode, "--size", str(size), "--tmpfs", folder]
    for path, file in staged.large.items():
        options += ["--ro-bind", str(file), f"{SUBMISSION}/{path}"]
    options += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", HOME]
    for name, value in environment(launch, serve).items():
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

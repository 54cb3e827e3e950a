"""The backend for Linux where user namespaces are blocked: in Docker, on Gradescope, on Ubuntu.

The program shares the machine's file system, processes and network with everything else, and the
kernel refuses it nearly all of that: Landlock opens this interpreter, its packages and the system's
libraries for reading, and the run's own folder for writing; two system-call filters leave it no
socket that could reach anybody, and each `connect` is made by the grader, to the run's own service
alone (broker.py). A grader that is root gives every run a user of its own.

Isolation is reduced. What it does not stop:
- The program sees which processes run on the machine, their users and their command lines. The
  grader keeps no secret in a command line.
- It sees the machine's name, its mounts and its memory and load, and the paths of its own folder.
- A file that was deleted while it lies in the queue of a socket is not counted as disk; what it
  writes between two looks of the watchdog is there for a moment.
- `/tmp` is not the program's; it must use TMPDIR or its own folder.
- It can kill its own start program: the run then ends as killed by a signal.
- Another user of the machine, who is no student's program, can connect to the service's port.
With root that may not mount (Docker), `/dev/shm` is the machine's, and open as long as nothing that
others may read lies there when the program begins; else it is closed, as it is without root.
Without root, also:
- The program runs as the grader's user. Landlock alone keeps them apart: files, signals (Linux
  6.12 or later is required for that) and memory. Its processes count together with the user's.
- It may not change modes, owners or times by path, which Landlock leaves open: `shutil.copy`
  fails, `shutil.copyfile` works.
- When the user's other processes end meanwhile, it may have more processes than its limit.
- It sees how many files the grader has open, but not which.
- `/dev/shm` is always closed, and with it the locks of `multiprocessing`.
With root that may not look into other users' processes (Docker), and no control group, memory that
processes share is counted for each of them.
What does not work in it: servers of the program's own, Unix sockets by name, datagrams, inotify.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import platform
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from grader.core.constants import SANDBOX_START_SECONDS
from grader.core.errors import GraderFault
from grader.sandbox.api import Isolation, Limits, RunSpec
from grader.sandbox.backends.broker import Broker, connect_filter, shared_network_filter
from grader.sandbox.disk_usage import files_of_user, real_usage, remove_tree
from grader.sandbox.handshake import start_program
from grader.sandbox.inside import landlock, restricted_init
from grader.sandbox.interpreter import (
    READABLE,
    closed_to_others,
    environment,
    interpreter,
    interpreter_paths,
    python_in_place,
    readable_rights,
)
from grader.sandbox.limits import can_make_cgroups, family, folder_bytes
from grader.sandbox.runner import (
    ProcessSandbox,
    SandboxProcess,
    last_words,
    limited_group,
    start_process,
)
from grader.sandbox.seccomp_filter import seccomp_filter
from grader.sandbox.seccomp_filter import why_not as no_filter
from grader.sandbox.staging import StagedFiles
from grader.sandbox.uids import Lease, lent_uid

SHARED_MEMORY: Final = Path("/dev/shm")
DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/random")
FROM_LINUX: Final = "Linux 6.7 or later with Landlock is needed (lsm=landlock,... at its start)"


class Restricted(ProcessSandbox):
    """Runs programs under Landlock and system-call filters; see the protocol `Sandbox`."""

    name = "restricted"
    isolation = Isolation.REDUCED

    def why_not(self) -> str | None:
        """Why it does not work here and what to do, found by a trial run; None where it works."""
        return _why_not(os.geteuid())

    def policy(self) -> Mapping[str, Any]:
        """What the isolation consists of; equal for equal versions of this program and machine."""
        own_user = os.geteuid() == 0
        filters = seccomp_filter() + shared_network_filter(own_user) + connect_filter()
        return {
            "backend": self.name,
            "landlock": landlock.abi(),
            "system_calls": hashlib.sha256(filters).hexdigest(),
            "start": hashlib.sha256(start_program()).hexdigest(),
            "keeper": hashlib.sha256(Path(restricted_init.__file__).read_bytes()).hexdigest(),
            "user": "of the run" if own_user else "the grader's",
            "shown": list(READABLE),
            "python": platform.python_version(),
            "memory": "control group" if can_make_cgroups() else "watchdog",
        }

    def _public(self) -> bool:
        return False  # large files are copied, too: nothing can be shown elsewhere

    def _counted(self, spec: RunSpec) -> RunSpec:
        """The limit on processes, raised by those that the run's user has already."""
        if os.geteuid() == 0:
            return spec
        others = sum(
            len(os.listdir(f"/proc/{name}/task"))
            for name in filter(str.isdigit, os.listdir("/proc"))
            if _owner(name) == os.getuid()
        )
        limits = replace(spec.limits, processes=spec.limits.processes + others)
        return replace(spec, limits=limits)

    def _started(
        self, spec: RunSpec, staged: StagedFiles, served: bool, kept: ExitStack
    ) -> SandboxProcess:
        lease = kept.enter_context(lent_uid())
        large_bytes = _copied(staged, kept)
        user = lease.uid if os.geteuid() == 0 else None
        folder = _folder(lease, kept)
        scratch = tuple(str(folder / name) for name in ("box", "tmp", "shm"))
        with ExitStack() as given:
            control, inside = socket.socketpair()
            link, keepers = socket.socketpair()
            for ours, theirs in ((control, inside), (link, keepers)):
                kept.callback(ours.close)
                given.callback(theirs.close)
            passed = (inside.fileno(), keepers.fileno(), lease.lock)
            process, stdout, stderr = start_process(
                kept,
                [python_in_place(), "-s", "-P", restricted_init.__file__, *map(str, passed)],
                environment=_environment(spec, served, scratch),
                pass_fds=passed,
            )
        group = limited_group(spec.limits, process.pid, kept)
        kept.callback(_reap, process, link)
        listener = socket.create_server(("127.0.0.1", 0), backlog=128) if served else None
        if listener:
            kept.callback(listener.close)
        shared = _shared_memory_is_safe(user)
        _order(link, _orders(user, folder, shared, spec.limits))
        calls, own_memory = _calls(link, stderr)
        if own_memory:
            shared, scratch = False, (*scratch[:2], str(SHARED_MEMORY))
        broker = Broker(calls, listener.getsockname()[1] if listener else None, user)
        kept.callback(broker.close)
        kept.callback(_reap, process, link)
        if shared and user is not None:
            kept.callback(_remove_shared, user)

        def members() -> list[int]:
            return family(process.pid)[1:]  # without the keeper

        return SandboxProcess(
            process=process,
            control=control,
            stdout=stdout,
            stderr=stderr,
            kill=lambda: _stop(link),
            members=members,
            gone=lambda: None,  # the keeper ends after all others
            group=group,
            usage=partial(real_usage, members, user, shared, large_bytes),
            scratch=scratch,
            exposed=True,
            listener=listener,
        )


@cache
def _why_not(user: int) -> str | None:
    if sys.platform != "linux":
        return "Landlock is a part of Linux; use the container backend"
    found = landlock.abi()
    if found < landlock.NETWORK_ABI:
        version = f"version {found} of Landlock" if found else "no Landlock"
        return f"this kernel ({platform.release()}) has {version}; {FROM_LINUX}"
    if user != 0 and found < landlock.SCOPES_ABI:
        return (
            f"this kernel ({platform.release()}) does not keep signals of a program from its own "
            "user's processes; run finegrade as root, or use Linux 6.12 or later"
        )
    missing = no_filter()
    if missing:
        return missing
    try:
        return Restricted().trial()
    except GraderFault as fault:
        return str(fault)


# --- one run -----------------------------------------------------------------------------------


def _owner(process: str) -> int | None:
    try:
        return os.stat(f"/proc/{process}/task").st_uid
    except OSError:
        return None


def _copied(staged: StagedFiles, stack: ExitStack) -> int:
    """Copy large files like the others, as nothing can be mounted; return their bytes."""
    size = 0
    for path, file in staged.large.items():
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        staged.files.append((path, 0o644, fd))
        size += os.fstat(fd).st_size
    staged.large.clear()
    return size


def _folder(lease: Lease, stack: ExitStack) -> Path:
    """A new folder for the run, which it may enter and nobody else may list.

    Its name depends on the number alone, so that runs one after the other are equal.
    """
    folder = Path(tempfile.gettempdir(), f"finegrade-run-{lease.uid}")
    with suppress(FileNotFoundError):
        if folder.lstat().st_uid != os.geteuid():
            raise GraderFault(f"{folder} belongs to somebody else; remove it")
        remove_tree(folder)  # of a grader that was killed
    try:
        folder.mkdir(mode=0o700)
        stack.callback(remove_tree, folder)
        for name in ("box", "tmp", "shm"):
            (folder / name).mkdir(mode=0o700)
            if os.geteuid() == 0:
                os.chown(folder / name, lease.uid, lease.uid)
        folder.chmod(0o711)
    except OSError as error:
        raise GraderFault(f"no folder can be made for a run: {error}") from error
    return folder


def _order(link: socket.socket, orders: dict[str, Any]) -> None:
    data = marshal.dumps(orders, 4)
    link.settimeout(SANDBOX_START_SECONDS)
    with suppress(BrokenPipeError, ConnectionResetError):  # its last words are read next
        link.sendall(len(data).to_bytes(8, "big") + data)


def _calls(link: socket.socket, stderr: int) -> tuple[int, bool]:
    """The descriptor for notified calls, and whether the run has its own /dev/shm.

    Raises GraderFault with the keeper's last words.
    """
    try:
        word, fds, _, _ = socket.recv_fds(link, 1, 1)
    except OSError:
        word, fds = b"", []
    if word and len(fds) == 1:
        return fds[0], word == restricted_init.LISTENING_WITH_OWN_MEMORY
    message = last_words(stderr).rpartition("\n")[2]
    raise GraderFault(f"the sandbox did not start: {message}")


def _stop(link: socket.socket) -> None:
    with suppress(OSError):
        link.send(restricted_init.STOP, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def _reap(process: subprocess.Popen[bytes], link: socket.socket) -> None:
    """Stop the keeper and all it started, unless the run has ended them."""
    if process.returncode is None:
        _stop(link)
        process.wait()


def _orders(user: int | None, folder: Path, shared: bool, limits: Limits) -> dict[str, Any]:
    granted = list(readable_rights())
    granted += [(path, landlock.READ_FILE | landlock.WRITE_FILE) for path in DEVICES]
    granted += [(str(folder / name), landlock.write_rights()) for name in ("box", "tmp", "shm")]
    # For the locks of multiprocessing: single files, and no list of them.
    rights = landlock.READ_FILE | landlock.WRITE_FILE | landlock.TRUNCATE
    rights |= landlock.MAKE_REG | landlock.REMOVE_FILE
    closed = closed_to_others() if user is not None else ()
    return {
        "uid": user,
        "folder": str(folder),
        "granted": granted,
        "memory_bytes": folder_bytes(limits)[2],
        "own_memory": [(str(SHARED_MEMORY), landlock.write_rights())],
        "shared_memory": [(str(SHARED_MEMORY), rights)] if shared else [],
        "closed": list(closed),
        "needed": list(interpreter_paths()) if closed else [],
        "system_calls": seccomp_filter(),
        "network": shared_network_filter(user is not None),
        "connects": connect_filter(),
        "start": start_program(),
    }


def _shared_memory_is_safe(user: int | None) -> bool:
    """Whether /dev/shm holds nothing that the run's user could read or write."""
    if user is None or not SHARED_MEMORY.is_dir():
        return False
    with os.scandir(SHARED_MEMORY) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.stat(follow_symlinks=False).st_mode & 0o007:
                    return False
    return True


def _remove_shared(user: int) -> None:
    for path, _ in files_of_user(SHARED_MEMORY, user):
        with suppress(FileNotFoundError):
            path.unlink()


def _environment(spec: RunSpec, served: bool, scratch: tuple[str, ...]) -> dict[str, str]:
    """As in every sandbox, with the paths of this machine."""
    home, tmp, _ = scratch
    variables = environment(replace(spec, environment={}), served)
    variables |= {
        "PATH": f"{os.path.dirname(python_in_place())}:/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": tmp,
        "XDG_CACHE_HOME": f"{tmp}/cache",
        "MPLCONFIGDIR": f"{tmp}/matplotlib",
    }
    if interpreter().library_path:
        variables["LD_LIBRARY_PATH"] = f"{os.path.realpath(sys.base_prefix)}/lib"
    return {**variables, **spec.environment}

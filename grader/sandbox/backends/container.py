"""The backend for machines with an engine for containers: Docker or Podman, whichever works.

The container is made of an image with nothing but empty folders, links and a few small files, which
this program makes by itself (`import` of a few KiB): no registry is asked, and no image has to be
chosen and kept in step. As with bubblewrap, the machine's own interpreter, packages and libraries
are mounted in it, read-only. It has no network, no capability, the same system-call filter, sized
file systems in memory, and a user of its own for each run, because the kernel counts processes by
user. The command is never privileged.

The engine's client hands no open files to a container: `start.py` connects to a socket in a folder
that is mounted, and that folder is gone before the program begins. When the grader dies the socket
ends, and with it process 1 of the container.

The variables and arguments of a run are seen on the engine's command line by the machine's users.
The image stays on the machine (`finegrade-sandbox`; a new one for each version of this program).

Run against Podman 4.3 as root with runc; never run against a real Docker daemon: its command
lines and its refusals alone are tested.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, Final

from grader.core.constants import (
    SANDBOX_CONTAINER_MEMORY_FACTOR,
    SANDBOX_START_SECONDS,
)
from grader.core.errors import GraderFault
from grader.sandbox.api import Isolation, RunResult, RunSpec, Serve
from grader.sandbox.backends.container_image import CONTROL, START, engine_filter, image, image_name
from grader.sandbox.interpreter import (
    HOME,
    LOADER_CACHE,
    PYTHON,
    SCRATCH,
    SUBMISSION,
    SYSTEM_FOLDERS,
    environment,
    interpreter,
    own_package,
)
from grader.sandbox.limits import can_make_cgroups, family, folder_bytes
from grader.sandbox.runner import (
    ProcessSandbox,
    SandboxProcess,
    last_words,
    limited_group,
    readable,
    start_process,
    wait_gone,
)
from grader.sandbox.staging import StagedFiles
from grader.sandbox.uids import lent_uid

ENGINES: Final = ("docker", "podman")
WALLS: Final = (
    *("--rm", "--pull", "never", "--network", "none", "--ipc", "none", "--read-only"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--security-opt", "label=disable"),  # else SELinux hides what is mounted
    *("--hostname", "sandbox", "--workdir", HOME, "--log-driver", "none"),
)
# Podman adds file systems that nobody has sized, and the machine's names.
PODMAN_WALLS: Final = ("--read-only-tmpfs=false", "--no-hosts", "--cgroupns", "private")
_NUMBERS = itertools.count()


class Container:
    """Runs programs by Docker or Podman; see the protocol `Sandbox`."""

    name = "container"
    isolation = Isolation.FULL

    def why_not(self) -> str | None:
        """Why it does not work here and what to do, for each engine; None where one works."""
        if sys.platform != "linux":
            return "the interpreter of a container is this machine's own, which must be Linux"
        return None if _engine() else " ".join(_refusals())

    def policy(self) -> Mapping[str, Any]:
        """What the isolation consists of; equal for equal versions of this program and machine."""
        engine = _engine()
        return {
            "backend": self.name,
            "engine": os.path.basename(engine) if engine else None,
            "walls": [*WALLS, *PODMAN_WALLS],
            "system_calls": hashlib.sha256(engine_filter()).hexdigest(),
            "image": image_name(),
            "shown": [*SYSTEM_FOLDERS, *interpreter().mounts],
            "python": platform.python_version(),
            "memory": "control group" if can_make_cgroups() else "engine and watchdog",
        }

    def run(
        self, spec: RunSpec, serve: Serve | None = None, stop: threading.Event | None = None
    ) -> RunResult:
        """See `Sandbox.run`."""
        engine = _engine()
        if engine is None:
            raise GraderFault(" ".join(_refusals()))
        return _Engine(engine).run(spec, serve, stop)


class _Engine(ProcessSandbox):
    """Runs programs by the client of one engine."""

    name = "container"
    isolation = Isolation.FULL

    def __init__(self, client: str) -> None:
        self._client = client

    def _public(self) -> bool:
        return True

    def _started(
        self, spec: RunSpec, staged: StagedFiles, served: bool, kept: ExitStack
    ) -> SandboxProcess:
        engine = self._client
        lease = kept.enter_context(lent_uid())
        name = f"finegrade-{os.getpid()}-{next(_NUMBERS)}"
        with ExitStack() as given:
            folder = Path(given.enter_context(tempfile.TemporaryDirectory(prefix="finegrade-")))
            door = given.enter_context(socket.socket(socket.AF_UNIX))
            _listen(folder, door)
            process, stdout, stderr = start_process(
                kept, command(engine, name, spec, staged, lease.uid, served, folder)
            )
            kept.callback(_remove, engine, name, process)
            control, first = _connection(door, process, stderr)
            kept.callback(control.close)
        group = limited_group(spec.limits, first, kept) if os.geteuid() == 0 else None
        kept.callback(_remove, engine, name, process)  # before the group is removed
        end = os.pidfd_open(first)
        kept.callback(os.close, end)
        return SandboxProcess(
            process=process,
            control=control,
            stdout=stdout,
            stderr=stderr,
            kill=lambda: _kill(engine, name, end),
            members=lambda: family(first),
            gone=lambda: wait_gone(end),
            group=group,
        )


# --- which engine ------------------------------------------------------------------------------


def _engine() -> str | None:
    """The client of the first engine that works here."""
    for name in ENGINES:
        found = shutil.which(name)
        if found and refusal(found) is None:
            return found
    return None


def _refusals() -> list[str]:
    found = [path for path in map(shutil.which, ENGINES) if path]
    if not found:
        return ["neither docker nor podman is installed; run: sudo apt install podman"]
    return [f"{os.path.basename(path)}: {refusal(path)}." for path in found]


@cache
def refusal(engine: str) -> str | None:
    """Why this engine's client cannot run programs and what to do next; None where it can."""
    try:
        info = _ask(engine, "info", timeout=SANDBOX_START_SECONDS)
    except subprocess.TimeoutExpired:
        return f"`{engine} info` does not answer; restart the engine"
    if info.returncode != 0:
        return _explained(engine, info.stderr.decode("utf-8", "replace"))
    try:
        _make_image(engine)
        return _Engine(engine).trial()
    except GraderFault as fault:
        return str(fault)


def _explained(engine: str, message: str) -> str:
    """Explain the client's error message, and name the next command."""
    last = message.strip().splitlines()[-1] if message.strip() else "it says nothing"
    if "permission denied" in message.lower():
        return f"you may not use it ({last}); run: sudo usermod -aG docker $USER, and log in again"
    if "connect to the docker daemon" in message.lower():
        return f"its daemon does not run ({last}); run: sudo systemctl start docker"
    return f"`{os.path.basename(engine)} info` fails ({last})"


def _ask(
    engine: str, *arguments: str, given: bytes = b"", timeout: float | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([engine, *arguments], input=given, capture_output=True, timeout=timeout)


def _make_image(engine: str) -> None:
    """Make the image unless it is there. Raises GraderFault."""
    if _ask(engine, "image", "inspect", image_name()).returncode == 0:
        return
    made = _ask(engine, "import", "-", image_name(), given=image())
    if made.returncode != 0:
        message = made.stderr.decode("utf-8", "replace").strip()[-500:]
        raise GraderFault(f"the image cannot be made ({message}); try: {engine} import -")


# --- one run -----------------------------------------------------------------------------------


def command(
    engine: str,
    name: str,
    spec: RunSpec,
    staged: StagedFiles,
    uid: int,
    serve: bool,
    folder: Path,
) -> list[str]:
    """The engine's command line; `folder` holds the socket and the filter."""
    limits = spec.limits
    options = [*WALLS, *(PODMAN_WALLS if "podman" in os.path.basename(engine) else ())]
    options += ["--name", name, "--user", f"{uid}:{uid}"]
    options += ["--security-opt", f"seccomp={folder / 'filter.json'}"]
    memory = str(int(limits.memory_bytes * SANDBOX_CONTAINER_MEMORY_FACTOR))
    # Above the watchdog's and the control group's, which give the verdict.
    options += ["--memory", memory, "--memory-swap", memory]
    options += ["--pids-limit", str(limits.processes + 16), "--cpus", str(os.cpu_count() or 1)]
    options += ["--ulimit", f"nofile={limits.open_files}:{limits.open_files}"]
    options += ["--ulimit", f"nproc={limits.processes + 16}:{limits.processes + 16}"]
    options += ["--ulimit", "core=0:0"]
    sizes = list(folder_bytes(limits))
    sizes[0] += staged.copied_bytes + len(staged.files) * os.sysconf("SC_PAGE_SIZE")
    for path, size in zip(SCRATCH, sizes, strict=True):
        options += ["--tmpfs", f"{path}:rw,exec,nosuid,nodev,mode=1777,size={size}"]
    mounts = {path: Path(path) for path in SYSTEM_FOLDERS if os.path.isdir(path)}
    mounts |= interpreter().mounts
    mounts |= {f"{SUBMISSION}/{path}": file for path, file in staged.large.items()}
    mounts[CONTROL] = folder / "control"
    if os.path.exists(LOADER_CACHE):
        mounts[LOADER_CACHE] = Path(LOADER_CACHE)
    for inside, place in mounts.items():
        options += ["--mount", _mount(inside, place)]
    options += ["--tmpfs", "/sys:ro,nosuid,nodev,mode=0755,size=4k"]  # facts about the kernel
    for hidden in own_package(mounts):
        options += ["--mount", _mount(hidden, folder / "empty")]
    variables = [f"{key}={value}" for key, value in environment(spec, serve).items()]
    # Engines add variables of their own, in any order.
    program = ["/usr/bin/env", "-i", *variables, PYTHON, "-s", "-P", START, f"{CONTROL}/socket"]
    return [engine, "run", *options, image_name(), *program]


def _mount(inside: str, place: Path) -> str:
    for path in (inside, str(place)):
        if set(path) & {",", '"', "\n"}:
            raise GraderFault(f"{path!r} cannot be shown in a container; rename it")
    return f"type=bind,src={place},dst={inside},readonly"


def _listen(folder: Path, door: socket.socket) -> None:
    folder.chmod(0o711)  # the container's user must reach the socket
    (folder / "filter.json").write_bytes(engine_filter())
    (folder / "control").mkdir(mode=0o711)
    (folder / "empty").mkdir(mode=0o555)
    door.bind(str(folder / "control" / "socket"))
    (folder / "control" / "socket").chmod(0o666)
    door.listen(1)


def _connection(
    door: socket.socket, process: subprocess.Popen[bytes], stderr: int
) -> tuple[socket.socket, int]:
    """The start program's connection, and its pid on this machine."""
    end = os.pidfd_open(process.pid)
    try:
        waiting = [door.fileno(), end]
        ready = readable(waiting, SANDBOX_START_SECONDS)
    finally:
        os.close(end)
    if door.fileno() not in ready:
        raise GraderFault(f"the container did not start: {last_words(stderr)}")
    control, _ = door.accept()
    size = struct.calcsize("3i")
    peer = control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    first: int = struct.unpack("3i", peer)[0]
    if first == 0:
        control.close()
        raise GraderFault("the engine runs in another machine; use an engine on this one")
    return control, first


def _kill(engine: str, name: str, end: int) -> None:
    """End process 1, and with it all others; through the engine where it is another user's."""
    try:
        signal.pidfd_send_signal(end, signal.SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError:
        _ask(engine, "kill", name)


def _remove(engine: str, name: str, process: subprocess.Popen[bytes]) -> None:
    """Remove the container, unless the run has ended it."""
    if process.returncode is None:
        _ask(engine, "rm", "--force", name)
        process.kill()
        process.wait()

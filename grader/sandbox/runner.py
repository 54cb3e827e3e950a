"""One run, from the start of its launcher to its verdict, the same for every backend.

A backend starts a launcher whose innermost part is `start.py`, and says how to end it, which
processes belong to it and what its folders hold. Everything else happens here: staging, pipes, the
handshake with the start program, the service, the watchdog, the output, the end, the harvest and
the verdict.
"""

from __future__ import annotations

import os
import resource
import select
import selectors
import socket
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass

from grader.core.constants import (
    SANDBOX_CPU_SEEN_SHARE,
    SANDBOX_END_SECONDS,
    SANDBOX_READ_BYTES,
    SANDBOX_START_SECONDS,
    SANDBOX_TICK_SECONDS,
)
from grader.core.errors import GraderFault
from grader.sandbox.api import (
    ExitReason,
    Isolation,
    Limits,
    RunResult,
    RunSpec,
    RunStopped,
    Serve,
    SocketService,
)
from grader.sandbox.handshake import Handshake
from grader.sandbox.harvest import State, harvest, snapshot
from grader.sandbox.interpreter import SCRATCH
from grader.sandbox.limits import Cgroup, DiskUsage, Watchdog, folder_usage, make_cgroup
from grader.sandbox.opened_files import OpenedFiles
from grader.sandbox.staging import StagedFiles


def readable(descriptors: list[int], seconds: float) -> list[int]:
    """The descriptors that become readable or are closed at the other end within this time."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(max(0.0, seconds) * 1000)]


class Stream:
    """The reading end of a pipe, which its creator closes. Reading never blocks."""

    def __init__(self, fd: int, limit_bytes: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.limit_bytes = limit_bytes
        self.kept = bytearray()
        self.total_bytes = 0

    def take(self) -> bool:
        """Read what is there, at most one piece; False when no more will come."""
        try:
            piece = os.read(self.fd, SANDBOX_READ_BYTES)
        except BlockingIOError:
            return True
        self.total_bytes += len(piece)
        self.kept += piece[: max(0, self.limit_bytes - len(self.kept))]
        return bool(piece)

    def drain(self) -> None:
        """Read the rest after every writer has ended."""
        before = -1
        while self.total_bytes != before:
            before = self.total_bytes
            self.take()


@dataclass(frozen=True, slots=True)
class SandboxProcess:
    """A sandbox whose start program waits for its orders.

    `process` is what the backend started; when it has ended and `gone` returns, nothing of the
    run is left. It is reaped here; the socket and the pipes are closed by the backend. `kill` ends
    all of the run and does not wait. `members` gives the processes that the run has now. `usage`
    says what the scratch folders hold, from their descriptors. `exposed` is whether the program
    could signal `process`. `listener` is the service's socket where it is not made inside.
    """

    process: subprocess.Popen[bytes]
    control: socket.socket
    stdout: int
    stderr: int
    kill: Callable[[], None]
    members: Callable[[], list[int]]
    gone: Callable[[], None]
    group: Cgroup | None = None
    usage: Callable[[list[int]], DiskUsage] = folder_usage
    scratch: tuple[str, ...] = SCRATCH
    exposed: bool = False
    listener: socket.socket | None = None


@dataclass(slots=True)
class _End:
    """The end of the outermost process: its status, and the run's resource usage."""

    status: int
    used: resource.struct_rusage
    wall_seconds: float


class ProcessRun:
    """One run of a started sandbox; use `finish` once."""

    def __init__(self, process: SandboxProcess, spec: RunSpec, isolation: Isolation) -> None:
        self._process = process
        self._spec = spec
        self._isolation = isolation
        self._handshake = Handshake(process.control)
        limit = spec.limits.output_bytes
        self._streams = Stream(process.stdout, limit), Stream(process.stderr, limit)
        self._served: SocketService | None = None
        self._reaped: tuple[int, resource.struct_rusage] | None = None
        self._opened: OpenedFiles | None = None

    def finish(
        self, staged: StagedFiles, serve: Serve | None, stop: threading.Event | None = None
    ) -> RunResult:
        """Run the program to its end; see `Sandbox.run`."""
        with ExitStack() as stack:
            stack.callback(self._handshake.close)
            stack.callback(self._close_service)
            stack.callback(self._end)
            self._prepare(staged, serve)
            if self._spec.watched:
                paths = [path for path, _, _ in staged.files]
                self._opened = OpenedFiles(self._handshake.scratch[0], paths, staged.large)
                stack.callback(self._opened.close)
            return self._watched(stop)

    def _close_service(self) -> None:
        if self._served is not None:
            self._served.close()

    def _prepare(self, staged: StagedFiles, serve: Serve | None) -> None:
        try:
            inside = serve is not None and self._process.listener is None
            listener = self._handshake.prepare(
                self._spec,
                staged,
                served=serve is not None,
                listens=inside,
                scratch=self._process.scratch,
            )
            listener = listener or self._process.listener
        except GraderFault as fault:
            self._end()
            message = bytes(self._streams[1].kept).decode("utf-8", "replace").strip()
            raise GraderFault(f"{fault}{': ' if message else ''}{message[-1000:]}") from fault
        if serve and listener:
            self._served = serve(listener)

    def _watched(self, stop: threading.Event | None) -> RunResult:
        before = snapshot(self._handshake.scratch[0])
        watchdog = Watchdog(
            self._spec.limits,
            self._process.members,
            lambda: self._process.usage(self._handshake.scratch),
            self._process.group,
            self._held,
        )
        began = time.monotonic()
        self._handshake.go()
        passed = self._until_the_end(watchdog, stop)
        wall = time.monotonic() - began
        status, used = self._end()
        return self._ended(watchdog, passed, before, _End(status, used, wall))

    def _until_the_end(self, watchdog: Watchdog, stop: threading.Event | None) -> ExitReason | None:
        """Read the pipes and check the limits until the end; the exceeded limit, if any."""
        passed: ExitReason | None = None
        look_at = time.monotonic()
        give_up_at = look_at + self._spec.limits.wall_seconds + SANDBOX_END_SECONDS
        with ExitStack() as stack:
            events = stack.enter_context(selectors.DefaultSelector())
            end = os.pidfd_open(self._process.process.pid)
            stack.callback(os.close, end)
            events.register(end, selectors.EVENT_READ)
            for stream in self._streams:
                events.register(stream.fd, selectors.EVENT_READ, stream.take)
            events.register(self._handshake.control, selectors.EVENT_READ, self._handshake.listen)
            while True:
                for key, _ in events.select(max(0.0, look_at - time.monotonic())):
                    if key.data is None:
                        return passed
                    if not key.data():
                        events.unregister(key.fileobj)
                if time.monotonic() < look_at:
                    continue
                look_at = time.monotonic() + SANDBOX_TICK_SECONDS
                if stop is not None and stop.is_set():
                    raise RunStopped
                if passed is None:
                    passed = ExitReason.TIMEOUT if self._time_is_up() else watchdog.look()
                    if passed is not None:
                        self._process.kill()
                if time.monotonic() > give_up_at + watchdog.uncounted_seconds:
                    raise GraderFault("a program in the sandbox was killed and has not ended")

    def _time_is_up(self) -> bool:
        return self._served is not None and self._served.time_is_up

    def _held(self) -> float:
        return 0.0 if self._served is None else self._served.held_seconds

    def _end(self) -> tuple[int, resource.struct_rusage]:
        """End and reap all that still runs; then read the rest of the output."""
        if self._reaped is None:
            self._process.kill()
            _, status, used = os.wait4(self._process.process.pid, 0)
            self._process.process.returncode = os.waitstatus_to_exitcode(status)
            self._reaped = status, used
            self._process.gone()
            for stream in self._streams:
                stream.drain()
            self._handshake.control.setblocking(False)
            self._handshake.listen()
        return self._reaped

    def _ended(
        self,
        watchdog: Watchdog,
        passed: ExitReason | None,
        before: dict[str, State],
        end: _End,
    ) -> RunResult:
        limits = self._spec.limits
        opened = self._opened.seen() if self._opened is not None else None  # before the harvest
        # the kernel forgets the time of processes that were killed with their namespace
        cpu = max(end.used.ru_utime + end.used.ru_stime, watchdog.cpu_seconds)
        exit_code, killed_by = self._how(end, passed is not None)
        passed = passed or watchdog.memory() or watchdog.disk()
        used_up = cpu > SANDBOX_CPU_SEEN_SHARE * limits.cpu_seconds
        if passed is None and killed_by is not None and used_up:
            passed = ExitReason.TIMEOUT
        own = ExitReason.SIGNAL if killed_by else ExitReason.EXIT if exit_code else ExitReason.OK
        taken = harvest(self._handshake.scratch[0], before, limits, self._spec.harvest)
        group_peak = self._process.group.peak_bytes() if self._process.group else 0
        stdout, stderr = self._streams
        return RunResult(
            verdict=passed or own,
            exit_code=exit_code,
            signal=killed_by,
            wall_seconds=end.wall_seconds,
            cpu_seconds=cpu,
            peak_memory_bytes=group_peak or watchdog.peak_bytes,
            stdout=bytes(stdout.kept),
            stderr=bytes(stderr.kept),
            stdout_bytes=stdout.total_bytes,
            stderr_bytes=stderr.total_bytes,
            files=taken.files,
            refused=tuple(taken.refused),
            isolation=self._isolation,
            uncounted_seconds=min(end.wall_seconds, watchdog.uncounted_seconds),
            made_bytes=taken.made_bytes,
            opened=opened,
        )

    def _how(self, end: _End, killed: bool) -> tuple[int | None, int | None]:
        """The program's exit code or the signal that ended it.

        The start program's report comes first: a launcher's exit code does not tell a signal from
        a code above 128. A program can forge it, as it can choose its own exit code.
        """
        status = self._handshake.wait_status()
        if status is None:
            if os.WIFSIGNALED(end.status) and not (killed or self._process.exposed):
                raise GraderFault("the sandbox was ended from outside while a program ran in it")
            status = end.status
        if os.WIFSIGNALED(status):
            return None, os.WTERMSIG(status)
        code = os.waitstatus_to_exitcode(status)
        by_signal = status is end.status and code > 128
        return (None, code - 128) if by_signal else (code, None)


class ProcessSandbox(ABC):
    """What backends share; each says how it starts a run. See the protocol `Sandbox`."""

    name: str
    isolation: Isolation

    def run(
        self, spec: RunSpec, serve: Serve | None = None, stop: threading.Event | None = None
    ) -> RunResult:
        """See `Sandbox.run`."""
        with ExitStack() as kept:
            staged = kept.enter_context(closing(StagedFiles(spec, public=self._public())))
            process = self._started(spec, staged, serve is not None, kept)
            run = ProcessRun(process, self._counted(spec), self.isolation)
            return run.finish(staged, serve, stop)

    @abstractmethod
    def _public(self) -> bool:
        """Whether files too large to copy must lie where another user can read them."""

    @abstractmethod
    def _started(
        self, spec: RunSpec, staged: StagedFiles, served: bool, kept: ExitStack
    ) -> SandboxProcess:
        """Start the sandbox; `kept` gives back at the end what it held of the machine."""

    def _counted(self, spec: RunSpec) -> RunSpec:
        """The run with its limits as they are counted outside the sandbox."""
        return spec

    def trial(self) -> str | None:
        """Why an empty script fails here; None where it works. Raises GraderFault."""
        limits = Limits(wall_seconds=SANDBOX_START_SECONDS)
        result = self.run(RunSpec({}, "try.py", inputs={"try.py": b""}, limits=limits))
        if result.verdict == ExitReason.OK:
            return None
        message = result.stderr.decode("utf-8", "replace").strip()
        return f"an empty script ended with {result.verdict} in the sandbox: {message[-500:]}"


def pipe(kept: ExitStack, given: ExitStack) -> tuple[int, int]:
    """A pipe whose writing end is closed here once the sandbox has it."""
    read, write = os.pipe()
    kept.callback(os.close, read)
    given.callback(os.close, write)
    return read, write


def start_process(
    kept: ExitStack,
    command: list[str],
    *,
    environment: Mapping[str, str] | None = None,
    pass_fds: Collection[int] = (),
    start: Callable[[Callable[[], subprocess.Popen[bytes]]], subprocess.Popen[bytes]] | None = None,
) -> tuple[subprocess.Popen[bytes], int, int]:
    """(launcher, stdout, stderr): a started launcher and the reading ends of its streams.

    `start` calls the function that it is given, for instance in another thread.
    """
    with ExitStack() as given:
        stdout, write_stdout = pipe(kept, given)
        stderr, write_stderr = pipe(kept, given)

        def started() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=write_stdout,
                stderr=write_stderr,
                env=environment,
                cwd="/",
                pass_fds=pass_fds,
                start_new_session=True,  # Ctrl-C is for the grader, which then ends it
            )

        return (start(started) if start else started()), stdout, stderr


def limited_group(limits: Limits, first: int, kept: ExitStack) -> Cgroup | None:
    """A control group that holds process `first`; None where none can be made."""
    group = make_cgroup(limits)
    if group:
        kept.callback(group.remove)
        group.add(first)
    return group


def last_words(stderr: int) -> str:
    """What a launcher that did not come up has written, or "no answer"."""
    os.set_blocking(stderr, False)
    try:
        message = os.read(stderr, 4096)
    except BlockingIOError:
        message = b""
    return message.decode("utf-8", "replace").strip() or "no answer"


def wait_gone(process: int) -> None:
    """Wait until the process of this pidfd has ended. Raises GraderFault where it does not."""
    if not readable([process], SANDBOX_END_SECONDS):
        raise GraderFault("a program in the sandbox was killed and has not ended")

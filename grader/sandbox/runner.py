"""Waiting for descriptors, however many a grader has open: select.select stops at 1,024.

What a program writes to its standard streams: taken without end, kept up to a limit.

One run from the word to go to its verdict, the same for every backend.

A backend starts something whose innermost part is `start.py`, and says how to end it, what belongs
to it and what its folders hold. All else happens here: the talk with the start program, the
service, the watchdog, the output, the end, the harvest and the verdict.
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
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from grader.core.constants import SANDBOX_END_SECONDS, SANDBOX_READ_BYTES, SANDBOX_TICK_SECONDS
from grader.core.errors import GraderFault
from grader.sandbox.api import (
    ExitReason,
    Isolation,
    RunResult,
    RunSpec,
    RunStopped,
    Serve,
    SocketService,
)
from grader.sandbox.handshake import Handshake
from grader.sandbox.harvest import State, harvest, snapshot
from grader.sandbox.interpreter import SCRATCH
from grader.sandbox.limits import Cgroup, DiskUsage, Watchdog, folder_usage
from grader.sandbox.staging import StagedFiles


def readable(descriptors: list[int], seconds: float) -> list[int]:
    """Those of the descriptors that can be read, or whose other end is gone, within this time."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(max(0.0, seconds) * 1000)]


class Stream:
    """The reading end of one pipe, which its maker closes. Taking from it never blocks."""

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
        """Take all that is left once every writer is gone."""
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
    """How the outermost process ended: its status, and what the run used in all."""

    status: int
    used: resource.struct_rusage
    wall_seconds: float


class ProcessRun:
    """One run of a child; use `finish` once."""

    def __init__(self, child: SandboxProcess, launch: RunSpec, isolation: Isolation) -> None:
        self._child = child
        self._launch = launch
        self._isolation = isolation
        self._talk = Handshake(child.control)
        limit = launch.limits.output_bytes
        self._streams = Stream(child.stdout, limit), Stream(child.stderr, limit)
        self._served: SocketService | None = None
        self._reaped: tuple[int, resource.struct_rusage] | None = None

    def finish(
        self, staged: StagedFiles, serve: Serve | None, stop: threading.Event | None = None
    ) -> RunResult:
        """Let the program run to its end; see `Sandbox.run`."""
        with ExitStack() as stack:
            stack.callback(self._talk.close)
            stack.callback(self._close_service)
            stack.callback(self._end)
            self._prepare(staged, serve)
            return self._watched(stop)

    def _close_service(self) -> None:
        if self._served is not None:
            self._served.close()

    def _prepare(self, staged: StagedFiles, serve: Serve | None) -> None:
        try:
            inside = serve is not None and self._child.listener is None
            listener = self._talk.prepare(
                self._launch,
                staged,
                served=serve is not None,
                listens=inside,
                scratch=self._child.scratch,
            )
            listener = listener or self._child.listener
        except GraderFault as fault:
            self._end()
            said = bytes(self._streams[1].kept).decode("utf-8", "replace").strip()
            raise GraderFault(f"{fault}{': ' if said else ''}{said[-1000:]}") from fault
        if serve and listener:
            self._served = serve(listener)

    def _watched(self, stop: threading.Event | None) -> RunResult:
        before = snapshot(self._talk.scratch[0])
        watchdog = Watchdog(
            self._launch.limits,
            self._child.members,
            lambda: self._child.usage(self._talk.scratch),
            self._child.group,
            self._held,
        )
        began = time.monotonic()
        self._talk.go()
        passed = self._until_the_end(watchdog, stop)
        wall = time.monotonic() - began
        status, used = self._end()
        return self._ended(watchdog, passed, before, _End(status, used, wall))

    def _until_the_end(self, watchdog: Watchdog, stop: threading.Event | None) -> ExitReason | None:
        """Serve the pipes and look at the limits until all has ended; what was passed, if any."""
        passed: ExitReason | None = None
        look_at = time.monotonic()
        give_up_at = look_at + self._launch.limits.wall_seconds + SANDBOX_END_SECONDS
        with ExitStack() as stack:
            events = stack.enter_context(selectors.DefaultSelector())
            end = os.pidfd_open(self._child.process.pid)
            stack.callback(os.close, end)
            events.register(end, selectors.EVENT_READ)
            for stream in self._streams:
                events.register(stream.fd, selectors.EVENT_READ, stream.take)
            events.register(self._talk.control, selectors.EVENT_READ, self._talk.listen)
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
                        self._child.kill()
                if time.monotonic() > give_up_at + self._held():
                    raise GraderFault("a program in the sandbox was killed and has not ended")

    def _time_is_up(self) -> bool:
        return self._served is not None and self._served.time_is_up

    def _held(self) -> float:
        return 0.0 if self._served is None else self._served.held_seconds

    def _end(self) -> tuple[int, resource.struct_rusage]:
        """End whatever still runs and reap it; then take the rest of what it wrote."""
        if self._reaped is None:
            self._child.kill()
            _, status, used = os.wait4(self._child.process.pid, 0)
            self._child.process.returncode = os.waitstatus_to_exitcode(status)
            self._reaped = status, used
            self._child.gone()
            for stream in self._streams:
                stream.drain()
            self._talk.control.setblocking(False)
            self._talk.listen()
        return self._reaped

    def _ended(
        self,
        watchdog: Watchdog,
        passed: ExitReason | None,
        before: dict[str, State],
        end: _End,
    ) -> RunResult:
        limits = self._launch.limits
        # the kernel forgets the time of processes that were killed with their namespace
        cpu = max(end.used.ru_utime + end.used.ru_stime, watchdog.cpu_seconds)
        exit_code, killed_by = self._how(end, passed is not None)
        passed = passed or watchdog.memory() or watchdog.disk()
        if passed is None and killed_by is not None and cpu > limits.cpu_seconds:
            passed = ExitReason.TIMEOUT
        own = ExitReason.SIGNAL if killed_by else ExitReason.EXIT if exit_code else ExitReason.OK
        taken = harvest(self._talk.scratch[0], before, limits)
        group_peak = self._child.group.peak_bytes() if self._child.group else 0
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
        )

    def _how(self, end: _End, killed: bool) -> tuple[int | None, int | None]:
        """The program's exit code or the signal that ended it.

        The start program's report comes first: a launcher's exit code does not tell a signal from
        a code above 128. A program can forge it, as it can choose its own exit code.
        """
        status = self._talk.wait_status()
        if status is None:
            if os.WIFSIGNALED(end.status) and not (killed or self._child.exposed):
                raise GraderFault("the sandbox was ended from outside while a program ran in it")
            status = end.status
        if os.WIFSIGNALED(status):
            return None, os.WTERMSIG(status)
        code = os.waitstatus_to_exitcode(status)
        by_signal = status is end.status and code > 128
        return (None, code - 128) if by_signal else (code, None)

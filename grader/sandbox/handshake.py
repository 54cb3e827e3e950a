"""The grader's side of the protocol with `start.py`: orders, start signal, report."""

from __future__ import annotations

import importlib.util
import marshal
import os
import re
import resource
import socket
from functools import cache
from pathlib import Path
from typing import Any, Final

from grader.core.constants import (
    SANDBOX_CPU_SLACK_SECONDS,
    SANDBOX_DATA_FACTOR,
    SANDBOX_START_SECONDS,
    SANDBOX_STATUS_MAX_BYTES,
)
from grader.core.errors import GraderFault
from grader.sandbox.api import GATEWAY_PORT, Limits, RunSpec
from grader.sandbox.inside import start
from grader.sandbox.interpreter import SCRATCH, SUBMISSION
from grader.sandbox.staging import StagedFiles

REPORT: Final = re.compile(rb"\A([0-9]{1,6})\n\Z")


@cache
def start_program() -> bytes:
    """start.py as byte code of this interpreter: compiling it in every run costs 3 ms."""

    source = Path(start.__file__).read_bytes()
    code = compile(source, "/opt/finegrade/start.py", "exec")
    # PEP 552: magic number, flags, then time and size of the source, which nobody compares
    return importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code)


@cache
def _clock_source() -> str:
    return Path(start.__file__).with_name("clock.py").read_text("utf-8")


def rlimits(limits: Limits) -> list[tuple[int, int]]:
    """The kernel's limits on each process of a program, as (number, value)."""
    return [
        (resource.RLIMIT_CORE, 1),  # 0 does not stop a core_pattern that is a pipe, 1 does: core(5)
        (resource.RLIMIT_CPU, limits.cpu_seconds + SANDBOX_CPU_SLACK_SECONDS),
        (resource.RLIMIT_DATA, int(limits.memory_bytes * SANDBOX_DATA_FACTOR)),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_NPROC, limits.processes),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ]


class Handshake:
    """The protocol over the socket `control`, whose other end is start.py's."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        control.settimeout(SANDBOX_START_SECONDS)
        self.scratch: list[int] = []
        """Descriptors of the working folder, /tmp and /dev/shm; open until `close`."""
        self._report = b""

    def prepare(
        self,
        spec: RunSpec,
        staged: StagedFiles,
        *,
        served: bool,
        listens: bool,
        scratch: tuple[str, ...] = SCRATCH,
    ) -> socket.socket | None:
        """Hand over orders and files; the service's socket where the start program `listens`.

        `served` says whether the program has a service, whoever listens for it.
        Raises GraderFault when the start program fails or stays silent.
        """
        orders: dict[str, Any] = {
            "box": scratch[0],
            "scratch": list(scratch),
            "folders": staged.folders,
            "files": [(path, mode) for path, mode, _ in staged.files],
            "links": [(path, f"{SUBMISSION}/{path}") for path in staged.large],
            "port": GATEWAY_PORT if listens else 0,
            "service": GATEWAY_PORT if served else None,
            "script": spec.script,
            "arguments": list(spec.arguments),
            "rlimits": rlimits(spec.limits),
            "clock_rate": spec.clock_rate,
            "clock": _clock_source() if spec.clock_rate != 1.0 else "",
        }
        data = marshal.dumps(orders, 4)
        try:
            self.control.sendall(len(data).to_bytes(8, "big") + data)
            fds = [fd for _, _, fd in staged.files]
            for first in range(0, len(fds), start.FDS_AT_ONCE):
                socket.send_fds(self.control, [b"f"], fds[first : first + start.FDS_AT_ONCE])
            return self._ready(len(scratch), listens)
        except OSError as error:
            raise GraderFault(f"the sandbox did not start: {error}{self._last_words()}") from error

    def _ready(self, folders: int, serve: bool) -> socket.socket | None:
        word, fds, _, _ = socket.recv_fds(self.control, 2000, folders + 1)
        self.scratch = list(fds[:folders])
        listener = socket.socket(fileno=fds[folders]) if len(fds) > folders else None
        if word == start.READY and len(fds) == folders + serve:
            return listener
        if listener:
            listener.close()
        message = word.removeprefix(start.FAILED).decode("utf-8", "replace")
        raise GraderFault(f"the sandbox did not start: {message or 'it ended at once'}")

    def _last_words(self) -> str:
        """The start program's error message before it closed its end."""
        try:
            message = self.control.recv(2000, socket.MSG_DONTWAIT)
        except OSError:
            return ""
        return " (" + message.removeprefix(start.FAILED).decode("utf-8", "replace") + ")"

    def go(self) -> None:
        """Start the script. Everything received after this may come from the program."""
        try:
            self.control.sendall(start.GO)
        except OSError as error:
            raise GraderFault(f"the sandbox ended before the program began: {error}") from error
        self.control.setblocking(False)

    def listen(self) -> bool:
        """Receive what was sent from inside; False at the end."""
        try:
            piece = self.control.recv(4096)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if len(self._report) < SANDBOX_STATUS_MAX_BYTES:
            self._report += piece
        return bool(piece)

    def wait_status(self) -> int | None:
        """How the script's process ended, as a wait status; None without a report."""
        match = REPORT.match(self._report)
        return int(match[1]) if match else None

    def close(self) -> None:
        for fd in self.scratch:
            os.close(fd)
        self.scratch = []

"""The sandbox interface: a run's spec, limits and result, and the `Sandbox` protocol."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from grader.core.constants import MIB

GATEWAY_PORT: Final = 8000  # on the sandbox's own loopback


class Isolation(StrEnum):
    """How far a backend keeps a program away from the machine."""

    FULL = "full"  # own file system, processes, network and users
    REDUCED = "reduced"  # the machine's processes can be counted, its ports guessed
    NONE = "none"  # the user's own program on the user's own machine


class ExitReason(StrEnum):
    """How a run ended through the program's own doing; the grader's own errors are raised."""

    OK = "ok"  # exit code 0
    EXIT = "exit"  # another exit code
    SIGNAL = "signal"  # killed by a signal that nobody here sent
    TIMEOUT = "timeout"  # wall, processor or program time
    MEMORY = "memory"
    DISK = "disk"  # bytes or files in the scratch folders


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use. Part of the evidence's key."""

    wall_seconds: float = 60.0
    cpu_seconds: int = 60  # of all processes together
    memory_bytes: int = 2048 * MIB  # of all processes together, scratch folders included
    processes: int = 64  # threads count
    open_files: int = 256  # of one process
    file_bytes: int = 64 * MIB  # of one file
    scratch_bytes: int = 128 * MIB  # of the working folder; /tmp and /dev/shm have less
    scratch_files: int = 10_000
    output_bytes: int = MIB  # kept of each of stdout and stderr
    harvest_files: int = 200  # taken out of the working folder
    harvest_bytes: int = 64 * MIB


@dataclass(frozen=True, slots=True)
class HarvestOnly:
    """The files of a run that are taken: those of this `name`, of at most `most_bytes` in all.

    So are those whose path is, or ends with, one of `also` ("adapter/adapter_config.json").
    """

    name: str
    most_bytes: int
    also: tuple[str, ...] = ()

    def takes(self, path: str) -> bool:
        """Whether a file at this relative path is taken."""
        return any(path == one or path.endswith(f"/{one}") for one in (self.name, *self.also))


@dataclass(frozen=True, slots=True)
class RunSpec:
    """A program to run.

    `files` are the submission's, by their relative path: those that were hashed and checked, and no
    others, appear in the working folder, where the program may change its copies. `inputs` are
    files of the grader by relative path, laid over them.
    `script` is a path relative to the working folder; `arguments` come after it. `environment`
    adds to the few variables that every run has. `clock_rate` is by how much faster than real
    time the program's sleeps pass; 1.0 leaves time alone. Without `harvest` all that the limits
    allow is taken out of the working folder. With `watched` it is noted which of its files the
    program opens.
    """

    files: Mapping[str, Path]
    script: str
    arguments: tuple[str, ...] = ()
    inputs: Mapping[str, bytes] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    clock_rate: float = 1.0
    harvest: HarvestOnly | None = None
    watched: bool = False


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file left in the working folder that is not collected, and the reason."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run, as observed from outside.

    `exit_code` is None when a signal ended it. `stdout` and `stderr` are cut at the limit, with
    `stdout_bytes` and `stderr_bytes` what was written in all. `files` are the regular files that
    it made or changed, by path relative to the working folder; `made_bytes` has the size of each,
    of the refused ones too. `uncounted_seconds` of its wall time the program waited for the
    service's own work or for a processor. `opened` says how often it opened which of the files
    of a watched run, None where that is not known.
    """

    verdict: ExitReason
    exit_code: int | None
    signal: int | None
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    stdout: bytes
    stderr: bytes
    stdout_bytes: int
    stderr_bytes: int
    files: Mapping[str, bytes]
    refused: tuple[RefusedFile, ...]
    isolation: Isolation
    uncounted_seconds: float = 0.0
    made_bytes: Mapping[str, int] = field(default_factory=dict)
    opened: Mapping[str, int] | None = None


class RunStopped(Exception):
    """The grader was told to stop while the program ran: there is no result."""


class SocketService(Protocol):
    """A model service behind one listening socket."""

    @property
    def time_is_up(self) -> bool:
        """Whether the program has slept for longer than it may: the run is to be ended."""

    @property
    def held_seconds(self) -> float:
        """Real seconds so far in which the service worked for the program.

        They do not count towards the limit of wall time.
        """

    def close(self) -> None:
        """Stop serving; returns when nothing of the service runs any longer."""


Serve = Callable[[socket.socket], SocketService]
"""Starts a service on a socket that listens inside the sandbox; the service owns the socket."""


class Sandbox(Protocol):
    """One way to run a program apart from everything else."""

    name: str
    isolation: Isolation

    def why_not(self) -> str | None:
        """Why this backend does not work on this machine and what to do; None where it does."""

    def policy(self) -> Mapping[str, Any]:
        """What the isolation consists of, as JSON: part of the key of every run's evidence."""

    def run(
        self, spec: RunSpec, serve: Serve | None = None, stop: threading.Event | None = None
    ) -> RunResult:
        """Run the program to its end; nothing of it is left when this returns.

        With `serve` the program finds a model service at 127.0.0.1, port GATEWAY_PORT. Blocks the
        calling thread, which must live as long as the run. When `stop` is set the program is
        killed and RunStopped raised. Raises GraderFault when the machine is at fault.
        """

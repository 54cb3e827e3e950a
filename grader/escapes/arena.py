"""A sandbox with planted secrets and servers around it, in which single programs run."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from grader.core.errors import GraderFault
from grader.core.files import files_below
from grader.escapes import judge
from grader.escapes.judge import LIMITS, HostileProgram, Observation, ServiceUse, faults
from grader.escapes.plants import (
    Decoy,
    Plants,
    left_since,
    look,
    orphans_come_here,
    own_temporary_folder,
)
from grader.sandbox.api import ExitReason, Limits, RunSpec, RunStopped, Sandbox, SocketService

_CLOCK_RATE: Final = 30.0  # the clock's machinery is there to be attacked, too


class WatchedService(Protocol):
    """A model service that records its requests. One serves one run."""

    def serve(self, listener: socket.socket) -> SocketService:
        """As `Serve`."""

    def heard(self) -> bytes:
        """The requests so far: paths, headers and bodies, with all texts intact."""


@dataclass(frozen=True, slots=True)
class ProgramOutcome:
    """The outcome of one program; `got` is None where the sandbox itself failed.

    `why_not` says why it was not contained, and is empty where it was.
    """

    name: str
    claim: str
    expected: frozenset[ExitReason]
    got: ExitReason | None
    why_not: tuple[str, ...]
    seconds: float

    @property
    def contained(self) -> bool:
        """Whether it did nothing forbidden."""
        return not self.why_not


MakeService = Callable[[], WatchedService]


class _BrokenError(Exception):
    """A program made the sandbox itself fail: it has escaped."""


class Arena:
    """See `open_arena`."""

    def __init__(
        self, sandbox: Sandbox, make_service: MakeService | None, decoy: Decoy, temporary: Path
    ) -> None:
        self.stop = threading.Event()
        """Set, it kills what runs: whoever runs something hears Stopped."""
        self._sandbox = sandbox
        self._make_service = make_service
        self._decoy = decoy
        self._temporary = temporary
        self._token = secrets.token_hex(8)  # in programs' environments and notes
        # Before the first look: what a sandbox keeps from run to run is then there.
        self._honest = self._run_honest()
        self._before = look(temporary, self._token)

    def applies(self, program: HostileProgram) -> bool:
        """Whether the program can run here: the service and isolation that it needs exist."""
        served = self._make_service is not None or program.service is ServiceUse.NONE
        return served and self._sandbox.isolation in program.isolation

    def disturbed(self) -> tuple[str, ...]:
        """How the honest program's result, run now, differs from its first."""
        try:
            now = self._run_honest()
        except GraderFault as fault:
            return (str(fault),)
        return tuple(
            f"the honest program's {what} was {was!r:.200} and then {now[what]!r:.200}"
            for what, was in self._honest.items()
            if was != now[what]
        )

    def left_behind(self) -> tuple[str, ...]:
        """What has appeared since the start; meaningful only while nothing runs."""
        return left_since(self._before, self._temporary, self._token)

    def run_hostile(self, program: HostileProgram) -> ProgramOutcome:
        """Run this program and judge it."""
        began = time.monotonic()
        got: ExitReason | None = None
        try:
            seen = self._see(program)
            got = seen.result.verdict
            why_not = faults(program, seen)
        except _BrokenError as broken:
            why_not = (str(broken),)
        seconds = time.monotonic() - began
        return ProgramOutcome(program.name, program.claim, program.expected, got, why_not, seconds)

    def _see(self, program: HostileProgram) -> Observation:
        plants = self._plants(program.limits)
        needs_service = program.service is not ServiceUse.NONE
        service = self._make_service() if self._make_service and needs_service else None
        try:
            for name in (f"{program.name}.py", *program.also):
                (plants.submission / name).write_bytes(program.source)
            (plants.submission / "attack.py").write_bytes(judge.helper_source())
            before = _contents(plants.submission)
            spec = RunSpec(
                files_below(plants.submission),
                f"{program.name}.py",
                inputs={"targets.json": plants.targets_file()},
                environment={"FINEGRADE_RUN": self._token},
                limits=program.limits,
                clock_rate=_CLOCK_RATE,
            )
            try:
                result = self._sandbox.run(spec, service.serve if service else None, self.stop)
            except RunStopped:
                raise
            except Exception as error:
                what = f"the sandbox failed: {type(error).__name__}: {error}"
                raise _BrokenError(what) from error
            return Observation(
                result=result,
                canaries=tuple(plants.canaries),
                heard=service.heard() if service else b"",
                reached=tuple(plants.reached()),
                changed=_contents(plants.submission) != before,
                decoy_alive=self._decoy.alive(),
            )
        finally:
            plants.close()

    def _run_honest(self) -> dict[str, Any]:
        """The parts of the honest program's result that must be equal in every run."""
        service = self._make_service() if self._make_service else None
        plants = self._plants(LIMITS)
        try:
            (plants.submission / "honest.py").write_bytes(judge.honest_source())
            (plants.submission / "notes.txt").write_text("what a student submitted\n")
            arguments = ("ask",) if service else ()
            files = files_below(plants.submission)
            spec = RunSpec(files, "honest.py", arguments, limits=LIMITS, clock_rate=_CLOCK_RATE)
            result = self._sandbox.run(spec, service.serve if service else None, self.stop)
        finally:
            plants.close()
        if result.verdict is not ExitReason.OK:
            words = (result.stderr or result.stdout)[-500:].decode(errors="replace")
            raise GraderFault(
                f"an honest program ended with {result.verdict} in the sandbox"
                f" {self._sandbox.name}: {words}"
            )
        return {
            "exit code": result.exit_code,
            "stdout": result.stdout,
            "stderr": result.stderr,
            "files": dict(result.files),
            "refused files": result.refused,
        }

    def _plants(self, limits: Limits) -> Plants:
        return Plants(self._decoy, self._sandbox.isolation, limits, self._token)


@contextmanager
def open_arena(sandbox: Sandbox, make_service: MakeService | None = None) -> Iterator[Arena]:
    """Open an arena; this process's environment holds its secrets meanwhile.

    Raises GraderFault when an honest program does not even run.
    """
    with own_temporary_folder() as temporary, orphans_come_here():
        decoy = Decoy()
        try:
            yield Arena(sandbox, make_service, decoy, temporary)
        finally:
            decoy.close()


def _contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }

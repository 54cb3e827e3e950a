"""The escape suite: hostile programs beside an honest one, in one sandbox.

Grading trusts a sandbox only after the suite has run in it on this machine. The suite takes half a
minute, so its result is kept for as long as nothing that it depends on changes: the backend's
policy, the kernel, the user and finegrade itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grader import __version__
from grader.core.errors import GraderFault
from grader.core.files import home
from grader.core.openai_wire import CHAT, MODELS
from grader.escapes.arena import Arena, MakeService, ProgramOutcome, open_arena
from grader.escapes.judge import HostileProgram, all_programs
from grader.model_service.gateway import Gateway
from grader.model_service.metering import GatewayLimits
from grader.model_service.record import ServiceRecord
from grader.sandbox.api import ExitReason, Sandbox, SocketService
from grader.sandbox.choose import NoSandbox, choose_sandbox

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_HONEST_EVERY: Final = 8  # hostile programs between two runs of the honest one
_LATE_SECONDS: Final = 60.0  # a run that is this late will never return

_Result = ProgramOutcome | tuple[str, ...]  # of a hostile run, or how an honest one was disturbed


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """What the suite found.

    `left_out` are the programs that need a model service where none was given, or an isolation
    that this sandbox does not claim. `disturbed` says what differed between two runs of the honest
    program. `left_behind` is what was still there after all runs.
    """

    rows: tuple[ProgramOutcome, ...]
    left_out: tuple[str, ...]
    disturbed: tuple[str, ...]
    left_behind: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Every program was contained, the honest one never disturbed, and nothing is left."""
        every_one = all(row.contained for row in self.rows)
        return bool(self.rows) and every_one and not self.disturbed and not self.left_behind


def run_suite(
    sandbox: Sandbox,
    make_service: MakeService | None = None,
    workers: int = 2,
    on_result: Callable[[ProgramOutcome], None] = lambda row: None,
    programs: Sequence[HostileProgram] | None = None,
) -> SuiteReport:
    """Run hostile programs (by default all that apply) and judge each.

    `on_result` is called in this thread, as the results come. An honest program runs before,
    between and after them. When this thread is interrupted, what runs is killed.

    Raises GraderFault when already the honest program fails by itself, or when the sandbox does
    not come back from a run.
    """
    wanted = all_programs() if programs is None else programs
    with open_arena(sandbox, make_service) as arena:
        chosen = [program for program in wanted if arena.applies(program)]
        rows, disturbed = _run_all(arena, chosen, workers, on_result)
        disturbed += arena.disturbed()
        left = arena.left_behind()
    return SuiteReport(
        rows=tuple(sorted(rows, key=lambda row: row.name)),
        left_out=tuple(one.name for one in wanted if one not in chosen),
        disturbed=tuple(sorted(set(disturbed))),
        left_behind=left,
    )


def _run_all(
    arena: Arena,
    programs: Sequence[HostileProgram],
    workers: int,
    on_result: Callable[[ProgramOutcome], None],
) -> tuple[list[ProgramOutcome], list[str]]:
    """The outcomes of all programs, and how honest runs in between were disturbed."""
    # Those that end by a limit take longest: first, so that no core waits for them at the end.
    ordered = sorted(programs, key=lambda one: ExitReason.OK in one.expected)
    tasks: queue.SimpleQueue[Callable[[], _Result]] = queue.SimpleQueue()
    count = 0
    for number, program in enumerate(ordered):
        if number % _HONEST_EVERY == _HONEST_EVERY // 2:
            tasks.put(arena.disturbed)
            count += 1
        tasks.put(partial(arena.run_hostile, program))
        count += 1
    done: queue.SimpleQueue[_Result | Exception] = queue.SimpleQueue()
    threads = [
        threading.Thread(
            target=_work, args=(tasks, done, arena.stop), name=f"escapes-{number}", daemon=True
        )
        for number in range(max(1, min(workers, count)))
    ]
    for thread in threads:
        thread.start()
    rows: list[ProgramOutcome] = []
    disturbed: list[str] = []
    try:
        for _ in range(count):
            try:
                result = done.get(timeout=_LATE_SECONDS)
            except queue.Empty:
                raise GraderFault("the sandbox does not come back from a run") from None
            if isinstance(result, ProgramOutcome):
                rows.append(result)
                on_result(result)
            elif isinstance(result, Exception):
                raise result
            else:
                disturbed += result
    except BaseException:
        arena.stop.set()
        raise
    finally:
        for thread in threads:
            thread.join(timeout=_LATE_SECONDS)
    return rows, disturbed


def _work(
    tasks: queue.SimpleQueue[Callable[[], _Result]],
    done: queue.SimpleQueue[_Result | Exception],
    stop: threading.Event,
) -> None:
    while not stop.is_set():
        try:
            task = tasks.get_nowait()
        except queue.Empty:
            return
        try:
            done.put(task())
        except Exception as error:
            done.put(error)


class SentenceService:
    """A `WatchedService` behind the real gateway that always gives the same answer."""

    def __init__(self, gateway: Gateway, limits: GatewayLimits | None = None) -> None:
        self._gateway = gateway
        self._limits = limits or GatewayLimits()
        self._record = ServiceRecord()

    def serve(self, listener: socket.socket) -> SocketService:
        """As `Serve`."""
        return self._gateway.serve(_answer, self._record, self._limits, listener)

    def heard(self) -> bytes:
        """What the gateway recorded, texts and bodies as they came."""
        return b"\n".join(
            part
            for exchange in self._record.exchanges
            for part in (
                f"{exchange.method} {exchange.path}?{exchange.query} {exchange.user_agent}".encode(
                    errors="replace"
                ),
                base64.b64decode(exchange.request or ""),
            )
        )


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    status, content = _reply(str(scope["method"]), str(scope["path"]), bytes(body))
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


def _reply(method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    if (method, path) == ("GET", MODELS):
        return 200, {"object": "list", "data": []}
    if (method, path) != ("POST", CHAT):
        return 404, {"error": {"message": "there is no such page"}}
    try:
        asked = json.loads(body)
        known = isinstance(asked["messages"], list) and isinstance(asked["model"], str)
    except (ValueError, TypeError, KeyError, RecursionError):
        known = False
    if not known:
        return 400, {"error": {"message": "this is no chat"}}
    message = {"role": "assistant", "content": "An answer."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return 200, {"object": "chat.completion", "model": asked["model"], "choices": [choice]}


OnRow = Callable[[ProgramOutcome], None]


def trusted_sandbox(
    name: str | None = None,
    *,
    reduced: bool = False,
    begin: Callable[[int], OnRow] = lambda total: lambda row: None,
) -> Sandbox:
    """As `choose_sandbox`, but only a sandbox that contains every hostile program.

    `begin` is called with the number of programs when they have to be run, and gives what hears
    of each result. Raises NoSandbox when one of them was not contained.
    """
    sandbox = choose_sandbox(name, reduced=reduced)
    record = _record(sandbox)
    if not record.exists():
        report = try_walls(sandbox, begin(len(all_programs())))
        if not report.holds:
            escaped = [row.name for row in report.rows if not row.contained]
            what = ", ".join([*escaped, *report.disturbed, *report.left_behind])
            raise NoSandbox(
                f"The sandbox {sandbox.name} does not hold here ({what}). No program of a "
                "submission is run; `finegrade doctor` says more."
            )
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"sandbox": sandbox.name, "contained": len(report.rows)}))
    return sandbox


def try_walls(sandbox: Sandbox, on_row: OnRow) -> SuiteReport:
    """Run all hostile programs in this sandbox, with a model service to attack."""
    with Gateway() as gateway:
        return run_suite(
            sandbox, partial(SentenceService, gateway), os.cpu_count() or 1, on_result=on_row
        )


def _record(sandbox: Sandbox) -> Path:
    """The file that records that this sandbox passed."""
    depends_on = {
        "policy": sandbox.policy(),
        "finegrade": __version__,
        "programs": [program.name for program in all_programs()],
        "kernel": platform.release(),
        "machine": platform.node(),
        "user": os.geteuid(),
    }
    digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return home() / "sandbox" / f"{sandbox.name}-{digest[:16]}.json"

"""The escape suite: hostile programs beside an honest one, in one sandbox."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from grader.errors import GraderFault
from grader.sandbox.escapes.arena import Arena, MakeService, Row, open_arena
from grader.sandbox.escapes.table import Program, all_programs
from grader.sandbox.launch import Sandbox, Verdict

_HONEST_EVERY: Final = 8  # hostile programs between two runs of the honest one
_LATE_SECONDS: Final = 60.0  # a run that is this late will never return

_Result = Row | tuple[str, ...]  # of a hostile run, or how an honest one was disturbed


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """What the suite found.

    `left_out` are the programs that need a model service where none was given, or an isolation
    that this sandbox does not claim. `disturbed` says what differed between two runs of the honest
    program. `left_behind` is what was still there after all runs.
    """

    rows: tuple[Row, ...]
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
    on_result: Callable[[Row], None] = lambda row: None,
    programs: Sequence[Program] | None = None,
) -> SuiteReport:
    """Run hostile programs (by default all that apply) and say what became of each.

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
    arena: Arena, programs: Sequence[Program], workers: int, on_result: Callable[[Row], None]
) -> tuple[list[Row], list[str]]:
    """The rows of all programs, and how honest runs in between were disturbed."""
    # Those that end by a limit take longest: first, so that no core waits for them at the end.
    ordered = sorted(programs, key=lambda one: Verdict.OK in one.expected)
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
    rows: list[Row] = []
    disturbed: list[str] = []
    try:
        for _ in range(count):
            try:
                result = done.get(timeout=_LATE_SECONDS)
            except queue.Empty:
                raise GraderFault("the sandbox does not come back from a run") from None
            if isinstance(result, Row):
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

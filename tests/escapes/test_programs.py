"""On the default backend every hostile program is contained, and nobody else notices it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.sandboxes import need_backend

from grader.escapes.arena import Arena, open_arena
from grader.escapes.judge import HostileProgram, all_programs
from grader.escapes.suite import SentenceService, run_suite
from grader.model_service.gateway import Gateway
from grader.sandbox.api import ExitReason


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway() as gateway:
        yield gateway


@pytest.fixture(scope="module")
def arena(gateway: Gateway) -> Iterator[Arena]:
    with open_arena(need_backend("bubblewrap"), lambda: SentenceService(gateway)) as arena:
        yield arena


@pytest.mark.live(sample=6)
@pytest.mark.parametrize("program", all_programs(), ids=lambda program: program.name)
def test_a_hostile_program_is_contained(arena: Arena, program: HostileProgram) -> None:
    assert arena.applies(program)
    row = arena.run_hostile(program)
    assert row.contained, "\n".join(row.why_not)
    assert arena.left_behind() == ()
    assert arena.disturbed() == ()


@pytest.mark.live
def test_many_at_once_do_not_reach_each_other(gateway: Gateway) -> None:
    """Bombs and floods beside the honest program.

    How each ends alone is tested above; beside the others its time may be over first.
    """
    chosen = [
        replace(program, expected=program.expected | {ExitReason.TIMEOUT})
        for program in all_programs()
        if program.name.startswith(("floods_", "forks_", "memory_of_", "fills_", "kills_"))
    ]
    report = run_suite(
        need_backend("bubblewrap"), lambda: SentenceService(gateway), workers=4, programs=chosen
    )
    assert {row.name: row.why_not for row in report.rows if not row.contained} == {}
    assert (report.disturbed, report.left_behind) == ((), ())
    assert len(report.rows) == len(chosen) > 10

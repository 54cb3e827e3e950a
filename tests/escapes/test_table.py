"""The table of hostile programs says what each of them tries and how it may end."""

from __future__ import annotations

import ast

import pytest

from grader.escapes.judge import (
    LIMITS,
    HostileProgram,
    ServiceUse,
    all_programs,
    helper_source,
    honest_source,
    read_program,
)
from grader.sandbox.api import ExitReason, Isolation

GOOD = b"# claim: reads a file\n# expect: ok exit\n\nprint(1)\n"


def test_there_are_enough_programs_and_each_has_a_claim_of_its_own() -> None:
    programs = all_programs()
    assert len(programs) >= 64
    claims = [program.claim for program in programs]
    assert len(set(claims)) == len(claims)
    assert all(program.claim and program.expected for program in programs)


@pytest.mark.parametrize("program", all_programs(), ids=lambda program: program.name)
def test_every_program_is_python_and_tries_something(program: HostileProgram) -> None:
    tree = ast.parse(program.source)
    assert len(tree.body) > 1


def test_helpers_are_python() -> None:
    ast.parse(helper_source())
    ast.parse(honest_source())


def test_a_program_ends_within_a_limit_that_its_header_may_change() -> None:
    source = b"# claim: waits\n# expect: timeout\n# limits: wall_seconds=1 processes=5\n"
    program = read_program("waits", source)
    assert program.limits.wall_seconds == 1.0
    assert program.limits.processes == 5
    assert program.limits.memory_bytes == LIMITS.memory_bytes


def test_a_header_says_all_that_is_known_of_a_program() -> None:
    program = read_program("reads", GOOD)
    assert program.expected == {ExitReason.OK, ExitReason.EXIT}
    assert program.isolation == {Isolation.FULL, Isolation.REDUCED}
    assert program.service is ServiceUse.NONE
    assert (program.exit_code, program.also) == (None, ())


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"# expect: ok\n", "claim"),
        (b"# claim: x\n", "expect"),
        (b"# claim: x\n# expect: fine\n", "fine"),
        (b"# claim: x\n# expect: ok\n# colour: red\n", "colour"),
        (b"# claim: x\n# claim: y\n# expect: ok\n", "nothing new"),
        (b"# claim: x\n# expect: ok\n# limits: noise=3\n", "noise"),
        (b"# claim: x\n# expect: ok\n# limits: processes=few\n", "few"),
        (b"# claim: x\n# expect: ok\n# isolation: some\n", "some"),
    ],
)
def test_a_header_that_means_nothing_is_refused(header: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_program("odd", header + b"\nprint(1)\n")

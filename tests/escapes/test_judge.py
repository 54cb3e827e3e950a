"""The judgement sees from outside what a program got at, whatever the program says."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from grader.escapes.judge import LIMITS, HostileProgram, Observation, faults, read_program
from grader.escapes.plants import fresh_canary
from grader.sandbox.api import ExitReason, Isolation, RefusedFile, RunResult

CANARY = fresh_canary()
PROGRAM = read_program("reads", b"# claim: reads\n# expect: ok\n")
CALM = RunResult(
    verdict=ExitReason.OK,
    exit_code=0,
    signal=None,
    wall_seconds=0.1,
    cpu_seconds=0.1,
    peak_memory_bytes=1,
    stdout=b"stopped: all\nnot ESCAPED: at all\n",
    stderr=b"",
    stdout_bytes=5,
    stderr_bytes=0,
    files={"out/answers.json": b"{}"},
    refused=(),
    isolation=Isolation.FULL,
)


def judged(
    program: HostileProgram = PROGRAM, seen: dict[str, Any] | None = None, **ended: Any
) -> str:
    outside: dict[str, Any] = {
        "result": dataclasses.replace(CALM, **ended),
        "canaries": (CANARY,),
        "heard": b"",
        "reached": (),
        "changed": False,
        "decoy_alive": True,
    }
    return "\n".join(faults(program, Observation(**(outside | (seen or {})))))


def test_a_calm_program_is_contained() -> None:
    assert judged() == ""


@pytest.mark.parametrize(
    "ended",
    [
        {"stdout": CANARY.encode()},
        {"stderr": b"Traceback: " + CANARY.encode()},
        {"files": {"x": b"a" + CANARY.encode()}},
        {"files": {CANARY: b""}},
        {"refused": (RefusedFile("x", f"a link to /srv/{CANARY}"),)},
    ],
)
def test_a_secret_is_found_wherever_it_comes_out(ended: dict[str, Any]) -> None:
    assert "a planted secret" in judged(**ended)


def test_a_secret_is_found_in_requests() -> None:
    assert "requests" in judged(seen={"heard": b"POST " + CANARY.encode()})


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({"reached": ("TCP server",)}, "TCP server"),
        ({"changed": True}, "changed"),
        ({"decoy_alive": False}, "killed"),
    ],
)
def test_what_happened_outside_counts(seen: dict[str, Any], words: str) -> None:
    assert words in judged(seen=seen)


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        ({"verdict": ExitReason.MEMORY}, "it ended with memory"),
        ({"stdout": b"x\nESCAPED: the root\n"}, "ESCAPED: the root"),
        ({"stderr": b"x" * (LIMITS.output_bytes + 1)}, "more output"),
        ({"files": {str(n): b"" for n in range(LIMITS.harvest_files + 1)}}, "files were taken"),
        ({"files": {"x": b"x" * (LIMITS.harvest_bytes + 1)}}, "more bytes"),
        ({"files": {"../x": b""}}, "from elsewhere"),
        ({"files": {"/etc/x": b""}}, "from elsewhere"),
        ({"files": {"\udcff": b""}}, "no text"),
        ({"wall_seconds": 60.0}, "60.0 s"),
    ],
)
def test_what_it_did_counts(ended: dict[str, Any], words: str) -> None:
    assert words in judged(**ended)


def test_an_exit_code_may_be_the_point() -> None:
    program = read_program("spoofs", b"# claim: spoofs\n# expect: exit\n# code: 3\n")
    assert judged(program, verdict=ExitReason.EXIT, exit_code=3) == ""
    assert "exit code is 0" in judged(program, verdict=ExitReason.OK, exit_code=0)


def test_a_service_that_must_stay_untouched_is_listened_to() -> None:
    program = read_program("fakes", b"# claim: fakes\n# expect: ok\n# service: untouched\n")
    assert judged(program) == ""
    assert "was asked" in judged(program, seen={"heard": b"GET /"})

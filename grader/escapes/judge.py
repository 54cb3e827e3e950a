"""The hostile programs: what each tries, how it may end, and where it applies.

Each program in `programs/` says so itself, in comment lines at its top:

    # claim: reads the environment of the grader        what it tries, one claim
    # expect: ok exit                                   verdicts that it may end with
    # code: 3                                           its exit code, where that is the point
    # service: asked | untouched                        it needs a model service; `untouched`:
                                                        none of its requests may arrive there
    # isolation: full                                   only where a sandbox has all of its own
    # also: json.py sitecustomize.py                    further names of its submitted source
    # limits: wall_seconds=1                            instead of LIMITS

`faults` judges from outside whether a program was contained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Final

from grader.core.constants import MIB
from grader.sandbox.api import ExitReason, Isolation, Limits, RunResult

LIMITS: Final = Limits(  # small, so that bombs go off early and the whole suite stays short
    wall_seconds=3.0,
    cpu_seconds=3,
    memory_bytes=192 * MIB,
    processes=32,
    open_files=128,
    file_bytes=8 * MIB,
    scratch_bytes=24 * MIB,
    scratch_files=1500,
    output_bytes=MIB // 16,
    harvest_files=40,
    harvest_bytes=4 * MIB,
)


class ServiceUse(StrEnum):
    """A program's relation to the model service."""

    NONE = "none"
    ASKED = "asked"
    UNTOUCHED = "untouched"  # it is there, and nothing may arrive


@dataclass(frozen=True, slots=True)
class HostileProgram:
    """A hostile program. `also` are further names under which its source is submitted."""

    name: str
    claim: str
    expected: frozenset[ExitReason]
    exit_code: int | None
    service: ServiceUse
    isolation: frozenset[Isolation]
    also: tuple[str, ...]
    limits: Limits
    source: bytes


def read_program(name: str, source: bytes) -> HostileProgram:
    """The program of that name from its text. Raises ValueError for a header that says nothing."""
    header = _header(name, source)
    try:
        program = HostileProgram(
            name=name,
            claim=header.pop("claim"),
            expected=frozenset(map(ExitReason, header.pop("expect").split())),
            exit_code=int(header.pop("code")) if "code" in header else None,
            service=ServiceUse(header.pop("service", ServiceUse.NONE)),
            isolation=frozenset(map(Isolation, header.pop("isolation", "full reduced").split())),
            also=tuple(header.pop("also", "").split()),
            limits=_limits(header.pop("limits", "")),
            source=source,
        )
    except KeyError as missing:
        raise ValueError(f"{name}.py: its header has no line {missing}") from None
    if header:
        raise ValueError(f"{name}.py: its header has lines that mean nothing: {sorted(header)}")
    return program


@cache
def all_programs() -> tuple[HostileProgram, ...]:
    """Every hostile program, by name."""
    folder = resources.files(__package__) / "programs"
    files = sorted(entry.name for entry in folder.iterdir())
    return tuple(
        read_program(name.removesuffix(".py"), (folder / name).read_bytes())
        for name in files
        if name.endswith(".py") and not name.startswith("_")
    )


def helper_source() -> bytes:
    """The source of the module `attack`, which every program imports."""
    return (resources.files(__package__) / "programs" / "_attack.py").read_bytes()


def honest_source() -> bytes:
    """The honest program, whose result must never change."""
    return (resources.files(__package__) / "programs" / "_honest.py").read_bytes()


def _header(name: str, source: bytes) -> dict[str, str]:
    header: dict[str, str] = {}
    for line in source.decode("utf-8").splitlines():
        if not line.startswith("# "):
            break
        key, colon, value = line.removeprefix("# ").partition(": ")
        if not colon or key in header:
            raise ValueError(f"{name}.py: this line of its header says nothing new: {line!r}")
        header[key] = value.strip()
    return header


def _limits(text: str) -> Limits:
    changes: Mapping[str, str] = dict(part.split("=", 1) for part in text.split())
    kinds = {field.name: type(getattr(LIMITS, field.name)) for field in dataclasses.fields(Limits)}
    unknown = changes.keys() - kinds.keys()
    if unknown:
        raise ValueError(f"there are no such limits: {sorted(unknown)}")
    return dataclasses.replace(LIMITS, **{key: kinds[key](text) for key, text in changes.items()})


_GRACE_SECONDS: Final = 10.0  # a busy machine may be late to kill


@dataclass(frozen=True, slots=True)
class Observation:
    """What can be observed from outside about one run.

    `heard` holds the model service's requests, `reached` are listeners of ours that something
    came to, `changed` says whether the submitted folder has changed.
    """

    result: RunResult
    canaries: tuple[str, ...]
    heard: bytes
    reached: tuple[str, ...]
    changed: bool
    decoy_alive: bool


def faults(program: HostileProgram, seen: Observation) -> tuple[str, ...]:
    """Why this program was not contained; empty when it was."""
    result = seen.result
    found = [*_ending(program, result), *_claims(result), *_leaks(seen)]
    found += [*_sizes(result, program.limits)]
    found += [f"something came to our {listener}" for listener in seen.reached]
    if program.service is ServiceUse.UNTOUCHED and seen.heard:
        found.append("the model service was asked")
    if seen.changed:
        found.append("the submitted folder was changed")
    if not seen.decoy_alive:
        found.append("a process of the grader was killed or stopped")
    return tuple(found)


def _ending(program: HostileProgram, result: RunResult) -> Iterable[str]:
    if result.verdict not in program.expected:
        expected = " or ".join(sorted(program.expected))
        last = (result.stderr or result.stdout)[-300:].decode(errors="replace").strip()
        yield f"it ended with {result.verdict} and not with {expected}; last words: {last!r}"
    if program.exit_code is not None and result.exit_code != program.exit_code:
        yield f"its exit code is {result.exit_code} and not {program.exit_code}"


def _claims(result: RunResult) -> Iterable[str]:
    for line in (result.stdout + b"\n" + result.stderr).splitlines():
        if line.startswith(b"ESCAPED: "):
            yield line.decode(errors="replace")[:300]


def _leaks(seen: Observation) -> Iterable[str]:
    places: Mapping[str, bytes] = {
        "its stdout": seen.result.stdout,
        "its stderr": seen.result.stderr,
        "the names of its files": "\n".join(
            [*seen.result.files, *(f"{one.path} {one.why}" for one in seen.result.refused)]
        ).encode(errors="surrogateescape"),
        "a file of its": b"\n".join(seen.result.files.values()),
        "its requests": seen.heard,
    }
    for place, content in places.items():
        if any(canary.encode() in content for canary in seen.canaries):
            yield f"a planted secret is in {place}"


def _sizes(result: RunResult, limits: Limits) -> Iterable[str]:
    if max(len(result.stdout), len(result.stderr)) > limits.output_bytes:
        yield "more output was kept than the limit says"
    if len(result.files) > limits.harvest_files:
        yield f"{len(result.files)} files were taken out, more than the limit"
    if sum(map(len, result.files.values())) > limits.harvest_bytes:
        yield "more bytes were taken out than the limit says"
    if result.wall_seconds > limits.wall_seconds + _GRACE_SECONDS:
        yield f"it ran for {result.wall_seconds:.1f} s"
    for name in result.files:
        try:
            name.encode()
        except UnicodeEncodeError:
            yield f"a file was taken out whose name is no text: {name!a}"
    for path in map(PurePosixPath, result.files):
        if path.is_absolute() or ".." in path.parts:
            yield f"a file was taken out from elsewhere: {path}"

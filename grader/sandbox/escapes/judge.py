"""Whether a program was held, judged only from what can be seen outside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from grader.sandbox.escapes.table import Program, Service
from grader.sandbox.launch import Ended, Limits

_GRACE_SECONDS: Final = 10.0  # a busy machine may be late to kill


@dataclass(frozen=True, slots=True)
class Seen:
    """All that is known from outside about one run.

    `heard` is what the model service was asked, `reached` are listeners of ours that something
    came to, `changed` says whether the handed-in folder is another one now.
    """

    ended: Ended
    canaries: tuple[str, ...]
    heard: bytes
    reached: tuple[str, ...]
    changed: bool
    decoy_alive: bool


def faults(program: Program, seen: Seen) -> tuple[str, ...]:
    """Why this program was not held; empty when it was."""
    ended = seen.ended
    found = [*_ending(program, ended), *_claims(ended), *_leaks(seen)]
    found += [*_sizes(ended, program.limits)]
    found += [f"something came to our {listener}" for listener in seen.reached]
    if program.service is Service.UNTOUCHED and seen.heard:
        found.append("the model service was asked")
    if seen.changed:
        found.append("the handed-in folder was changed")
    if not seen.decoy_alive:
        found.append("a process of the grader was killed or stopped")
    return tuple(found)


def _ending(program: Program, ended: Ended) -> Iterable[str]:
    if ended.verdict not in program.expected:
        expected = " or ".join(sorted(program.expected))
        last = (ended.stderr or ended.stdout)[-300:].decode(errors="replace").strip()
        yield f"it ended with {ended.verdict} and not with {expected}; last words: {last!r}"
    if program.exit_code is not None and ended.exit_code != program.exit_code:
        yield f"its exit code is {ended.exit_code} and not {program.exit_code}"


def _claims(ended: Ended) -> Iterable[str]:
    for line in (ended.stdout + b"\n" + ended.stderr).splitlines():
        if line.startswith(b"ESCAPED: "):
            yield line.decode(errors="replace")[:300]


def _leaks(seen: Seen) -> Iterable[str]:
    places: Mapping[str, bytes] = {
        "its stdout": seen.ended.stdout,
        "its stderr": seen.ended.stderr,
        "the names of its files": "\n".join(
            [*seen.ended.files, *(f"{one.path} {one.why}" for one in seen.ended.refused)]
        ).encode(errors="surrogateescape"),
        "a file of its": b"\n".join(seen.ended.files.values()),
        "its requests": seen.heard,
    }
    for place, content in places.items():
        if any(canary.encode() in content for canary in seen.canaries):
            yield f"a planted secret is in {place}"


def _sizes(ended: Ended, limits: Limits) -> Iterable[str]:
    if max(len(ended.stdout), len(ended.stderr)) > limits.output_bytes:
        yield "more output was kept than the limit says"
    if len(ended.files) > limits.harvest_files:
        yield f"{len(ended.files)} files were taken out, more than the limit"
    if sum(map(len, ended.files.values())) > limits.harvest_bytes:
        yield "more bytes were taken out than the limit says"
    if ended.wall_seconds > limits.wall_seconds + _GRACE_SECONDS:
        yield f"it ran for {ended.wall_seconds:.1f} s"
    for name in ended.files:
        try:
            name.encode()
        except UnicodeEncodeError:
            yield f"a file was taken out whose name is no text: {name!a}"
    for path in map(PurePosixPath, ended.files):
        if path.is_absolute() or ".." in path.parts:
            yield f"a file was taken out from elsewhere: {path}"

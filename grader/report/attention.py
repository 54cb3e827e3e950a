"""Who needs an instructor's attention, and for what reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from grader.core.nouns import Assignment, Finding, Outcome, Severity, Status
from grader.core.result import Result
from grader.core.text import points
from grader.report.judged import decided_codes

_KINDS: Final = {
    "refused": "✗ Work that could not be taken in",
    "fault": "! The grader failed: grade these again",
    "copy": "✗ Possible copies",
    "review": "? To be decided by a person",
    "nothing": "✗ Nothing done",
    "missing": "✗ Parts or documents missing",
    "adapter": "✗ Adapters that were not run",
    "no gain": "✗ No improvement on hidden questions",
    "below": "✗ Below the pass mark, even at best",
}
"""By kind of reason its heading, the most urgent first."""


@dataclass(frozen=True, slots=True)
class Case:
    """A student, and the finding (its code, message and note) that gives the reason."""

    student: str
    code: str
    message: str
    note: str


@dataclass(frozen=True, slots=True)
class Attention:
    """All cases of one kind, under its heading."""

    title: str
    cases: tuple[Case, ...]


def needs_attention(assignment: Assignment, results: Sequence[Result]) -> list[Attention]:
    """The kinds of reasons that occur; of each kind the first finding of each student."""
    gates = {code for spec in assignment.evidence for code in spec.needs if code.startswith("ADP")}
    cases: dict[str, list[Case]] = {kind: [] for kind in _KINDS}
    for result in results:
        firsts: dict[str, Case] = {}
        for kind, case in _reasons(assignment, result, gates):
            firsts.setdefault(kind, case)
        if "nothing" in firsts:  # then all the rest is missing as well
            firsts = {kind: firsts[kind] for kind in ("copy", "nothing") if kind in firsts}
        for kind, case in firsts.items():
            cases[kind].append(case)
    return [Attention(title, tuple(cases[kind])) for kind, title in _KINDS.items() if cases[kind]]


def _reasons(assignment: Assignment, result: Result, gates: set[str]) -> Iterator[tuple[str, Case]]:
    decided = decided_codes(result.scores)
    for finding in result.findings:
        kind = None if finding.code in decided else _kind(result, finding, gates)
        if kind is not None:
            yield kind, Case(result.student, finding.code, finding.message, finding.note)
    if result.status is Status.FAILED:
        return
    best, least = result.total.upper, assignment.pass_points
    if best == 0:
        yield "nothing", Case(result.student, "", "No criterion can earn a point.", "")
    elif best < least:
        message = f"At most {points(best)} points; {points(least)} are needed."
        yield "below", Case(result.student, "", message, "")


def _kind(result: Result, finding: Finding, gates: set[str]) -> str | None:
    copied = finding.code.startswith("INT")
    match finding.outcome:
        case Outcome.FAIL if result.status is Status.FAILED:
            return "refused"
        case Outcome.ERROR:
            return "fault"
        case Outcome.FAIL | Outcome.REVIEW if copied:
            return "copy"
        case Outcome.REVIEW if (
            result.status is Status.PENDING_MANUAL
            and finding.severity is not Severity.NOTE  # a fact for whoever judges, no question
        ):
            return "review"
        case Outcome.FAIL if finding.code.startswith("LAY0"):
            return "missing"
        case Outcome.FAIL if finding.code in gates:
            return "adapter"
        case Outcome.FAIL if finding.check in ("EVL001", "ADP010"):
            return "no gain"
        case _:
            return None

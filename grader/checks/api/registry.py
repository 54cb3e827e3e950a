"""The registry of checks: a check is a function, its docstring is its page.

A check's docstring reads: title (the claim that must hold), blank line, `Why:` paragraph, blank
line, `Fix:` paragraph. The registry is frozen after import of `grader.checks.all`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from inspect import cleandoc
from typing import Any, Final, Generic

from grader.core.errors import CodedError
from grader.core.nouns import (
    Assignment,
    Evidence,
    Finding,
    Location,
    Measures,
    Outcome,
    Severity,
    Submission,
    Visibility,
)
from grader.core.payloads import P, read

CODE_PATTERN = re.compile(r"^(LAY|JSL|TOK|ADP|EVL|DSP|API|SRC|DOC|INT|GRD)\d{3}$")


@dataclass(frozen=True, slots=True)
class Classmate:
    """Another submission's adapter as the class register knows it (see collect/register.py)."""

    student: str
    submitted_at: str | None
    sketch: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class EvidenceRole(Generic[P]):
    """Evidence that a check reads: its id in the assignment, and its payload."""

    id: str
    payload: type[P]


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that a check may look at."""

    assignment: Assignment
    submission: Submission
    evidence: Mapping[str, Evidence]
    classmates: tuple[Classmate, ...] = ()

    def seen(self, role: EvidenceRole[Any]) -> Evidence:
        """The evidence in this role; it is there when a check that names the role runs."""
        return self.evidence[role.id]

    def read(self, role: EvidenceRole[P]) -> P:
        """What the evidence in this role says."""
        return read(self.seen(role), role.payload)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check's function returns; the registry adds code and title to make a Finding."""

    outcome: Outcome
    message: str
    hint: str = ""
    location: Location = field(default_factory=Location)
    measures: Measures | None = None
    note: str = ""
    severity: Severity | None = None
    """Instead of the check's own."""


def passed(message: str, *, measures: Measures | None = None, note: str = "") -> Verdict:
    """The claim holds."""
    return Verdict(Outcome.PASS, message, measures=measures, note=note)


def failed(
    message: str,
    hint: str,
    *,
    path: str | None = None,
    line: int | None = None,
    pointer: str | None = None,
    measures: Measures | None = None,
    note: str = "",
    severity: Severity | None = None,
) -> Verdict:
    """The claim does not hold, by the student's fault: what was found, and what to do next."""
    where = Location(path, line, pointer)
    return Verdict(Outcome.FAIL, message, hint, where, measures, note, severity)


def skipped(message: str, hint: str = "") -> Verdict:
    """There is nothing to look at, and the assignment allows that."""
    return Verdict(Outcome.SKIP, message, hint)


def not_looked_at(refused: CodedError) -> Verdict:
    """A file was refused by a rule whose own check fails, and says what to do."""
    text = f"Not looked at, because {refused.code} did not hold. {refused.message}"
    return skipped(text, refused.hint)


def voluntary() -> Verdict:
    """Extra work that was not handed in: nothing to look at and nothing to mend, so no hint."""
    return skipped("Not handed in; this challenge is voluntary.")


def needs_review(
    message: str, hint: str = "", *, note: str = "", measures: Measures | None = None
) -> Verdict:
    """Only a person can decide."""
    return Verdict(Outcome.REVIEW, message, hint, measures=measures, note=note)


CheckFunction = Callable[[Context], Verdict]


@dataclass(frozen=True, slots=True)
class Check:
    """A registered check with its page and what it needs before it can run."""

    code: str
    title: str
    why: str
    fix: str
    function: CheckFunction
    needs: tuple[str, ...]
    evidence: tuple[EvidenceRole[Any], ...]
    measures: tuple[str, ...]
    severity: Severity
    visibility: Visibility

    def finding(self, verdict: Verdict) -> Finding:
        """The verdict under this check's code and title.

        Raises ValueError for measures that nobody declared and for a line that no file has.
        """
        measures = dict(verdict.measures or {})
        undeclared = sorted(set(measures) - set(self.measures))
        if undeclared:
            raise ValueError(f"{self.code} returned undeclared measures: {', '.join(undeclared)}")
        line = verdict.location.line
        if line is not None and line < 1:
            raise ValueError(f"{self.code} returned line {line}; lines count from 1")
        return Finding(
            code=self.code,
            outcome=verdict.outcome,
            title=self.title,
            message=verdict.message,
            hint=verdict.hint,
            severity=verdict.severity or self.severity,
            location=verdict.location,
            visibility=self.visibility,
            measures=measures,
            note=verdict.note,
        )


_CHECKS: dict[str, Check] = {}


def check(
    code: str,
    *,
    needs: tuple[str, ...] = (),
    evidence: tuple[EvidenceRole[Any], ...] = (),
    measures: tuple[str, ...] = (),
    severity: Severity = Severity.ERROR,
    visibility: Visibility = Visibility.STUDENT,
) -> Callable[[CheckFunction], CheckFunction]:
    """Register a check. `needs`: codes that must pass first; `evidence`: what it reads."""

    def register(function: CheckFunction) -> CheckFunction:
        title, why, fix = _page(code, function)
        add(Check(code, title, why, fix, function, needs, evidence, measures, severity, visibility))
        return function

    return register


def add(check: Check) -> None:
    """Register a check whose page is not a docstring."""
    if not CODE_PATTERN.match(check.code):
        raise ValueError(f"{check.code} is not a check code")
    if check.code in _CHECKS:
        raise ValueError(f"{check.code} is taken by {_CHECKS[check.code].title}")
    _CHECKS[check.code] = check


def _page(code: str, function: CheckFunction) -> tuple[str, str, str]:
    text = cleandoc(function.__doc__ or "")
    match = re.fullmatch(r"(?P<title>.+?)\n\nWhy: (?P<why>.+?)\n\nFix: (?P<fix>.+)", text, re.S)
    if match is None:
        raise ValueError(f"{code}: its docstring must read: title, 'Why: …', 'Fix: …'")
    title, why, fix = (" ".join(match[name].split()) for name in ("title", "why", "fix"))
    return title.rstrip("."), why, fix


def all_checks() -> Mapping[str, Check]:
    """Every registered check by code, in the order of the codes."""
    return dict(sorted(_CHECKS.items()))


def all_needs(check: Check, assignment: Assignment) -> tuple[str, ...]:
    """The codes that must pass first: the check's own and those of the evidence that it reads."""
    ids = {role.id for role in check.evidence}
    behind = [spec.needs for spec in assignment.evidence if spec.id in ids]
    return tuple(dict.fromkeys(sum(behind, check.needs)))


def in_order(codes: Iterable[str], assignment: Assignment) -> list[Check]:
    """The checks of these codes and all that they need, each after what it needs."""
    ordered: dict[str, Check] = {}

    def visit(code: str) -> None:
        if code in ordered:
            return
        for needed in all_needs(_CHECKS[code], assignment):
            visit(needed)
        ordered[code] = _CHECKS[code]

    for code in codes:
        visit(code)
    return list(ordered.values())


_LATER: Final = {"text": "PDF and Word files are read when programs are run, and at grading."}
"""What is said of evidence that was not collected, by its kind."""


def run_check(
    check: Check, context: Context, earlier: Mapping[str, Finding], missing: Mapping[str, str]
) -> Finding:
    """Run one check, after those it needs.

    `earlier` holds the findings so far by code. `missing` says of each evidence id that could not
    be collected why (a machine's fault). The result is `skip` behind a fail, the same behind a
    skip, `error` behind an error or missing evidence, `review` behind a review, else what the
    check says.
    """
    for needed in all_needs(check, context.assignment):
        before = earlier[needed]
        if before.outcome is Outcome.PASS:
            continue
        if before.outcome is Outcome.SKIP:  # what stopped that one stops this one
            return check.finding(Verdict(Outcome.SKIP, before.message, before.hint))
        if before.outcome is Outcome.FAIL:
            text = f"Not looked at, because {needed} ({before.title}) did not hold."
            return check.finding(Verdict(Outcome.SKIP, text, before.hint))
        text = f"Not known yet, because {needed} ({before.title}) is not known."
        return check.finding(Verdict(before.outcome, text))
    kinds = {spec.id: spec.kind for spec in context.assignment.evidence}
    for role in check.evidence:
        if role.id in missing:
            text = "The grader could not run this; your instructor has been told. No marks lost."
            return check.finding(Verdict(Outcome.ERROR, text, note=missing[role.id]))
        if role.id not in context.evidence:
            text = _LATER.get(kinds.get(role.id, ""), "Hidden tests run at grading.")
            return check.finding(Verdict(Outcome.REVIEW, text))
    try:
        return check.finding(check.function(context))
    except Exception as error:  # a check's own fault must not cost the student or stop the batch
        text = "The grader failed on this check; your instructor has been told. No marks lost."
        trace = f"{type(error).__name__}: {error}"
        finding = check.finding(Verdict(Outcome.ERROR, text, note=trace))
        return replace(finding, measures={})

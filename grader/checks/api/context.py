"""What a check looks at, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic

from grader.core.errors import CodedError
from grader.core.nouns import (
    Assignment,
    Deliverable,
    Evidence,
    Location,
    Measures,
    Outcome,
    Severity,
    Submission,
)
from grader.core.payloads import P, read


@dataclass(frozen=True, slots=True)
class AnswerTraits:
    """What tells an adapter by its answers to the n hidden questions.

    `asked` is a digest of the questions. `wrong` is uint32 [n], a digest of each answer that its
    own mistakes made, 0 elsewhere. `logliks` is float32 [n], a unit vector of mean 0: the reference
    answers' log-likelihoods, on a scale where all questions count, without what the base explains.
    """

    asked: str
    wrong: bytes
    logliks: bytes


@dataclass(frozen=True, slots=True)
class Classmate:
    """Another submission's adapter as the class register knows it (see grader.course.grade).

    `sketch` and `row_space` (float16) are those of grader.models.adapter_files; registers of before
    have no row spaces. `traits` is None where no hidden question was asked.
    """

    student: str
    submitted_at: str | None
    sketch: tuple[float, ...]
    row_space: bytes | None = None
    traits: AnswerTraits | None = None


@dataclass(frozen=True, slots=True)
class EvidenceRole(Generic[P]):
    """Evidence that a check reads: its id unless the assignment binds another, and its payload."""

    id: str
    payload: type[P]


@dataclass(frozen=True, slots=True)
class NotRun:
    """Why evidence of a student's program was not collected, by the student's own doing.

    `outcome` is that of the checks that would read it; `note` is for the instructor.
    """

    outcome: Outcome
    message: str
    hint: str
    note: str = ""


Bindings = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that a check may look at. A role that is not bound is the id itself."""

    assignment: Assignment
    submission: Submission
    evidence: Mapping[str, Evidence]
    classmates: tuple[Classmate, ...] = ()
    bindings: Bindings = field(default_factory=dict)
    not_run: Mapping[str, NotRun] = field(default_factory=dict)
    """By evidence id, what the student's own doing kept from being collected."""
    hidden: bool = True
    """Whether runs saw questions that the student must not learn; not so in a self-check."""
    runs: bool = True
    """Whether models and programs run; a check of files alone needs no base on this machine."""

    def seen(self, role: EvidenceRole[Any]) -> Evidence:
        """The evidence in this role; it is there when a check that names the role runs."""
        return self.evidence[self.bound(role.id)]

    def read(self, role: EvidenceRole[P]) -> P:
        """What the evidence in this role says."""
        return read(self.seen(role), role.payload)

    def bound(self, role: str) -> str:
        """The id in this role."""
        return bound(self.bindings, role)

    def deliverable(self, role: str) -> Deliverable:
        """The deliverable in this role; KeyError where the assignment has none."""
        return self.assignment.deliverable(self.bound(role))

    def place(self, role: str) -> str | None:
        """Where the deliverable in this role lies, None where it is not there.

        Raises FileRefused LAY002 where several files could be it.
        """
        return self.submission.place(self.bound(role))


def bound(bindings: Bindings, role: str) -> str:
    """The one id that is bound to a role; a role without a binding is the id itself."""
    return bindings.get(role, (role,))[0]


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
    exact: str = ""
    """The message with all that a hidden run showed: for staff, and in a self-check."""


def passed(
    message: str, *, measures: Measures | None = None, note: str = "", exact: str = ""
) -> Verdict:
    """The claim holds."""
    return Verdict(Outcome.PASS, message, measures=measures, note=note, exact=exact)


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
    exact: str = "",
) -> Verdict:
    """The claim does not hold, by the student's fault: what was found, and what to do next."""
    where = Location(path, line, pointer)
    return Verdict(Outcome.FAIL, message, hint, where, measures, note, severity, exact)


def skipped(message: str, hint: str = "") -> Verdict:
    """There is nothing to look at, and the assignment allows that."""
    return Verdict(Outcome.SKIP, message, hint)


def not_looked_at(refused: CodedError) -> Verdict:
    """A file was refused by a rule whose own check fails, and says what to do."""
    text = f"Not looked at, because {refused.code} did not hold. {refused.message}"
    return skipped(text, refused.hint)


def voluntary() -> Verdict:
    """Extra work that was not submitted: nothing to look at and nothing to fix, so no hint."""
    return skipped("Not submitted; this challenge is voluntary.")


def needs_review(
    message: str, hint: str = "", *, note: str = "", measures: Measures | None = None
) -> Verdict:
    """Only a person can decide."""
    return Verdict(Outcome.REVIEW, message, hint, measures=measures, note=note)

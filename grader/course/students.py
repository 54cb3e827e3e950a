"""The students of a class on their way to evidence: each submission is taken in, its files are
checked, and what evidence it needs is planned, before the next one is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from grader.checks.api.context import Classmate, Context
from grader.checks.api.registry import all_checks, in_order, run_check
from grader.checks.integrity import registered
from grader.core.errors import IntakeError, UsageError
from grader.core.nouns import Assignment, Finding, Outcome, Submission
from grader.evidence import predictions
from grader.evidence.collection import Collection
from grader.evidence.kind import AdapterRef, Candidate, Grading, Progress
from grader.evidence.kinds import specs
from grader.intake.find import FoundSubmission
from grader.intake.unpacked import UnpackedSubmissions
from grader.models.adapter_files import read_adapter

# Names of folders are the instructor's to mend: two of one student, or one that names nobody.
_INSTRUCTORS = frozenset({"LAY115", "LAY116"})


@dataclass(slots=True)
class StudentWork:
    """One student on the way through: what was taken in, and found so far."""

    entry: FoundSubmission
    submission: Submission
    findings: dict[str, Finding] = field(default_factory=dict)
    adapters: dict[str, AdapterRef] = field(default_factory=dict)
    """By deliverable."""
    registered: dict[str, Classmate] = field(default_factory=dict)
    """By deliverable, the same as the class register is to know them."""
    missing: dict[str, str] = field(default_factory=dict)
    """By evidence id, why its adapter could not be read although the checks could."""

    @property
    def student(self) -> str:
        return self.submission.student


def take_in_all(
    found: Sequence[FoundSubmission],
    unpacked: UnpackedSubmissions,
    collection: Collection,
    grading: Grading,
    progress: Progress,
) -> tuple[list[StudentWork], list[tuple[FoundSubmission, Finding]]]:
    """Take in each submission, look at its files and plan its evidence, one after another."""
    students, refused = [], []
    progress.start("Taking in submissions", len(found))
    for entry in found:
        try:
            submission = unpacked.take_in(entry)
            one = StudentWork(entry, submission)
            files = partial(unpacked.held, one.student)
            with files():
                _check_files(one, grading.assignment, runs=grading.questions is not None)
                _read_adapters(one, grading.assignment)
                passed = partial(_passed, one.findings)
                collection.plan(Candidate(submission, passed, one.adapters, files))
            students.append(one)
        except IntakeError as error:
            title = all_checks()[error.code].title
            outcome = Outcome.REVIEW if error.code in _INSTRUCTORS else Outcome.FAIL
            refused.append((entry, Finding(error.code, outcome, title, error.message, error.hint)))
        except UsageError:
            raise
        except Exception as error:  # our fault or the machine's: it must not stop the batch
            refused.append((entry, not_readable(error)))
        progress.step(entry.student)
    return students, refused


def not_readable(error: Exception) -> Finding:
    text = "The grader could not read the submission. No marks are lost; it will be retried."
    title, note = all_checks()["GRD001"].title, f"{type(error).__name__}: {error}"
    return Finding("GRD001", Outcome.ERROR, title, text, note=note)


def _check_files(one: StudentWork, assignment: Assignment, *, runs: bool) -> None:
    """Run the checks that stand before any evidence: they decide what may be run at all."""
    gates = [code for spec in assignment.evidence for code in spec.needs]
    context = Context(assignment, one.submission, {}, runs=runs)
    for check in in_order(gates, assignment):
        one.findings[check.ref] = run_check(check, context, one.findings, {})


def _read_adapters(one: StudentWork, assignment: Assignment) -> None:
    """Read the adapters that passed their checks, for what they do by their weights."""
    needs = {spec.id: spec.needs for spec in assignment.evidence}
    for spec in specs(assignment, predictions.KIND):
        id = spec.adapter
        if id is None or id in one.adapters or not _passed(one.findings, needs[spec.id]):
            continue
        try:
            path = one.submission.place(id)
            if path is not None:
                read = partial(read_adapter, one.submission, path)
                adapter = read()
                one.registered[id] = registered(one.submission, adapter)
                one.adapters[id] = AdapterRef(adapter.digest, read)
        except Exception as error:  # a file that changed meanwhile must not stop the batch
            one.missing[spec.id] = f"{type(error).__name__}: {error}"


def _passed(findings: Mapping[str, Finding], codes: Sequence[str]) -> bool:
    return all(findings[code].outcome is Outcome.PASS for code in codes)

"""The nouns of finegrade: frozen values without I/O, each writable as JSON and read back.

Vocabulary follows SARIF (finding, outcome, location) and LTI AGS (grading status).

What one step of a training tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

Measures = Mapping[str, float | int | str | None]


class Outcome(StrEnum):
    """What a check found. Only `fail`, and a `skip` behind it, can cost points."""

    PASS = "pass"
    FAIL = "fail"
    """The student's fault."""
    SKIP = "skip"
    """Not looked at, because something before it failed."""
    ERROR = "error"
    """The grader's or the machine's fault: points are unknown."""
    REVIEW = "review"
    """A person must decide: points are unknown until then."""


class Severity(StrEnum):
    """How much a finding that failed matters (SARIF `level`)."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Visibility(StrEnum):
    """Who may read a finding."""

    STUDENT = "student"
    INSTRUCTOR = "instructor"


class Status(StrEnum):
    """Where the grading of one criterion or one submission stands (LTI AGS)."""

    FULLY_GRADED = "FullyGraded"
    PENDING_MANUAL = "PendingManual"
    FAILED = "Failed"
    """The submission could not be taken in at all."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where in a submission: a path relative to its root, a 1-based line, a JSON pointer."""

    path: str | None = None
    line: int | None = None
    pointer: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about one submission, stated by one check."""

    code: str
    outcome: Outcome
    title: str
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR
    location: Location = Location()
    visibility: Visibility = Visibility.STUDENT
    measures: Measures = field(default_factory=dict)
    note: str = ""
    """For the instructor alone: what a student may not read (another student's name, a trace)."""

    @property
    def left_out(self) -> bool:
        """Whether there was nothing to look at, and nothing has to be mended for it."""
        return self.outcome is Outcome.SKIP and not self.hint


@dataclass(frozen=True, slots=True)
class SubmittedFile:
    """A regular file of a submission. `path` is relative, with forward slashes; size in bytes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Submission:
    """One student's work on disk, read-only.

    `student` comes from the folder or archive name, never from inside the work. `digest` is over
    the paths and contents of all files. `submitted_at` is an ISO 8601 time from the instructor's
    own record (`submissions.csv`), or None when nobody recorded it.
    """

    student: str
    root: Path
    digest: str
    files: tuple[SubmittedFile, ...]
    submitted_at: str | None = None

    def places(self) -> dict[str, Path]:
        """Where each file lies, by its relative path: what may be staged for a run."""
        return {file.path: self.root / file.path for file in self.files}

    def file(self, path: str) -> SubmittedFile | None:
        """The file at this exact relative path, or None."""
        return next((f for f in self.files if f.path == path), None)


@dataclass(frozen=True, slots=True)
class Deliverable:
    """What a student hands in: a file (any of `paths`) or a folder (a path ending in "/").

    An `optional` one is voluntary: it belongs to no part and is never missing.
    """

    id: str
    title: str
    paths: tuple[str, ...]
    part: str | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class DataSpec:
    """What an assignment asks of a deliverable that is training data.

    `kind` is as in `finegrade data check --kind`. `errors` are codes of warnings that this
    assignment treats as errors.
    """

    deliverable: str
    kind: str
    min_examples: int
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an assignment; a student may be allowed to leave some out."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class EvidenceSpec:
    """Evidence an assignment wants of each submission.

    Of `predictions`, `adapter` names the deliverable to run, or is None for the bare base. Of a
    `transcript`, `script` names the deliverable to run, with `arguments`, against a model service
    under `scenarios`; its sleeps pass `clock_rate` times as fast as real ones, and it may take
    `wall_seconds` of real time. With `given`, that file of a starter kit and the topic's public
    data lie beside it.

    Of `answers` and `metric_scores`, `module` names the deliverable that is imported, with the
    file `given` of a starter kit beside it; without `module` the given file itself is imported.
    `program` is the name in it that makes a DSPy program, or that is a metric. It asks `model`.
    With `perturb` the model's answers are replaced by others. At most `questions` are asked.

    Of a `text`, `document` names the deliverable that is read.

    `predictions` and `answers` are to the hidden questions, or to those of the deliverable
    `questions_from` (see grader/assignment/benchmark.py).

    Nothing is collected for a submission on which one of the checks in `needs` did not pass.
    """

    id: str
    kind: str
    adapter: str | None = None
    needs: tuple[str, ...] = ()
    script: str | None = None
    arguments: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ()
    clock_rate: float = 60.0
    wall_seconds: float = 300.0  # what counts is processor time: a busy machine is no fault
    module: str | None = None
    given: str | None = None
    program: str | None = None
    model: str | None = None
    perturb: bool = False
    questions: int | None = None
    document: str | None = None
    questions_from: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a producer found. `key` hashes all that determines the payload.

    `payload` is a JSON value. `cost` (seconds, bytes) is what it took; it varies between runs and
    is not part of the key.
    """

    kind: str
    key: str
    payload: Mapping[str, Any]
    cost: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Band:
    """At `at_least` or more of the measure, the criterion earns `points`."""

    at_least: float
    points: float


@dataclass(frozen=True, slots=True)
class Criterion:
    """One line of a rubric.

    `source` is "CODE" (all or nothing), "CODE.measure" (with `bands`), or "review" (a person).
    A failed check in `requires` makes it worth 0; an unknown one makes it unknown.
    """

    id: str
    title: str
    category: str
    points: float
    source: str
    part: str | None = None
    bands: tuple[Band, ...] = ()
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Category:
    """A group of criteria with its share of the 100 points, or with points on top (`extra`).

    With `best_parts` = n only the n parts that earn most count; without it all criteria do.
    """

    id: str
    title: str
    points: float
    best_parts: int | None = None
    extra: bool = False


@dataclass(frozen=True, slots=True)
class BaseModel:
    """The model that adapters are trained on: "course-model" or a hub id.

    `revision` pins it: a hub commit, or the sha256 of the course model's weights.
    """

    name: str
    revision: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """One YAML of `rubrics/`, checked against its schema and against the registry of checks."""

    id: str
    version: str
    title: str
    topic: str
    base: BaseModel
    max_new_tokens: int
    pass_points: float
    parts: tuple[Part, ...]
    deliverables: tuple[Deliverable, ...]
    evidence: tuple[EvidenceSpec, ...]
    checks: tuple[str, ...]
    categories: tuple[Category, ...]
    criteria: tuple[Criterion, ...]
    digest: str
    data: DataSpec | None = None

    @property
    def max_points(self) -> float:
        """What full marks are; extra points come on top."""
        return sum(category.points for category in self.categories if not category.extra)

    def deliverable(self, id: str) -> Deliverable:
        """The deliverable of that id; KeyError if the assignment has none."""
        for deliverable in self.deliverables:
            if deliverable.id == id:
                return deliverable
        raise KeyError(id)


@dataclass(frozen=True, slots=True)
class Score:
    """What one criterion earned. `points` None means not known yet; 0 means zero."""

    id: str
    title: str
    category: str
    part: str | None
    points: float | None
    max_points: float
    status: Status
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Total:
    """Points of a whole submission; `lower` and `upper` are equal when all is known.

    Extra points count too, so all three may be above `max_points`.
    """

    points: float | None
    max_points: float
    lower: float
    upper: float
    categories: Mapping[str, tuple[float, float]]
    counted_parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """All that is known of one submission after grading."""

    assignment_id: str
    assignment_version: str
    student: str
    digest: str
    submitted_at: str | None
    status: Status
    total: Total
    scores: tuple[Score, ...]
    findings: tuple[Finding, ...]
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One step that was done: its number from 1 on, and what was measured before the update."""

    number: int
    loss: float
    accuracy: float
    others: Mapping[str, float]

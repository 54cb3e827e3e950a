"""The nouns of finegrade: frozen values without I/O, each writable as JSON and read back.

Vocabulary follows SARIF (finding, outcome, location) and LTI AGS (grading status).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from grader.core.errors import FileRefused
from grader.core.review import Item

Measures = Mapping[str, float | int | str | None]


class Outcome(StrEnum):
    """The outcome of a check. Only `fail`, and a `skip` behind it, can cost points."""

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
    """One fact about one submission, stated by one check.

    `code` is "EVL001", or "EVL001@qlora" where the assignment uses the check under a name.
    """

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
    def check(self) -> str:
        """The code of the check, without the name under which it is used."""
        return self.code.partition("@")[0]

    @property
    def name(self) -> str:
        """The name under which the check is used, "" for a plain code."""
        return self.code.partition("@")[2]

    @property
    def left_out(self) -> bool:
        """Whether there was nothing to check, and nothing needs a fix."""
        return self.outcome is Outcome.SKIP and not self.hint


@dataclass(frozen=True, slots=True)
class SubmittedFile:
    """A regular file of a submission. `path` is relative, with forward slashes; size in bytes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Several files or folders could be one deliverable: what was found, and what to do."""

    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Submission:
    """One student's work on disk, read-only.

    `student` comes from the folder or archive name, never from inside the work. `digest` is over
    the paths and contents of all files. `places` says where each deliverable lies, by its id, as
    intake found it; those that are not there are left out, and so are those that hold nothing but
    what the kit's file of that name does: they are `untouched`, path by id. `submitted_at` is an
    ISO 8601 time from the instructor's own record (`submissions.csv`), or None when nobody recorded
    it.
    """

    student: str
    root: Path
    digest: str
    files: tuple[SubmittedFile, ...]
    submitted_at: str | None = None
    places: Mapping[str, str | Ambiguous] = field(default_factory=dict, compare=False)
    untouched: Mapping[str, str] = field(default_factory=dict, compare=False)

    def without_untouched(self, untouched: Mapping[str, str]) -> Submission:
        """The same without the places of these deliverables, path by id."""
        left = {id: place for id, place in self.places.items() if id not in untouched}
        return replace(self, places=left, untouched=untouched)

    def place(self, deliverable: str) -> str | None:
        """Where it lies: a path relative to the root, a folder without a slash; None if nowhere.

        Raises FileRefused LAY002 where several could be it.
        """
        place = self.places.get(deliverable)
        if isinstance(place, Ambiguous):
            raise FileRefused("LAY002", place.message, place.hint)
        return place

    def paths(self) -> dict[str, Path]:
        """Where each file lies, by its relative path: what may be staged for a run."""
        return {file.path: self.root / file.path for file in self.files}

    def file(self, path: str) -> SubmittedFile | None:
        """The file at this exact relative path, or None."""
        return next((f for f in self.files if f.path == path), None)


@dataclass(frozen=True, slots=True)
class Length:
    """How long a document should be: as `text` ("about a page"), and the least and most words."""

    text: str
    words: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Deliverable:
    """What a student submits: a file (any of `paths`) or a folder (a path ending in "/").

    An `optional` one is voluntary: it belongs to no part and is never missing. An adapter names its
    `base`, unless that is the assignment's own, and `other_bases` that it may be trained on as
    well: its config then says which. A document may have a `length` that is asked for.
    """

    id: str
    title: str
    paths: tuple[str, ...]
    part: str | None = None
    optional: bool = False
    base: str | None = None
    other_bases: tuple[str, ...] = ()
    length: Length | None = None


@dataclass(frozen=True, slots=True)
class DataSpec:
    """The requirements of an assignment on a deliverable that is training data.

    `kind` is as in `finegrade data check --kind`. `errors` are warnings that are errors here.
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
    """Evidence that an assignment asks for of each submission.

    `settings` are the fields of its kind as the YAML has them; the kind reads them
    (grader/evidence/kind.py). Nothing is collected for a submission on which one of the checks in
    `needs` did not pass.
    """

    id: str
    kind: str
    needs: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Collected evidence. `key` hashes everything that determines the payload.

    `payload` is a JSON value, which grader/core/payloads.py reads. `cost` (seconds, bytes) varies
    between runs and is no part of the key.
    """

    kind: str
    key: str
    payload: Mapping[str, Any]
    cost: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class CheckInstance:
    """One use of a check in an assignment: its plain code, or the code under a `name`.

    `bindings` say which of the assignment's evidence, deliverables or parts the check looks at, by
    the role that they have in it; a role without one is the id itself. `title` takes the place of
    the check's own.
    """

    code: str
    name: str | None = None
    bindings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    title: str | None = None

    @property
    def ref(self) -> str:
        """How the assignment and findings refer to it: "EVL001" or "EVL001@qlora"."""
        return self.code if self.name is None else f"{self.code}@{self.name}"


@dataclass(frozen=True, slots=True)
class Band:
    """At `at_least` or more of the measure, the criterion earns `points`."""

    at_least: float
    points: float


@dataclass(frozen=True, slots=True)
class Criterion:
    """One line of a rubric.

    `source` is "CODE" (all or nothing), "CODE.measure" (with `bands`), or "review" (a person);
    CODE may have a name ("EVL001@qlora"). A failed check in `requires` makes it worth 0; an unknown
    one makes it unknown. A person judges its `items` in the deliverables that it `judges` (live
    work has none), with the findings in `facts` beside.
    """

    id: str
    title: str
    category: str
    points: float
    source: str
    part: str | None = None
    bands: tuple[Band, ...] = ()
    requires: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()
    judges: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


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
    """The model that adapters are trained on: "course-model", a hub id, or an absolute folder.

    `revision` pins it: a hub commit, the sha256 of the weights of a model that ships, or the digest
    of a folder's files (`grader.models.base_model.base_digest`).
    """

    name: str
    revision: str

    @property
    def is_folder(self) -> bool:
        return self.name.startswith("/")

    @property
    def title(self) -> str:
        """The name without folders of this machine, as students read it."""
        return self.name.rstrip("/").rpartition("/")[2] if self.is_folder else self.name


@dataclass(frozen=True, slots=True)
class Budget:
    """What all runs of the programs of one submission may use together.

    Wall time does not count while the program waits for its service's own work or for a processor.
    """

    wall_seconds: float = 1800.0
    processor_seconds: float = 180.0


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
    checks: tuple[CheckInstance, ...]
    categories: tuple[Category, ...]
    criteria: tuple[Criterion, ...]
    digest: str
    data: DataSpec | None = None
    bases: Mapping[str, BaseModel] = field(default_factory=dict)
    """Bases besides the assignment's own `base`, by id."""
    budget: Budget = Budget()

    @property
    def refs(self) -> tuple[str, ...]:
        """The references of its checks, in order."""
        return tuple(instance.ref for instance in self.checks)

    def base_of(self, id: str | None) -> BaseModel:
        """The base of this id; the assignment's own for None."""
        return self.base if id is None else self.bases[id]

    @property
    def max_points(self) -> float:
        """Full marks; extra points come on top."""
        return sum(category.points for category in self.categories if not category.extra)

    @property
    def top_names(self) -> frozenset[str]:
        """The names that deliverables have at the top of a submission."""
        paths = (path for deliverable in self.deliverables for path in deliverable.paths)
        return frozenset(path.partition("/")[0] for path in paths)

    def deliverable(self, id: str) -> Deliverable:
        """The deliverable of that id; KeyError if the assignment has none."""
        for deliverable in self.deliverables:
            if deliverable.id == id:
                return deliverable
        raise KeyError(id)

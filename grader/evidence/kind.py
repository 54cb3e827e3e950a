"""What a kind of evidence is made of, and how one grading plans and collects it.

A kind is one file: the fields that an assignment gives (a KindSpec), a function that makes the
request for one submission, and the producer that collects requests. Its payload is one of
grader/core/payloads.py, where checks find it.

What a class needs is collected once: equal requests of different students share one key and one
run, and what the store has is not run again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

from grader.assignment.benchmark import read_benchmark
from grader.assignment.questions import QuestionSet
from grader.core.errors import AssignmentError, FileRefused, GraderFault
from grader.core.nouns import Assignment, Evidence, EvidenceSpec, Submission
from grader.core.payloads import Payload
from grader.evidence.budget import Ledger
from grader.evidence.store import Recordings
from grader.intake.submitted_notebook import program_source
from grader.models.adapter_files import AdapterFiles
from grader.sandbox.api import Sandbox
from grader.sandbox.choose import NoSandbox

if TYPE_CHECKING:
    from grader.model_service.forward import Endpoint

Work = TypeVar("Work")
Work_co = TypeVar("Work_co", covariant=True)
Work_contra = TypeVar("Work_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class KindSpec:
    """What an assignment says about one piece of evidence; each kind has a subclass.

    `DELIVERABLES` are its fields that name a deliverable of the assignment, or are None.
    """

    DELIVERABLES: ClassVar[tuple[str, ...]] = ()

    id: str

    @classmethod
    def of(cls, spec: EvidenceSpec) -> Self:
        """Raises AssignmentError for fields that this kind does not have, and for absent ones."""
        lists = {k: tuple(v) if isinstance(v, list) else v for k, v in spec.settings.items()}
        try:
            return cls(id=spec.id, **lists)
        except TypeError as error:
            text = str(error).partition(" ")[2]
            raise AssignmentError(f"evidence {spec.id!r} of kind {spec.kind}: {text}") from error

    def problems(self, assignment: Assignment) -> list[str]:
        """What it asks for and the assignment does not have, in words."""
        known = {deliverable.id for deliverable in assignment.deliverables}
        named = {name: getattr(self, name) for name in self.DELIVERABLES}
        return [
            f"evidence {self.id!r} names {name} {id!r}, which is not a deliverable"
            for name, id in named.items()
            if id is not None and id not in known
        ]


Spec = TypeVar("Spec", bound=KindSpec)


@dataclass(frozen=True, slots=True)
class AdapterRef:
    """An adapter that passed its checks. It is read when it runs: a class of them may not fit."""

    digest: str
    read: Callable[[], AdapterFiles]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A submission that evidence is requested for.

    `passed` says whether these checks did; `adapters` are those that passed theirs, by deliverable.
    Within `files()` the files of the submission are there. `keys` are those of its evidence that is
    planned already, by id, and `stored` reads what the store has of a key: evidence may depend on
    other evidence.
    """

    submission: Submission
    passed: Callable[[Sequence[str]], bool]
    adapters: Mapping[str, AdapterRef] = field(default_factory=dict)
    files: Callable[[], AbstractContextManager[object]] = nullcontext
    keys: Mapping[str, str] = field(default_factory=dict)
    stored: Callable[[str], Evidence | None] = lambda key: None


@dataclass(frozen=True)
class Grading:
    """What the evidence of one grading is collected with.

    Without `questions` nothing is run: only what needs no sandbox is read. `trainings` is a folder
    for what jobs of programs train. With an `endpoint` it answers hidden questions in the
    simulator's place; with `recordings` these answer all programs, and there is neither.
    """

    assignment: Assignment
    questions: QuestionSet | None
    device: str
    trainings: Path
    open_sandbox: Callable[[], Sandbox] | None = None
    endpoint: Endpoint | None = None
    recordings: Recordings | None = None

    @cached_property
    def ledger(self) -> Ledger:
        """The budgets of the class."""
        return Ledger(self.assignment)

    @property
    def sandbox(self) -> Sandbox:
        """Opened for the first submission that has something to run: else no machine needs one.

        Raises NoSandbox where no program can be run.
        """
        if isinstance(self._opened, NoSandbox):
            raise self._opened
        return self._opened

    @cached_property
    def _opened(self) -> Sandbox | NoSandbox:
        try:
            return (self.open_sandbox or _trusted)()
        except NoSandbox as error:
            return error

    def questions_of(self, submission: Submission, deliverable: str | None) -> QuestionSet | None:
        """The hidden questions, or those of this deliverable; None where there are none."""
        if deliverable is None or self.questions is None:
            return self.questions
        try:
            benchmark = read_benchmark(submission, self.assignment, deliverable)
        except FileRefused:
            return None
        return benchmark.questions if benchmark is not None else None

    def place(self, submission: Submission, deliverable: str) -> str | None:
        """Where the file lies; None where there is none, or two: other checks say so."""
        try:
            return submission.place(deliverable)
        except FileRefused:
            return None

    def program(self, submission: Submission, deliverable: str) -> str | None:
        """As `place`, of what is to be run; None for a notebook that is no script, too."""
        path = self.place(submission, deliverable)
        try:
            if path is not None:
                program_source(submission, path)
        except FileRefused:
            return None
        return path


def _trusted() -> Sandbox:
    from grader.escapes.suite import trusted_sandbox

    return trusted_sandbox()


class Collectable(Protocol[Work_co]):
    """One piece of evidence that one student's grading needs, as its producer gets it."""

    @property
    def student(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def own(self) -> bool: ...

    def opened(self) -> AbstractContextManager[Work_co]:
        """What the producer runs; the submission's files are there as long as it is open."""


@dataclass(frozen=True, slots=True)
class EvidenceRequest(Generic[Work_co]):
    """One piece of evidence that one student's grading needs; `work` is what its producer runs.

    `own`: it is a run of the student's program, which counts for the budget of the submission.
    """

    student: str
    id: str
    kind: str
    key: str
    work: Work_co
    own: bool = False

    @contextmanager
    def opened(self) -> Iterator[Work_co]:
        """See Collectable."""
        yield self.work


@dataclass(frozen=True, slots=True)
class PlannedRequest(Generic[Work]):
    """A request that is made again when it is collected.

    A class has thousands of them, and what one holds may be large.
    """

    student: str
    id: str
    kind: str
    key: str
    own: bool
    make: Callable[[], EvidenceRequest[Work] | None]
    files: Callable[[], AbstractContextManager[object]]

    @contextmanager
    def opened(self) -> Iterator[Work]:
        """See Collectable. Raises GraderFault where the submission is another one by now."""
        with self.files():
            request = self.make()
            if request is None or request.key != self.key:
                raise GraderFault("the submission changed while it was graded; grade it again")
            yield request.work


class Progress(Protocol):
    """Hears how far long work has come; the command line draws it."""

    def start(self, stage: str, total: int) -> None:
        """A stage of `total` steps begins."""

    def step(self, label: str) -> None:
        """One step is done."""


class Producer(Protocol[Work_contra]):
    """Collects the evidence of one kind."""

    def produce(
        self,
        new: Mapping[str, Collectable[Work_contra]],
        put: Callable[[Evidence], None],
        progress: Progress,
    ) -> dict[str, str]:
        """Run these requests, by key, and `put` what each gave as soon as it is there.

        Returns for each key that failed the reason: one request's error leaves the others alone.
        Raises UsageError where nothing can run and the user can fix it. `put` is called in the
        thread of the caller only.
        """


@dataclass(frozen=True, slots=True)
class EvidenceKind(Generic[Spec, Work]):
    """One kind of evidence.

    `request` gives the request for one candidate, or None where its submission has nothing to
    collect from; it raises NoSandbox or ImportError where this machine cannot. `producer` is
    called only when there is something new to collect.
    """

    name: str
    spec: type[Spec]
    payload: type[Payload]
    request: Callable[[Spec, Candidate, Grading], EvidenceRequest[Work] | None]
    producer: Callable[[Grading], Producer[Work]]

    def plan(self, grading: Grading, candidate: Candidate) -> Plan[Work]:
        """The requests of this kind for one candidate, to be made again when they are collected."""
        plan = Plan[Work]()
        student = candidate.submission.student
        for spec in grading.assignment.evidence:
            if spec.kind != self.name or not candidate.passed(spec.needs):
                continue
            make = partial(self.request, self.spec.of(spec), candidate, grading)
            try:
                request = make()
            except NoSandbox as error:
                plan.missing[student, spec.id] = str(error)
            except ImportError as error:
                plan.missing[student, spec.id] = f"{_NEEDS} ({error.name} is missing)."
            else:
                if request is not None:
                    planned = PlannedRequest(
                        student, spec.id, self.name, request.key, request.own, make, candidate.files
                    )
                    plan.requests.append(planned)
        return plan


_NEEDS = "Running programs needs more than the base install: pip install 'finegrade[simulate]'"


@dataclass(slots=True)
class Plan(Generic[Work]):
    """The requests of one kind; `missing` says by student and id why some could not be made."""

    requests: list[PlannedRequest[Work]] = field(default_factory=list)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)


def hashed(inputs: Mapping[str, Any]) -> str:
    """The key of evidence that these JSON values determine."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def versions(*names: str) -> Mapping[str, str]:
    """Versions of these libraries; "absent" where one is not installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def reason(error: Exception) -> str:
    """Why a request failed, for the instructor."""
    return f"{type(error).__name__}: {error}"

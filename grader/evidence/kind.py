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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

from grader.assignment.benchmark import read_benchmark
from grader.assignment.questions import QuestionSet
from grader.core.errors import AssignmentError, FileRefused, UsageError
from grader.core.nouns import Assignment, Evidence, EvidenceSpec, Submission
from grader.core.payloads import Payload, schema_of
from grader.evidence.store import EvidenceStore, Recordings
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
    """

    submission: Submission
    passed: Callable[[Sequence[str]], bool]
    adapters: Mapping[str, AdapterRef] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class EvidenceRequest(Generic[Work_co]):
    """One piece of evidence that one student's grading needs; `work` is what its producer runs."""

    student: str
    id: str
    kind: str
    key: str
    work: Work_co


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
        new: Mapping[str, EvidenceRequest[Work_contra]],
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

    def plan(self, grading: Grading, candidates: Sequence[Candidate]) -> Batch[Work]:
        """The requests of this kind for a class."""
        batch = Batch(self, grading)
        for spec in grading.assignment.evidence:
            if spec.kind != self.name:
                continue
            mine = self.spec.of(spec)
            for candidate in candidates:
                if not candidate.passed(spec.needs):
                    continue
                try:
                    request = self.request(mine, candidate, grading)
                except NoSandbox as error:
                    batch.missing[candidate.submission.student, spec.id] = str(error)
                except ImportError as error:
                    why = f"{_NEEDS} ({error.name} is missing)."
                    batch.missing[candidate.submission.student, spec.id] = why
                else:
                    batch.requests += [request] if request is not None else []
        return batch


_NEEDS = "Running programs needs more than the base install: pip install 'finegrade[simulate]'"


@dataclass(slots=True)
class Collected:
    """Evidence by (student, evidence id), and for what could not be collected the reason."""

    evidence: dict[tuple[str, str], Evidence] = field(default_factory=dict)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)
    ran: int = 0

    def of(self, student: str, assignment: Assignment) -> dict[str, Evidence]:
        """The evidence of one student by id, in the assignment's order."""
        mine = {spec.id: self.evidence.get((student, spec.id)) for spec in assignment.evidence}
        return {id: evidence for id, evidence in mine.items() if evidence is not None}


@dataclass(slots=True)
class Batch(Generic[Work]):
    """The requests of one kind for a class; `missing` is why some could not be made."""

    kind: EvidenceKind[Any, Work]
    grading: Grading
    requests: list[EvidenceRequest[Work]] = field(default_factory=list)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)

    def collect(self, store: EvidenceStore, progress: Progress, into: Collected) -> None:
        """Fetch from the store, or produce, all that is requested.

        Raises UsageError where the store holds evidence of another version.
        """
        new = {r.key: r for r in self.requests if not self._known(r.key, store)}
        failed: dict[str, str] = {}
        if new:
            failed = self.kind.producer(self.grading).produce(new, store.put, progress)
            into.ran += len(new) - len(failed)
        into.missing |= self.missing
        for request in self.requests:
            evidence = store.get(request.key)
            if evidence is None:
                why = failed.get(request.key, "not collected")
                into.missing[request.student, request.id] = why
            else:
                into.evidence[request.student, request.id] = evidence

    def _known(self, key: str, store: EvidenceStore) -> bool:
        """Whether the store has it, or now has it from the recordings."""
        held = store.get(key)
        if held is None and self.grading.recordings is not None:
            held = self.grading.recordings.evidence(key)
            if held is not None:
                store.put(held)
        if held is None:
            return False
        schema = schema_of(held, self.kind.payload)
        if schema != self.kind.payload.SCHEMA:
            raise UsageError(
                f"The evidence store holds {schema}, and this version of finegrade reads "
                f"{self.kind.payload.SCHEMA}. Grade into another --out."
            )
        return True


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

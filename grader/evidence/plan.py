"""What evidence an assignment wants of a submission, and who produces it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from grader.assignment.benchmark import read_benchmark
from grader.assignment.questions import QuestionSet
from grader.core.errors import FileRefused
from grader.core.nouns import Assignment, Evidence, EvidenceSpec, Submission
from grader.evidence.documents import needs_sandbox
from grader.evidence.predictions import KIND as PREDICTIONS
from grader.evidence.predictions import AdapterRef, PredictionsProducer, prediction_want
from grader.evidence.store import EvidenceRequest, Producer, Progress
from grader.evidence.texts import KIND as TEXT
from grader.evidence.texts import TextProducer, text_want
from grader.intake.find import locate
from grader.intake.submitted_notebook import program_source
from grader.models.base_model import load_base, needs_models
from grader.sandbox.api import Sandbox
from grader.sandbox.choose import NoSandbox, UnavailableSandbox

if TYPE_CHECKING:
    from grader.evidence.recordings import Recordings
    from grader.model_service.forward import Endpoint
    from grader.models.engine import Engine

TRANSCRIPT, ANSWERS, METRIC_SCORES = "transcript", "answers", "metric_scores"
_RUN_PROGRAMS = frozenset({TRANSCRIPT, ANSWERS, METRIC_SCORES})
Passed = Callable[[Sequence[str]], bool]
"""Tells whether these checks did."""

_NEEDS = "Running programs needs more than the base install: pip install 'finegrade[simulate]'"


class EvidencePlan:
    """What an assignment wants of a class, and how it is produced.

    The sandbox is opened for the first submission that has something to run: where none has, no
    machine needs one.
    """

    def __init__(
        self,
        assignment: Assignment,
        questions: QuestionSet,
        device: str,
        open_sandbox: Callable[[], Sandbox] | None,
        trainings: Path,
        endpoint: Endpoint | None = None,
        recordings: Recordings | None = None,
    ) -> None:
        """`trainings` is a folder for what jobs of programs train.

        With an `endpoint` it answers hidden questions in the simulator's place; with `recordings`
        these answer all programs, and there is neither.
        """
        self._endpoint, self._recordings = endpoint, recordings
        self._assignment, self._questions, self._device = assignment, questions, device
        self._open_sandbox, self._trainings = open_sandbox or _trusted, trainings
        self._why = ""

    @cached_property
    def _sandbox(self) -> Sandbox | None:
        """None where no program can be run; `_why` then says why."""
        try:
            from grader.evidence import transcripts  # noqa: F401  (needs more than the base install)

            return self._open_sandbox()
        except NoSandbox as error:
            self._why = str(error)
        except ImportError as error:
            self._why = f"{_NEEDS} ({error.name} is missing)."
        return None

    def producers(self) -> Mapping[str, Producer]:
        """By kind; ask when all is known that is wanted."""
        found: dict[str, Producer] = {
            PREDICTIONS: PredictionsProducer(
                partial(_open_engine, self._assignment, self._questions, self._device),
                self._questions,
            )
        }
        if "_sandbox" not in self.__dict__:  # nobody has anything to run
            return {**found, TEXT: TextProducer(UnavailableSandbox("Nothing was to be run."))}
        if self._sandbox is None:
            found |= dict.fromkeys(_RUN_PROGRAMS, _Unavailable(self._why))
        else:
            found |= self._run_programs(self._sandbox)
        return {**found, TEXT: TextProducer(self._sandbox or UnavailableSandbox(self._why))}

    def of(
        self,
        submission: Submission,
        adapter: AdapterRef | None,
        passed: Passed,
    ) -> Iterator[EvidenceRequest]:
        """What is wanted of this submission."""
        for spec in self._assignment.evidence:
            if not passed(spec.needs):
                continue
            questions = self._questions_of(submission, spec)
            if questions is None:
                continue
            if spec.kind == PREDICTIONS and (spec.adapter is None or adapter is not None):
                mine = adapter if spec.adapter is not None else None
                yield prediction_want(
                    submission.student,
                    spec.id,
                    self._assignment,
                    questions,
                    mine,
                    self._device,
                )
            elif spec.kind == TRANSCRIPT and spec.script is not None:
                script = _program(submission, self._assignment, spec.script)
                if script is None:
                    continue
                if self._sandbox is None:
                    yield EvidenceRequest(submission.student, spec.id, TRANSCRIPT, "", None)
                    continue
                from grader.evidence.module_run import kit_beside
                from grader.evidence.transcripts import transcript_want

                kit = kit_beside(script, spec.given, self._assignment.topic) if spec.given else None
                yield self._answered(
                    transcript_want(submission, spec, script, self._assignment, self._sandbox, kit)
                )
            elif spec.kind in (ANSWERS, METRIC_SCORES):
                yield from self._asked(submission, spec, questions)
            elif spec.kind == TEXT and spec.document is not None:
                path = _place(submission, self._assignment, spec.document)
                if path is not None:
                    sandbox = self._sandbox if needs_sandbox(path) else None
                    yield text_want(submission, spec, path, sandbox)

    def _questions_of(self, submission: Submission, spec: EvidenceSpec) -> QuestionSet | None:
        """The hidden questions, or those that are handed in; None where these are not there."""
        if spec.questions_from is None:
            return self._questions
        try:
            benchmark = read_benchmark(submission, self._assignment, spec.questions_from)
        except FileRefused:
            return None
        return benchmark.questions if benchmark is not None else None

    def _asked(
        self, submission: Submission, spec: EvidenceSpec, questions: QuestionSet
    ) -> Iterator[EvidenceRequest]:
        """What is asked of a module: of the submission's, or of the kit's own."""
        module = None
        if spec.module is not None:
            module = _program(submission, self._assignment, spec.module)
            if module is None:
                return
        if self._sandbox is None:
            yield EvidenceRequest(submission.student, spec.id, spec.kind, "", None)
            return
        from grader.evidence.answers import answers_want
        from grader.evidence.metric_scores import scores_want

        if spec.kind == ANSWERS:
            # A recording may be of a model that is not on this machine.
            answering = "a recording" if self._recordings else None
            if self._endpoint is not None:
                answering = self._endpoint.url
            want = answers_want(
                submission,
                spec,
                module,
                self._assignment,
                questions,
                self._sandbox,
                answering,
            )
        else:
            want = scores_want(submission, spec, module, self._assignment, self._sandbox)
        yield self._answered(want)

    def _answered(self, want: EvidenceRequest) -> EvidenceRequest:
        """The same run; with recordings, one that its recording answers and decides about."""
        if self._recordings is None:
            return want
        from grader.evidence.module_run import ModuleRun

        recording = self._recordings.of(want.student, want.id)
        work = want.work
        if isinstance(work, ModuleRun):
            work = replace(work, run=replace(work.run, recording=recording))
        else:
            work = replace(work, recording=recording)
        key = hashlib.sha256(f"{want.key} {recording.digest}".encode()).hexdigest()
        return replace(want, key=key, work=work)

    def _run_programs(self, sandbox: Sandbox) -> Mapping[str, Producer]:
        """The producers of all kinds that run programs; each has its own hold on the simulator."""
        from grader.core.constants import TRANSCRIPT_SEED
        from grader.evidence.answers import AnswersProducer
        from grader.evidence.metric_scores import MetricScoresProducer
        from grader.evidence.transcripts import TranscriptRunner
        from grader.model_service.simulated import Simulator

        def simulator() -> Simulator | None:
            if self._recordings is not None:
                return None
            return Simulator(self._assignment.base, self._trainings, seed=TRANSCRIPT_SEED)

        return {
            TRANSCRIPT: TranscriptRunner(sandbox, simulator()),
            ANSWERS: AnswersProducer(TranscriptRunner(sandbox, self._endpoint or simulator())),
            METRIC_SCORES: MetricScoresProducer(TranscriptRunner(sandbox, simulator())),
        }


def read_here(
    submission: Submission, assignment: Assignment, passed: Passed
) -> Iterator[EvidenceRequest]:
    """What is wanted of this submission and takes neither hidden questions nor a sandbox."""
    for spec in assignment.evidence:
        if spec.kind == TEXT and spec.document is not None and passed(spec.needs):
            path = _place(submission, assignment, spec.document)
            if path is not None and not needs_sandbox(path):
                yield text_want(submission, spec, path, None)


def readers() -> Mapping[str, Producer]:
    """The producers of what `read_here` wants."""
    return {TEXT: TextProducer(UnavailableSandbox("Nothing is run."))}


def _trusted() -> Sandbox:
    from grader.escapes.suite import trusted_sandbox

    return trusted_sandbox()


def _place(submission: Submission, assignment: Assignment, deliverable: str) -> str | None:
    """Where the file lies; None where there is none, or two: other checks say so."""
    try:
        return locate(submission, assignment.deliverable(deliverable))
    except FileRefused:
        return None


def _program(submission: Submission, assignment: Assignment, deliverable: str) -> str | None:
    """As `_place`, of what is to be run; None for a notebook that is no script, too."""
    path = _place(submission, assignment, deliverable)
    try:
        if path is not None:
            program_source(submission, path)
    except FileRefused:
        return None
    return path


class _Unavailable:
    """The producer where nothing can be run, with the reason."""

    def __init__(self, why: str) -> None:
        self._why = why

    def produce(
        self,
        new: Mapping[str, EvidenceRequest],
        put: Callable[[Evidence], None],
        progress: Progress,
    ) -> dict[str, str]:
        """See Producer."""
        return dict.fromkeys(new, self._why)


def _open_engine(assignment: Assignment, questions: QuestionSet, device: str) -> Engine:
    try:
        from grader.models.engine import Engine  # torch: only when there is something to run
    except ImportError as error:
        raise needs_models(error) from error
    return Engine(load_base(assignment.base, device), questions, assignment.max_new_tokens)

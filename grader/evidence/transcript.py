"""Evidence `transcript`: what one run of a submission's program did, as seen from outside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from grader.core.constants import RUN_RESULTS_MAX_BYTES
from grader.core.nouns import Assignment
from grader.core.payloads import RUN_RESULTS, ProgramRun
from grader.evidence.kind import (
    Candidate,
    EvidenceKind,
    EvidenceRequest,
    Grading,
    KindSpec,
    Producer,
)
from grader.intake.submitted_notebook import program_source
from grader.sandbox.api import HarvestOnly, Limits, RunSpec

if TYPE_CHECKING:
    from grader.evidence.program_runs import ServedRun

NAME: Final = "transcript"
_RESULTS: Final = HarvestOnly(RUN_RESULTS, RUN_RESULTS_MAX_BYTES)


@dataclass(frozen=True, slots=True)
class TranscriptSpec(KindSpec):
    """`script` is the deliverable to run, with `arguments`, under `scenarios` of the service.

    The adapter of its job is stored beside it where other evidence is `made_by` it.

    Its sleeps pass `clock_rate` times as fast as real ones, and it may take `wall_seconds` of real
    time. With `given`, that file of a starter kit and the topic's public data lie beside it.
    """

    DELIVERABLES: ClassVar = ("script",)

    script: str
    arguments: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ()
    clock_rate: float = 60.0
    wall_seconds: float = 300.0  # what counts is processor time: a busy machine is no fault
    given: str | None = None


def _request(
    spec: TranscriptSpec, candidate: Candidate, grading: Grading
) -> EvidenceRequest[ServedRun] | None:
    """The program may import other scripts of the assignment, be they submitted as notebooks."""
    submission, assignment = candidate.submission, grading.assignment
    if grading.questions is None:
        return None
    path = grading.program(submission, spec.script)
    if path is None:
        return None
    from grader.evidence.program_runs import JOB, ServedRun, kit_beside, run_request

    source = program_source(submission, path, assignment.deliverables)
    beside = kit_beside(path, spec.given, assignment.topic) if spec.given is not None else {}
    run = ServedRun(
        RunSpec(
            files=submission.paths(),
            script=source.script,
            arguments=spec.arguments,
            inputs={**source.inputs, **beside},
            limits=Limits(wall_seconds=spec.wall_seconds),
            clock_rate=spec.clock_rate,
            harvest=_RESULTS,
        ),
        spec.scenarios,
        keeps=JOB if spec.id in made_by(assignment) else None,
        notebooks=source.notebooks,
    )
    return run_request(submission.student, spec.id, NAME, run, submission.digest, grading)


def made_by(assignment: Assignment) -> frozenset[str]:
    """The runs whose adapters are asked questions, by id."""
    named = (spec.settings.get("made_by") for spec in assignment.evidence)
    return frozenset(id for id in named if id is not None)


def _producer(grading: Grading) -> Producer[ServedRun]:
    from grader.evidence.program_runs import ProgramRunner, simulator

    return ProgramRunner(grading.sandbox, simulator(grading), grading.ledger)


KIND: Final = EvidenceKind(NAME, TranscriptSpec, ProgramRun, _request, _producer)

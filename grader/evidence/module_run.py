"""Running one name of a module in the sandbox, and reading what is said to have come of it.

The program that does it (`sandbox/inside/use_module.py`) shares its process with the submission's
code, so all that it writes is the submission's word: it is read strictly, and believed only where
that can do nobody else harm.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, Final

from grader.assignment.questions import QuestionSet
from grader.core.constants import (
    ANSWER_MAX_CHARACTERS,
    MODULE_MAX_BYTES,
    MODULE_MAX_FOUND_BYTES,
    MODULE_MAX_FOUND_LINES,
)
from grader.core.errors import GraderFault
from grader.core.files import resource
from grader.core.nouns import BaseModel, Evidence
from grader.core.payloads import Answers, MetricScores, ProgramRun, read
from grader.core.strict_json import StrictJsonError, loads
from grader.evidence.kind import (
    Candidate,
    Collectable,
    EvidenceRequest,
    Grading,
    KindSpec,
    Producer,
    Progress,
)
from grader.intake.submitted_notebook import program_source
from grader.models.base_model import base_digest
from grader.sandbox.api import HarvestOnly, Limits, RunSpec

if TYPE_CHECKING:
    from grader.evidence.program_runs import ServedRun

_PROGRAM: Final = Path(__file__).parents[1] / "sandbox" / "inside" / "use_module.py"
_NAME, _TASK, _OUT = "finegrade_use.py", "finegrade_task.json", "finegrade_found.jsonl"

Lines = list[dict[str, Any]]
"""The JSON objects that a run left behind, one a line."""

Complete = Callable[[ProgramRun, Lines, str | None], Answers | MetricScores]
"""From a run, what it left behind and why it asked nothing: what the evidence says."""


@dataclass(frozen=True, slots=True)
class ModuleSpec(KindSpec):
    """`module` is the deliverable that is imported, with the file `given` of a starter kit beside
    it; without `module` the given file itself is.

    `program` is the name in it that is used, `model` the one that it asks. `scenarios`,
    `clock_rate` and `wall_seconds` are as of a transcript.
    """

    DELIVERABLES: ClassVar[tuple[str, ...]] = ("module",)

    given: str
    program: str
    model: str
    module: str | None = None
    scenarios: tuple[str, ...] = ()
    clock_rate: float = 60.0
    wall_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class ModuleRun:
    """A run and how its evidence is completed outside the sandbox; `ours`: the kit's own module."""

    run: ServedRun
    complete: Complete
    ours: bool


def module_request(
    spec: ModuleSpec,
    kind: str,
    candidate: Candidate,
    grading: Grading,
    task: Mapping[str, Any],
    complete: Complete,
    more: Mapping[str, Any],
    *,
    perturb: bool = False,
) -> EvidenceRequest[ModuleRun] | None:
    """A run of `task` on the module; None where the submission has none.

    The kit's given file and the topic's public data lie beside it, as students have them. The
    kit's own module has one run for a whole class: nothing of a submission is in its key. `more`
    (JSON values) is what else decides about the evidence.
    """
    submission, assignment = candidate.submission, grading.assignment
    path = grading.program(submission, spec.module) if spec.module is not None else None
    ours = spec.module is None
    if path is None and not ours:
        return None
    from grader.evidence.program_runs import ServedRun, kit_beside, run_request

    folder = PurePosixPath(path).parent if path is not None else PurePosixPath()
    imported = PurePosixPath(path or spec.given).stem
    whole = {"models": [spec.model], **task}
    whole |= {"module": imported, "name": spec.program, "out": _OUT}
    files = {_NAME: _PROGRAM.read_bytes(), _TASK: json.dumps(whole).encode()}
    source = program_source(submission, path, assignment.deliverables) if path is not None else None
    run = ServedRun(
        RunSpec(
            files={} if ours else submission.paths(),
            script=str(folder / _NAME),
            arguments=(str(folder / _TASK),),
            inputs={
                **(source.inputs if source else {}),
                **{str(folder / name): body for name, body in files.items()},
                **kit_beside(path or "", spec.given, assignment.topic),
            },
            limits=Limits(wall_seconds=spec.wall_seconds),
            clock_rate=spec.clock_rate,
            harvest=HarvestOnly(_OUT, MODULE_MAX_BYTES),
        ),
        spec.scenarios,
        perturb=perturb,
        notebooks=source.notebooks if source else {},
    )
    digest = "" if ours else submission.digest
    request = run_request(submission.student, spec.id, kind, run, digest, grading, more)
    work = ModuleRun(request.work, complete, ours)
    return EvidenceRequest(request.student, request.id, kind, request.key, work, request.own)


def model_digest(model: str, base: BaseModel) -> str | None:
    """What decides the answers of a model that is not the assignment's base."""
    return None if model == base.name else base_digest(resource("starter", model))


class _RunOf:
    """The run of a request, which keeps what completes its evidence.

    One that `asks` nothing counts for no budget.
    """

    def __init__(self, request: Collectable[ModuleRun], *, asks: bool = True) -> None:
        self.student, self.id, self.kind = request.student, request.id, request.kind
        self.key, self.own = request.key, request.own and asks
        self.request, self._asks = request, asks
        self.work: ModuleRun | None = None

    @contextmanager
    def opened(self) -> Iterator[ServedRun]:
        """See Collectable."""
        with self.request.opened() as self.work:
            yield self.work.run if self._asks else _without_questions(self.work.run)


class ModuleRunner:
    """The producer of evidence from runs, each completed as its request says."""

    def __init__(self, runs: Producer[ServedRun], questions: QuestionSet | None = None) -> None:
        """`questions` are those that the runs see; public ones may be told as they are."""
        self._runs = runs
        self._hidden = questions is None or not questions.public

    def produce(
        self,
        new: Mapping[str, Collectable[ModuleRun]],
        put: Callable[[Evidence], None],
        progress: Progress,
    ) -> dict[str, str]:
        """See Producer."""
        runs = {key: _RunOf(request) for key, request in new.items()}
        stopped: dict[tuple[str, str], list[Evidence]] = {}

        def completed(evidence: Evidence) -> None:
            run = runs[evidence.key]
            work, run.work = run.work, None
            assert work is not None  # it was opened to be run
            done = replace(evidence, payload=_payload(work, evidence))
            fault = _fault_of(done)
            if fault is None:
                put(done)
            else:
                stopped.setdefault((run.student, fault), []).append(done)

        failed = self._runs.produce(runs, completed, progress)
        if stopped and not self._hidden:
            for done in (one for some in stopped.values() for one in some):
                put(done)
        elif stopped:
            self._repeat(stopped, runs, put, progress)
        return failed

    def _repeat(
        self,
        stopped: Mapping[tuple[str, str], list[Evidence]],
        runs: Mapping[str, _RunOf],
        put: Callable[[Evidence], None],
        progress: Progress,
    ) -> None:
        """Run what stopped before the first question once more, without any question.

        Where it stops in the same way, no question can be in what it says, and the student may
        read it. A program that was stopped from outside is not run again.
        """
        again = {
            some[0].key: _RunOf(runs[some[0].key].request, asks=False)
            for some in stopped.values()
            if some[0].payload["verdict"] in ("ok", "exit")
        }
        told: dict[str, str | None] = {}

        def completed(evidence: Evidence) -> None:
            work = again[evidence.key].work
            assert work is not None
            told[evidence.key] = _payload(work, evidence)["fault"]

        if again:
            self._runs.produce(again, completed, progress)
        for (_, fault), some in stopped.items():
            same = told.get(some[0].key) == fault
            for evidence in some:
                payload = {**evidence.payload, "told": fault if same else None}
                put(replace(evidence, payload=payload))


def _fault_of(evidence: Evidence) -> str | None:
    """Why a run of a student's module asked nothing at all, None where it asked something."""
    answers = evidence.kind == "answers"
    said = read(evidence, Answers) if answers else read(evidence, MetricScores)
    return said.fault if said.stopped else None


def _without_questions(run: ServedRun) -> ServedRun:
    """The same run with nothing to ask."""
    (path,) = run.spec.arguments
    task = json.loads(run.spec.inputs[path])
    none: dict[str, Any] = {name: {} for name in ("questions", "cases") if name in task}
    if "extra" in task:
        none["extra"] = False
    inputs = {**run.spec.inputs, path: json.dumps({**task, **none}).encode()}
    return replace(run, spec=replace(run.spec, inputs=inputs))


def _payload(work: ModuleRun, evidence: Evidence) -> dict[str, Any]:
    """The run's payload and what its lines say. Raises GraderFault where the kit's own module,
    which must work, did not."""
    run = read(evidence, ProgramRun)
    files = dict(run.files)
    found, unread = _found(files.pop(_OUT, None))
    for line in found:
        if isinstance(line.get("error"), str):
            line["error"] = work.run.in_cells(line["error"])
    fault = _fault(run, found)
    if work.ours and fault is not None:
        raise GraderFault(f"the kit's own {run.script} failed: {fault}")
    said = replace(work.complete(run, found, fault), unread=unread)
    return {**run.to_json(), "files": files, **said.to_json()}


def _found(body: str | None) -> tuple[Lines, int]:
    """The objects of the file that the run left, and how many of its lines are none.

    A line too many is not read.
    """
    lines = base64.b64decode(body or "").splitlines()
    found: Lines = []
    unread = max(0, len(lines) - MODULE_MAX_FOUND_LINES)
    for line in lines[:MODULE_MAX_FOUND_LINES]:
        try:
            value = loads(line, max_bytes=MODULE_MAX_FOUND_BYTES)
        except StrictJsonError:
            value = None
        if isinstance(value, dict):
            found.append(value)
        else:
            unread += 1
    return found, unread


def text_of(line: Mapping[str, Any], name: str) -> str | None:
    """A text in a line, cut at ANSWER_MAX_CHARACTERS; None where there is none."""
    value = line.get(name)
    return value[:ANSWER_MAX_CHARACTERS] if isinstance(value, str) else None


def _fault(run: ProgramRun, found: Lines) -> str | None:
    """Why nothing was asked, as far as the run says; None where it came to its end."""
    for line in found:
        if line.get("kind") == "fault":
            return text_of(line, "error") or "it says not why"
    if any(line.get("kind") == "done" for line in found):
        return None
    if run.verdict not in ("ok", "exit"):
        return f"the run was ended ({run.verdict})"
    return f"it ended the run itself, with exit code {run.exit_code}"

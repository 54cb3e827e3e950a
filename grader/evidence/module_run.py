"""Running one name of a module in the sandbox, and reading what is said to have come of it.

The program that does it (`programs/use_module.py`) shares its process with the submission's code,
so all that it writes is the submission's word: it is read strictly, and believed only where that
can do nobody else harm.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from grader.core.constants import MODULE_MAX_FOUND_BYTES, MODULE_MAX_FOUND_LINES
from grader.core.errors import AssignmentError, GraderFault
from grader.core.nouns import Assignment, BaseModel, Evidence, EvidenceSpec, Submission
from grader.core.resources import resource
from grader.core.strict_json import StrictJsonError, loads
from grader.evidence.store import EvidenceRequest, Progress
from grader.evidence.transcripts import TranscriptRunner, TranscriptSpec
from grader.intake.submitted_notebook import program_source
from grader.models.base_model import base_digest
from grader.sandbox.api import Limits, RunSpec

_PROGRAM: Final = Path(__file__).parents[1] / "sandbox" / "inside" / "use_module.py"
_NAME, _TASK, _OUT = "finegrade_use.py", "finegrade_task.json", "finegrade_found.jsonl"


@dataclass(frozen=True, slots=True)
class ModuleRun:
    """A run and how its evidence is completed outside the sandbox."""

    run: TranscriptSpec
    complete: Callable[[Mapping[str, Any], list[dict[str, Any]]], dict[str, Any]]
    """From the run's payload and what was found in it: what the evidence says besides."""


def use_run(
    submission: Submission | None,
    module: str | None,
    spec: EvidenceSpec,
    assignment: Assignment,
    task: Mapping[str, Any],
) -> TranscriptSpec:
    """A run of `task` on `module`, a path in the submission; None for the given file itself.

    The kit's given file and the topic's public data lie beside it, as students have them. Raises
    FileRefused SRC101 or SRC102 for a notebook that holds no script.
    """
    if spec.given is None or spec.program is None or spec.model is None:
        raise AssignmentError(f"evidence {spec.id!r} needs given, program and model")
    folder = PurePosixPath(module).parent if module is not None else PurePosixPath()
    imported = PurePosixPath(module or spec.given).stem
    whole = {**task, "module": imported, "name": spec.program, "model": spec.model, "out": _OUT}
    ours = {_NAME: _PROGRAM.read_bytes(), _TASK: json.dumps(whole).encode()}
    source = None
    if submission is not None and module is not None:
        source = program_source(submission, module, assignment.deliverables)
    launch = RunSpec(
        files=submission.places() if submission is not None else {},
        script=str(folder / _NAME),
        arguments=(str(folder / _TASK),),
        inputs={
            **(source.inputs if source else {}),
            **{str(folder / name): body for name, body in ours.items()},
            **kit_beside(module or "", spec.given, assignment.topic),
        },
        limits=Limits(wall_seconds=spec.wall_seconds),
        clock_rate=spec.clock_rate,
    )
    notebooks = source.notebooks if source else {}
    return TranscriptSpec(launch, spec.scenarios, perturb=spec.perturb, notebooks=notebooks)


def model_digest(spec: EvidenceSpec, base: BaseModel) -> str | None:
    """What decides the answers of a model that is not the assignment's base."""
    if spec.model is None or spec.model == base.name:
        return None
    return base_digest(resource("starter", spec.model))


def kit_beside(script: str, given: str, topic: str) -> dict[str, bytes]:
    """What the kit lays beside a script, by path: its file `given` and the topic's public data."""
    folder = PurePosixPath(script).parent
    kit, _, name = given.partition("/")
    found = {str(folder / name): resource("starter", kit, name).read_bytes()}
    for file in sorted(resource("datasets", topic).glob("*.jsonl")):
        found[str(folder / "data" / file.name)] = file.read_bytes()
    return found


class ModuleRunner:
    """The producer of evidence from runs, each completed as its want says."""

    def __init__(self, runs: TranscriptRunner) -> None:
        self._runs = runs

    def produce(
        self,
        new: Mapping[str, EvidenceRequest],
        put: Callable[[Evidence], None],
        progress: Progress,
    ) -> dict[str, str]:
        """See Producer."""

        def completed(evidence: Evidence) -> None:
            use: ModuleRun = new[evidence.key].work
            payload = dict(evidence.payload)
            files = dict(payload["files"])
            found, unread = _found(files.pop(_OUT, None))
            for line in found:
                if isinstance(line.get("error"), str):
                    line["error"] = use.run.told(line["error"])
            payload |= use.complete(payload, found)
            put(replace(evidence, payload={**payload, "files": files, "unread": unread}))

        runs = {key: replace(want, work=want.work.run) for key, want in new.items()}
        return self._runs.produce(runs, completed, progress)


def _found(body: str | None) -> tuple[list[dict[str, Any]], int]:
    """The objects of the file that the run left, and how many of its lines are none.

    A line too many is not read.
    """
    lines = base64.b64decode(body or "").splitlines()
    found: list[dict[str, Any]] = []
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


def text_of(found: Mapping[str, Any], name: str, most: int) -> str | None:
    """A text among what was found, cut at `most` characters; None where there is none."""
    value = found.get(name)
    return value[:most] if isinstance(value, str) else None


def first_fault(payload: Mapping[str, Any], found: list[dict[str, Any]], most: int) -> str | None:
    """Why nothing was asked, as far as the run says; None where it came to its end."""
    for line in found:
        if line.get("kind") == "fault":
            return text_of(line, "error", most) or "it says not why"
    if any(line.get("kind") == "done" for line in found):
        return None
    verdict = payload["verdict"]
    if verdict not in ("ok", "exit"):
        return f"the run was ended ({verdict})"
    return f"it ended the run itself, with exit code {payload['exit_code']}"


def need_no_fault(payload: Mapping[str, Any], found: list[dict[str, Any]], most: int) -> None:
    """Raises GraderFault where the kit's own module, which must work, did not."""
    fault = first_fault(payload, found, most)
    if fault is not None:
        raise GraderFault(f"the kit's own {payload['script']} failed: {fault}")

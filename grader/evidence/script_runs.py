"""Evidence `training_run` and `inference_run`: the scripts of a local fine-tuning, run once each.

The first shows whether a student's script makes an adapter, the second what the inference script
does with the adapter that was submitted. Both find the base in a folder beside them, named after it
("course-model"), the kit's data in `data/`, and no service, network or GPU.

The training never sees the adapter that lies beside it in the submission, nor other weights: what
is stored as made by it was made in this run. Of a submission only the code that the script names
and data files are staged, so students whose scripts are equal share a run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, ClassVar, Final

from grader.assignment.questions import QuestionSet
from grader.core.constants import MIB, SCRIPT_RUN_VERSION, SOURCE_MAX_BYTES
from grader.core.errors import FileRefused
from grader.core.nouns import Assignment, Submission
from grader.core.payloads import METRICS_FILE, STATE_FILE, ScriptRun
from grader.evidence.kind import (
    Candidate,
    EvidenceKind,
    EvidenceRequest,
    Grading,
    KindSpec,
    Producer,
    hashed,
    versions,
)
from grader.evidence.made_adapter import FILES
from grader.evidence.transcript import made_by
from grader.intake.submission import read_file
from grader.intake.submitted_notebook import ProgramSource, is_script, program_source
from grader.models.adapter_config import submitted_base
from grader.models.base_model import base_digest, base_folder
from grader.models.trials import Trial, read_trials
from grader.sandbox.api import HarvestOnly, Limits, RunSpec

if TYPE_CHECKING:
    from grader.evidence.program_runs import ServedRun

TRAINING: Final = "training_run"
INFERENCE: Final = "inference_run"
_WORD: Final = re.compile(rb"\w+")
_LIBRARIES: Final = ("torch", "transformers", "peft", "datasets", "accelerate", "numpy")
_DATA: Final = (".jsonl", ".json", ".csv", ".txt", ".yaml", ".yml", ".toml")
_HARVEST_BYTES: Final = 16 * MIB  # an adapter of rank 64 on all layers of the course model has 3
_ENVIRONMENT: Final = {
    "HF_HUB_OFFLINE": "1",  # else a hub name is tried for minutes
    "TQDM_DISABLE": "1",  # so that the error output holds errors
}
_WALL_FACTOR: Final = 5  # of the processor time: a busy machine is no fault
_TRAINING_BYTES: Final = 3072 * MIB
_INFERENCE_SECONDS: Final = 60
_INFERENCE_BYTES: Final = 1536 * MIB  # what the libraries take, twice
_BASE_COPIES: Final = 4  # of the base's weights that inference may hold: reading takes two


@dataclass(frozen=True, slots=True)
class TrainingRunSpec(KindSpec):
    """`script` is the deliverable to run with `arguments`; it makes what is submitted as `adapter`.

    It may take `processor_seconds`. `given` is the kit's file that it imports, laid beside it where
    the submission has none of that name. With `trial`, the deliverable that records trials, the
    settings of one of them are the arguments: which one nobody can foresee.
    """

    DELIVERABLES: ClassVar = ("script", "adapter", "trial")

    script: str
    adapter: str
    given: str
    arguments: tuple[str, ...] = ()
    processor_seconds: int = 120
    trial: str | None = None


@dataclass(frozen=True, slots=True)
class InferenceRunSpec(KindSpec):
    """`script` is the deliverable to run, with `adapter` beside it; `given` as in TrainingRunSpec.

    It is asked this number of the hidden `questions`, each an argument, in one run.
    """

    DELIVERABLES: ClassVar = ("script", "adapter")

    script: str
    adapter: str
    given: str
    questions: int = 12


@dataclass(frozen=True, slots=True)
class _Staged:
    """What one kind of run lays into its folder and allows; `files` are the submission's."""

    source: ProgramSource
    files: Mapping[str, Path]
    limits: Limits
    arguments: tuple[str, ...] = ()
    harvested: tuple[str, ...] = ()
    keeps: str | None = None


def _training(
    spec: TrainingRunSpec, candidate: Candidate, grading: Grading
) -> EvidenceRequest[ServedRun] | None:
    submission, assignment = candidate.submission, grading.assignment
    path = grading.program(submission, spec.script)
    if path is None or grading.questions is None:
        return None
    arguments = spec.arguments
    if spec.trial is not None:
        trial = _chosen(grading.place(submission, spec.trial), submission, grading.questions)
        if trial is None:
            return None
        arguments = trial.arguments
    source = program_source(submission, path, assignment.deliverables)
    code = _code(submission, source)
    readable = code | _data(submission, assignment)
    folder = _beside(path, _folder(assignment, spec.adapter))
    staged = _Staged(
        source=replace(source, inputs={n: b for n, b in source.inputs.items() if n in code}),
        files={name: at for name, at in submission.paths().items() if name in readable},
        limits=Limits(
            wall_seconds=_WALL_FACTOR * spec.processor_seconds,
            cpu_seconds=spec.processor_seconds,
            memory_bytes=_TRAINING_BYTES,
            file_bytes=128 * MIB,
            scratch_bytes=512 * MIB,  # checkpoints of fifty epochs
            open_files=1024,
            harvest_bytes=_HARVEST_BYTES,
        ),
        arguments=arguments,
        harvested=(STATE_FILE, *(f"{folder}/{name}" for name in FILES)),
        keeps=folder if spec.id in made_by(assignment) else None,
    )
    return _request(spec, TRAINING, submission, grading, staged)


def _inference(
    spec: InferenceRunSpec, candidate: Candidate, grading: Grading
) -> EvidenceRequest[ServedRun] | None:
    submission, assignment = candidate.submission, grading.assignment
    path = grading.program(submission, spec.script)
    lies = grading.place(submission, spec.adapter)
    if (
        path is None
        or lies is None
        or spec.adapter not in candidate.adapters
        or grading.questions is None
    ):
        return None
    wanted = _beside(path, _folder(assignment, spec.adapter))
    files = submission.paths()
    for name in [name for name in files if name.startswith(f"{lies}/")]:
        files[wanted + name.removeprefix(lies)] = files[name]
    folder = base_folder(submitted_base(submission, assignment, spec.adapter))
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    staged = _Staged(
        source=program_source(submission, path, assignment.deliverables),
        files=files,
        limits=Limits(
            wall_seconds=_WALL_FACTOR * _INFERENCE_SECONDS,
            cpu_seconds=_INFERENCE_SECONDS,
            memory_bytes=_INFERENCE_BYTES + _BASE_COPIES * weights,
        ),
        arguments=tuple(asked_questions(grading.questions, spec.questions)),
    )
    return _request(spec, INFERENCE, submission, grading, staged)


def _chosen(path: str | None, submission: Submission, questions: QuestionSet) -> Trial | None:
    """One of the recorded trials, by the hidden questions and the submission; None without any."""
    try:
        trials = read_trials(submission, path) if path is not None else []
    except FileRefused:  # a check says so
        return None
    seed = int(_sha256(f"{questions.digest} {submission.digest}".encode()), 16)
    return trials[seed % len(trials)] if trials else None


def asked_questions(questions: QuestionSet, count: int) -> list[str]:
    """So many of the questions, spread evenly over the set."""
    texts = [question.messages[-1][1] for question in questions.questions]
    count = min(count, len(texts))
    return [texts[number * len(texts) // count] for number in range(count)]


def _request(
    spec: TrainingRunSpec | InferenceRunSpec,
    kind: str,
    submission: Submission,
    grading: Grading,
    staged: _Staged,
) -> EvidenceRequest[ServedRun]:
    """A request whose key hashes all that the run can read, and its limits. Raises NoSandbox."""
    from grader.evidence.program_runs import ServedRun, kit_beside

    script = staged.source.script
    base = submitted_base(submission, grading.assignment, spec.adapter)
    home = _beside(script, PurePosixPath(base.title).name)
    files = {name: at for name, at in staged.files.items() if not name.startswith(f"{home}/")}
    laid = kit_beside(script, spec.given, grading.assignment.topic)
    helper = _beside(script, PurePosixPath(spec.given).name)
    if submission.file(helper) is not None:  # the student's own version of it
        laid.pop(helper)
        files[helper] = submission.root / helper
    inputs = {**staged.source.inputs, **laid}
    run = RunSpec(
        files={**files, **{f"{home}/{at.name}": at for at in sorted(base_folder(base).iterdir())}},
        script=script,
        arguments=staged.arguments,
        inputs=inputs,
        environment=_ENVIRONMENT,
        limits=staged.limits,
        harvest=HarvestOnly(METRICS_FILE, _HARVEST_BYTES, staged.harvested),
        watched=True,
    )
    digests = {file.path: file.sha256 for file in submission.files}
    key = hashed(
        {
            "kind": kind,
            "version": SCRIPT_RUN_VERSION,
            "script": script,
            "arguments": staged.arguments,
            "files": {n: digests[str(at.relative_to(submission.root))] for n, at in files.items()},
            "inputs": {name: _sha256(body) for name, body in sorted(inputs.items())},
            "environment": _ENVIRONMENT,
            "limits": asdict(staged.limits),
            "keeps": staged.keeps,
            "sandbox": grading.sandbox.policy(),
            "base": [home, base_digest(base_folder(base))],
            "versions": versions(*_LIBRARIES),
        }
    )
    work = ServedRun(run, (), keeps=staged.keeps, notebooks=staged.source.notebooks)
    # A training is shared, and one student's used-up budget must not keep it from another: it has
    # a limit of its own.
    own = kind == INFERENCE
    return EvidenceRequest(submission.student, spec.id, kind, key, work, own=own)


def _folder(assignment: Assignment, deliverable: str) -> str:
    return assignment.deliverable(deliverable).paths[0].rstrip("/")


def _beside(script: str, name: str) -> str:
    return str(PurePosixPath(script).parent / name)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _code(submission: Submission, source: ProgramSource) -> set[str]:
    """The script and the modules that it or they name.

    Names are looked for as words, so that modules which are imported in unusual ways are found.
    """
    modules = {file.path for file in submission.files if file.path.endswith(".py")}
    modules |= source.inputs.keys()
    found, waiting = {source.script}, [source.script]
    while waiting:
        one = waiting.pop()
        words = set(_WORD.findall(source.inputs.get(one) or _text(submission, one)))
        more = {
            module
            for module in modules - found
            if not words.isdisjoint(map(str.encode, PurePosixPath(module).with_suffix("").parts))
        }
        found |= more
        waiting += more
    return found


def _text(submission: Submission, path: str) -> bytes:
    file = submission.file(path)
    if file is None or file.size > SOURCE_MAX_BYTES:
        return b""
    return read_file(submission, path, SOURCE_MAX_BYTES)


def _data(submission: Submission, assignment: Assignment) -> set[str]:
    """Data files that are no deliverables and lie in no folder of checkpoints: those the script
    makes itself."""
    places = [submission.places.get(d.id) for d in assignment.deliverables if not is_script(d)]
    asked = tuple(place for place in places if isinstance(place, str))
    return {
        file.path
        for file in submission.files
        if PurePosixPath(file.path).suffix.lower() in _DATA
        and file.path not in asked
        and not file.path.startswith(tuple(f"{place}/" for place in asked))
        and "checkpoint" not in file.path.lower()
    }


def _producer(grading: Grading) -> Producer[ServedRun]:
    from grader.evidence.script_runner import ScriptRunner

    return ScriptRunner(grading.sandbox, None, grading.ledger)


TRAINING_KIND: Final = EvidenceKind(TRAINING, TrainingRunSpec, ScriptRun, _training, _producer)
INFERENCE_KIND: Final = EvidenceKind(INFERENCE, InferenceRunSpec, ScriptRun, _inference, _producer)

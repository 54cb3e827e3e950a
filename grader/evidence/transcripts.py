"""Evidence `transcript`: what one run of a submission's program did, as seen from outside it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from grader.core.constants import TRANSCRIPT_SEED, TRANSCRIPT_VERSION
from grader.core.errors import GraderFault
from grader.core.nouns import Assignment, BaseModel, Evidence, EvidenceSpec, Submission
from grader.evidence.predictions import versions
from grader.evidence.recordings import INSTEAD, RunRecording
from grader.evidence.store import EvidenceRequest, Progress, reason
from grader.intake.notebooks import Notebook, in_cells
from grader.intake.submitted_notebook import program_source
from grader.model_service.forward import Endpoint
from grader.model_service.gateway import Gateway, GatewayLimits
from grader.model_service.perturb import Perturbed
from grader.model_service.record import ServiceRecord
from grader.model_service.replay import Replay
from grader.model_service.simulated import Simulator
from grader.models.base_model import base_digest, base_folder
from grader.sandbox.api import Limits, RunResult, RunSpec, Sandbox

if TYPE_CHECKING:
    from starlette.types import ASGIApp

KIND: Final = "transcript"
_AT_ONCE: Final = 2  # runs for each processor: half of their time they wait for the service
_LIBRARIES: Final = ("openai", "dspy", "torch", "transformers", "numpy")


@dataclass(frozen=True, slots=True)
class TranscriptSpec:
    """A program to run once, and what its model service does.

    `perturb`: what models answer says something else (see `grader.model_service.perturb`).
    `notebooks` are those that scripts of the run were made of, by the file names of these. With a
    `recording` the service answers from it, perturbed if the recorded run was.
    """

    launch: RunSpec
    scenarios: tuple[str, ...]
    gateway: GatewayLimits = field(default_factory=GatewayLimits)
    perturb: bool = False
    notebooks: Mapping[str, Notebook] = field(default_factory=dict)
    recording: RunRecording | None = None

    def told(self, text: str) -> str:
        """What the program or an error of it says, with places told in the notebook's cells."""
        for script, notebook in self.notebooks.items():
            text = in_cells(text, notebook, script)
        return text


def transcript_want(
    submission: Submission,
    spec: EvidenceSpec,
    script: str,
    assignment: Assignment,
    sandbox: Sandbox,
    beside: Mapping[str, bytes] | None = None,
) -> EvidenceRequest:
    """A run of `script`, a path inside the submission; files `beside` are laid over it by path.

    It may import other scripts of the assignment, be they handed in as notebooks. Raises
    FileRefused SRC101 or SRC102 when `script` is a notebook that holds none.
    """
    source = program_source(submission, script, assignment.deliverables)
    run = TranscriptSpec(
        RunSpec(
            files=submission.places(),
            script=source.script,
            arguments=spec.arguments,
            inputs={**source.inputs, **(beside or {})},
            limits=Limits(wall_seconds=spec.wall_seconds),
            clock_rate=spec.clock_rate,
        ),
        spec.scenarios,
        notebooks=source.notebooks,
    )
    return run_want(
        submission.student, spec.id, KIND, run, submission.digest, assignment.base, sandbox
    )


def run_want(
    student: str,
    id: str,
    kind: str,
    run: TranscriptSpec,
    submitted: str,
    base: BaseModel,
    sandbox: Sandbox,
    *,
    work: Any = None,
    more: Mapping[str, Any] | None = None,
) -> EvidenceRequest:
    """A want whose key hashes everything that decides what the run does.

    `submitted` is the digest of the submission that runs, "" where the program is the grader's.
    `work` is what another producer than Transcripts takes in the run's place; `more` (JSON
    values) is what else decides about its evidence.
    """
    launch = run.launch
    inputs = {
        "kind": kind,
        "version": TRANSCRIPT_VERSION,
        "submission": submitted,
        "script": launch.script,
        "arguments": launch.arguments,
        "inputs": {name: _sha256(body) for name, body in sorted(launch.inputs.items())},
        "environment": dict(launch.environment),
        "limits": asdict(launch.limits),
        "clock_rate": launch.clock_rate,
        "scenarios": run.scenarios,
        "seed": TRANSCRIPT_SEED,
        "gateway": asdict(run.gateway),
        "perturb": run.perturb,
        "sandbox": sandbox.policy(),
        "base": base_digest(base_folder(base)),
        "versions": versions(*_LIBRARIES),
        **(more or {}),
    }
    key = _sha256(json.dumps(inputs, sort_keys=True).encode())
    return EvidenceRequest(student, id, kind, key, run if work is None else work)


class TranscriptRunner:
    """The producer: several runs at once."""

    def __init__(self, sandbox: Sandbox, services: Simulator | Endpoint | None) -> None:
        """`services` may be None where every run has its recording."""
        self._sandbox, self._services = sandbox, services
        self._stop = threading.Event()

    def produce(
        self,
        new: Mapping[str, EvidenceRequest],
        put: Callable[[Evidence], None],
        progress: Progress,
    ) -> dict[str, str]:
        """See Producer. When the caller is interrupted, the runs under way are killed."""
        progress.start("Running programs", len(new))
        failed: dict[str, str] = {}
        with (
            self._services or nullcontext(),
            Gateway() as gateway,
            ThreadPoolExecutor(_AT_ONCE * (os.cpu_count() or 1)) as pool,
        ):
            running = {pool.submit(self._run, gateway, want): want for want in new.values()}
            try:
                while running:
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        want = running.pop(future)
                        _keep(future, want, put, failed)
                        progress.step(want.student)
            finally:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
        return failed

    def _run(self, gateway: Gateway, want: EvidenceRequest) -> Evidence:
        run: TranscriptSpec = want.work
        record = ServiceRecord()
        with self._model_service(run) as app:
            ended = self._sandbox.run(
                run.launch,
                lambda listener: gateway.serve(app, record, run.gateway, listener),
                self._stop,
            )
        if isinstance(app, Replay) and app.unknown:
            raise GraderFault(
                f"{app.unknown} of its requests are not as recorded: it has gone another way. "
                f"{INSTEAD}"
            )
        faults = [e.notes["fault"] for e in record.exchanges if "fault" in e.notes]
        if faults:  # ours: what the program did after it tells nothing about the program
            raise GraderFault(f"the model service failed: {faults[0]}")
        payload = _payload(run, ended, record)
        cost = {"wall_seconds": ended.wall_seconds, "cpu_seconds": ended.cpu_seconds}
        return Evidence(want.kind, want.key, payload, cost)

    @contextmanager
    def _model_service(self, run: TranscriptSpec) -> Iterator[ASGIApp]:
        """What answers to this run."""
        if run.recording is not None:
            yield Replay(run.recording.exchanges())
            return
        assert self._services is not None  # only recorded runs do without
        # Waiting times of the service pass as fast as the program's own sleeps.
        scale = 1 / run.launch.clock_rate
        with self._services.service(run.scenarios, time_scale=scale) as app:
            yield Perturbed(app) if run.perturb else app


def _keep(
    future: Future[Evidence],
    want: EvidenceRequest,
    put: Callable[[Evidence], None],
    failed: dict[str, str],
) -> None:
    try:
        put(future.result())
    except Exception as error:  # whatever it is, it must not stop the batch
        failed[want.key] = reason(error)


def _payload(run: TranscriptSpec, ended: RunResult, record: ServiceRecord) -> dict[str, Any]:
    """As it is stored. Texts are as the program wrote them: whoever shows them escapes them."""
    return {
        "script": run.launch.script,
        "arguments": list(run.launch.arguments),
        "scenarios": list(run.scenarios),
        "clock_rate": run.launch.clock_rate,
        "isolation": ended.isolation,
        "verdict": ended.verdict,
        "exit_code": ended.exit_code,
        "signal": ended.signal,
        "wall_seconds": round(ended.wall_seconds, 3),
        "cpu_seconds": round(ended.cpu_seconds, 3),
        "peak_memory_bytes": ended.peak_memory_bytes,
        "stdout": run.told(ended.stdout.decode(errors="replace")),
        "stderr": run.told(ended.stderr.decode(errors="replace")),
        "stdout_bytes": ended.stdout_bytes,
        "stderr_bytes": ended.stderr_bytes,
        "files": {
            path: base64.b64encode(body).decode() for path, body in sorted(ended.files.items())
        },
        "refused": [asdict(refused) for refused in ended.refused],
        "exchanges": [exchange.as_json() for exchange in record.exchanges],
        "refused_requests": record.refused_requests,
        "refused_connections": record.refused_connections,
    }


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

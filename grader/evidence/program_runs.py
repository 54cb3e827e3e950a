"""Running programs of submissions in the sandbox, each with a model service of its own.

Several kinds of evidence come from such runs. This module needs more than the base install.
"""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from grader.core.constants import TRANSCRIPT_SEED, TRANSCRIPT_VERSION
from grader.core.errors import GraderFault
from grader.core.files import resource
from grader.core.nouns import Evidence
from grader.core.payloads import SERVICE_FAULT, ProgramRun
from grader.evidence.budget import Ledger
from grader.evidence.kind import (
    Collectable,
    EvidenceRequest,
    Grading,
    Progress,
    hashed,
    reason,
    versions,
)
from grader.evidence.made_adapter import made_adapter, made_key
from grader.evidence.store import INSTEAD, RunRecording
from grader.intake.notebooks import Notebook, in_cells
from grader.model_service.forward import Endpoint
from grader.model_service.gateway import Gateway
from grader.model_service.metering import GatewayLimits
from grader.model_service.perturb import Perturbed
from grader.model_service.record import Replay, ServiceRecord
from grader.model_service.simulated import Simulator, tuned_adapter
from grader.models.base_model import base_digest, base_folder
from grader.openai_sim.api.app import SimulatorApp
from grader.openai_sim.store.clock import ProgramClock
from grader.openai_sim.store.journal import MACHINE_FAULT
from grader.sandbox.api import RunResult, RunSpec, Sandbox

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_AT_ONCE: Final = 2  # runs for each processor: half of their time they wait for the service
_TIME_SHARE: Final = 1 / 3  # of the limit's real seconds, which the program may sleep away
_LIBRARIES: Final = ("openai", "dspy", "torch", "transformers", "numpy")

JOB: Final = "job"
"""A run keeps the adapter of the fine-tuning job whose model it asked."""


@dataclass(frozen=True, slots=True)
class ServedRun:
    """A program to run once, and what its model service does.

    `perturb`: what models answer says something else (see `grader.model_service.perturb`).
    `keeps` is whose adapter is stored beside the run (see `grader.evidence.made_adapter`): that of
    its JOB, or the one that it saves in this folder, whose files are then not in its payload.
    `notebooks` are those that scripts of the run were made of, by the file names of these. With a
    `recording` the service answers from it, perturbed if the recorded run was.
    """

    spec: RunSpec
    scenarios: tuple[str, ...]
    gateway: GatewayLimits = field(default_factory=GatewayLimits)
    perturb: bool = False
    keeps: str | None = None
    notebooks: Mapping[str, Notebook] = field(default_factory=dict)
    recording: RunRecording | None = None

    def in_cells(self, text: str) -> str:
        """A text of the program or of an error of it, with lines given as cells of the notebook."""
        for script, notebook in self.notebooks.items():
            text = in_cells(text, notebook, script)
        return text


def run_request(
    student: str,
    id: str,
    kind: str,
    run: ServedRun,
    submitted: str,
    grading: Grading,
    more: Mapping[str, Any] | None = None,
) -> EvidenceRequest[ServedRun]:
    """A request whose key hashes everything that decides what the run does.

    `submitted` is the digest of the submission that runs, "" where the program is the grader's.
    `more` (JSON values) is what else decides about its evidence. With recordings in `grading`, its
    recording answers the run and is part of the key. Raises NoSandbox.
    """
    base = grading.assignment.base
    inputs = {
        "kind": kind,
        "version": TRANSCRIPT_VERSION,
        "submission": submitted,
        "script": run.spec.script,
        "arguments": run.spec.arguments,
        "inputs": {name: _sha256(body) for name, body in sorted(run.spec.inputs.items())},
        "environment": dict(run.spec.environment),
        "limits": asdict(run.spec.limits),
        "clock_rate": run.spec.clock_rate,
        "scenarios": run.scenarios,
        "seed": TRANSCRIPT_SEED,
        "gateway": asdict(run.gateway),
        "perturb": run.perturb,
        "sandbox": grading.sandbox.policy(),
        "base": base_digest(base_folder(base)),
        "versions": versions(*_LIBRARIES),
        **({"keeps": run.keeps} if run.keeps is not None else {}),
        **(more or {}),
    }
    key = hashed(inputs)
    if grading.recordings is not None:
        recording = grading.recordings.of(student, id)
        run = replace(run, recording=recording)
        key = _sha256(f"{key} {recording.digest}".encode())
    return EvidenceRequest(student, id, kind, key, run, own=submitted != "")


def kit_beside(script: str, given: str, topic: str) -> dict[str, bytes]:
    """What the kit lays beside a script, by path: its file `given` and the topic's public data."""
    folder = PurePosixPath(script).parent
    return {str(folder / name): body for name, body in _given(given, topic).items()}


@cache
def _given(given: str, topic: str) -> Mapping[str, bytes]:
    """What is the same for a whole class."""
    kit, _, name = given.partition("/")
    found = {name: resource("starter", kit, name).read_bytes()}
    for file in sorted(resource("datasets", topic).glob("*.jsonl")):
        found[f"data/{file.name}"] = file.read_bytes()
    return found


def simulator(grading: Grading, *, hidden: bool = False) -> Simulator | None:
    """The model service of a producer's runs, each with its own hold; None with recordings.

    Jobs of `hidden` runs are not recorded: a program that sees hidden questions could choose by
    them what it trains on, and its student's next run read that off the time that a job takes.
    """
    if grading.recordings is not None:
        return None
    trainings = None if hidden else grading.trainings
    return Simulator(grading.assignment.base, trainings, seed=TRANSCRIPT_SEED)


class _Served(NamedTuple):
    """The payload and the cost of a run, and the adapter that it made, by name and files."""

    payload: Mapping[str, Any]
    cost: Mapping[str, float]
    model: str
    adapter: Mapping[str, bytes]


class RunQueue:
    """Runs that wait, in the order in which they start: programs with nothing going wrong first,
    then, of the students whose first run has ended, those that have taken least so far."""

    def __init__(self, requests: Iterable[Collectable[ServedRun]], ledger: Ledger | None) -> None:
        self._ledger = ledger
        first = {r.key for r in requests if not self._first_of(r)}
        self._first = deque(r for r in requests if r.key in first)
        self._rest = [r for r in requests if r.key not in first]
        self._under_way = set[str]()

    def next(self) -> Collectable[ServedRun] | None:
        """The run to start now; None while there is none."""
        if self._first:
            request = self._first.popleft()
            self._under_way.add(request.key)
            return request
        ledger = self._ledger
        ready = [r for r in self._rest if self._is_ready(r)]
        if not ready or ledger is None:
            return None
        request = min(ready, key=lambda r: ledger.seconds(r.student))
        self._rest.remove(request)
        return request

    def ended(self, request: Collectable[ServedRun]) -> None:
        """This run has ended, and what came of it is noted."""
        self._under_way.discard(request.key)

    def _is_ready(self, request: Collectable[ServedRun]) -> bool:
        first = self._first_of(request)
        if first is None or self._ledger is None:
            return True
        return not self._under_way or self._ledger.knows_first(request.student, first)

    def _first_of(self, request: Collectable[ServedRun]) -> str | None:
        return self._ledger.first_run_of(request.id) if self._ledger is not None else None


class ProgramRunner:
    """The producer of runs: several at once."""

    def __init__(
        self,
        sandbox: Sandbox,
        services: Simulator | Endpoint | None,
        ledger: Ledger | None = None,
    ) -> None:
        """`services` may be None where every run has its recording. `ledger` holds the budgets."""
        self._sandbox, self._services, self._ledger = sandbox, services, ledger
        self._stop = threading.Event()

    def produce(
        self,
        new: Mapping[str, Collectable[ServedRun]],
        put: Callable[[Evidence], None],
        progress: Progress,
    ) -> dict[str, str]:
        """See Producer. When the caller is interrupted, the runs under way are killed."""
        self._stop.clear()  # a runner may be asked again
        progress.start("Running programs", len(new))
        failed: dict[str, str] = {}
        queue = RunQueue(list(new.values()), self._ledger)
        at_once = _AT_ONCE * (os.cpu_count() or 1)
        with (
            self._services or nullcontext(),
            Gateway() as gateway,
            ThreadPoolExecutor(at_once) as pool,
        ):
            running: dict[Future[list[Evidence]], Collectable[ServedRun]] = {}
            try:
                while True:
                    while len(running) < at_once and (request := queue.next()) is not None:
                        if self._is_withheld(request):
                            queue.ended(request)
                            progress.step(request.student)
                        else:
                            running[pool.submit(self._run, gateway, request)] = request
                    if not running:
                        break
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        request = running.pop(future)
                        _keep(future, request, put, failed)
                        queue.ended(request)
                        progress.step(request.student)
            finally:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
        return failed

    def _is_withheld(self, request: Collectable[ServedRun]) -> bool:
        if self._ledger is None or not request.own:
            return False
        return self._ledger.decide(request.student, request.id, request.key) is not None

    def _run(self, gateway: Gateway, request: Collectable[ServedRun]) -> list[Evidence]:
        """The evidence of a run, of a second one where the service failed in the first.

        A service that fails twice may be made to: the run is judged as it went, its faults are in
        the record, and a person looks at them (GRD002). Before it stands what it made.
        """
        with request.opened() as run:
            served = self._served(gateway, run)
            if any(SERVICE_FAULT in one["notes"] for one in served.payload["exchanges"]):
                served = self._served(gateway, run)
        key = request.key
        evidence = Evidence(request.kind, key, served.payload, served.cost)
        if run.keeps is None:
            return [evidence]
        if run.keeps == JOB and run.recording is not None:  # no service trained anything now
            made = run.recording.grading.evidence(made_key(run.recording.key or ""))
            return [evidence] if made is None else [replace(made, key=made_key(key)), evidence]
        return [made_adapter(key, served.model, served.adapter), evidence]

    def _served(self, gateway: Gateway, run: ServedRun) -> _Served:
        """What a run gave.

        Raises GraderFault where the machine, or an instructor's endpoint, failed.
        """
        # The run ends by the program's own time, long before a busy machine needs the real one.
        program_seconds = run.spec.limits.wall_seconds * run.spec.clock_rate * _TIME_SHARE
        record = ServiceRecord(ProgramClock(run.spec.clock_rate, program_seconds))
        with self._model_service(run, record.clock) as app:
            result = self._sandbox.run(
                run.spec,
                lambda listener: gateway.serve(app, record, run.gateway, listener),
                self._stop,
            )
            model, adapter = "", dict[str, bytes]()
            if run.keeps == JOB and isinstance(app, SimulatorApp):
                model, adapter = tuned_adapter(app.services.store, record.exchanges)
        if run.keeps not in (None, JOB):
            result, model, adapter = taken(result, run.keeps)
        if isinstance(app, Replay) and app.unknown:
            raise GraderFault(
                f"{app.unknown} of its requests are not as recorded: it has gone another way. "
                f"{INSTEAD}"
            )
        faults = [e.notes[MACHINE_FAULT] for e in record.exchanges if MACHINE_FAULT in e.notes]
        if faults:  # what the program did after it tells nothing about the program
            raise GraderFault(f"the model service failed: {faults[0]}")
        payload = _payload(run, result, record).to_json()
        return _Served(payload, cost_of(result), model, adapter)

    @contextmanager
    def _model_service(self, run: ServedRun, clock: ProgramClock) -> Iterator[ASGIApp]:
        """What answers to this run."""
        if run.recording is not None:
            yield Replay(run.recording.exchanges())
            return
        assert self._services is not None  # only recorded runs do without
        with self._services.service(run.scenarios, clock) as app:
            yield Perturbed(app) if run.perturb else app


def cost_of(result: RunResult) -> dict[str, float]:
    """What a run took, as it is stored beside its evidence."""
    return {
        "wall_seconds": result.wall_seconds,
        "uncounted_seconds": result.uncounted_seconds,
        "cpu_seconds": result.cpu_seconds,
        "peak_memory_bytes": result.peak_memory_bytes,
    }


def taken(result: RunResult, folder: str) -> tuple[RunResult, str, dict[str, bytes]]:
    """The result without the files in this folder, its name, and the files by their own names."""
    inside = {p: body for p, body in result.files.items() if p.startswith(f"{folder}/")}
    others = {path: body for path, body in result.files.items() if path not in inside}
    adapter = {path.removeprefix(f"{folder}/"): body for path, body in inside.items()}
    return replace(result, files=others), folder, adapter


def _keep(
    future: Future[list[Evidence]],
    request: Collectable[ServedRun],
    put: Callable[[Evidence], None],
    failed: dict[str, str],
) -> None:
    try:
        for evidence in future.result():
            put(evidence)
    except Exception as error:  # whatever it is, it must not stop the batch
        failed[request.key] = reason(error)


def _payload(run: ServedRun, result: RunResult, record: ServiceRecord) -> ProgramRun:
    """Texts are as the program wrote them: whoever shows them escapes them."""
    return ProgramRun(
        script=run.spec.script,
        arguments=list(run.spec.arguments),
        scenarios=list(run.scenarios),
        clock_rate=run.spec.clock_rate,
        isolation=result.isolation,
        verdict=result.verdict,
        exit_code=result.exit_code,
        signal=result.signal,
        stdout=run.in_cells(result.stdout.decode(errors="replace")),
        stderr=run.in_cells(result.stderr.decode(errors="replace")),
        stdout_bytes=result.stdout_bytes,
        stderr_bytes=result.stderr_bytes,
        files={
            path: base64.b64encode(body).decode() for path, body in sorted(result.files.items())
        },
        refused=[asdict(refused) for refused in result.refused],
        exchanges=[exchange.as_json() for exchange in record.exchanges],
        refused_requests=record.refused_requests,
        refused_connections=record.refused_connections,
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

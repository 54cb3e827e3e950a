"""What happens to a job before it is trained: its files are validated, its hyperparameters are
resolved, and it is queued.

Scenarios that make jobs fail are carried out here too, so that training knows nothing of them.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from grader.openai_sim.jobs.file_findings import refused_by_job
from grader.openai_sim.jobs.job_state import CANCELLED
from grader.openai_sim.store.store import JobRow, SimulatorStore, now
from grader.training_data.costs import automatic_epochs

if TYPE_CHECKING:
    from grader.core.openai_wire import JobStatus
    from grader.openai_sim.store.clock import Clock
    from grader.openai_sim.store.scenarios import FaultInjector

_BATCH_SHARE: Final = (
    0.002  # of the examples: 1 up to 500 of them, as jobs of OpenAI's service have
)
_MOST_BATCH: Final = 256  # examples; the service takes no larger number either
_RATE_MULTIPLIER: Final = 1.8  # what the service chooses for its small chat models
_BETA: Final = 0.1  # of DPO, as in its paper


def resolved(
    asked: Mapping[str, Any] | None, n_examples: int, method: str
) -> dict[str, int | float]:
    """The hyperparameters, with values for those that are "auto", null or missing."""
    batch = min(_MOST_BATCH, max(1, math.ceil(n_examples * _BATCH_SHARE)))
    numbers: dict[str, int | float] = {
        "n_epochs": automatic_epochs(n_examples),
        "batch_size": batch,
        "learning_rate_multiplier": _RATE_MULTIPLIER,
    }
    if method == "dpo":
        numbers["beta"] = _BETA
    given = {k: v for k, v in (asked or {}).items() if v is not None and v != "auto"}
    return {name: given.get(name, number) for name, number in numbers.items()}


VALIDATING_SECONDS: Final = 0.5  # a client sees the state
_DOOMED_SECONDS: Final = 3.0  # that a job runs before its scenario makes it fail
_POLL_SECONDS: Final = 0.1  # while a job waits for a time to pass

_log = logging.getLogger(__name__)


class Admission:
    """A thread that validates and queues jobs. Its state is in the store: a restart loses none."""

    def __init__(self, store: SimulatorStore, faults: FaultInjector, clock: Clock) -> None:
        self._store, self._faults, self._clock = store, faults, clock
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="admission", daemon=True)

    def start(self) -> None:
        """Start; jobs of an earlier run of the service, on whatever clock, come first."""
        soon = self._clock.now() + self._clock.lasting(VALIDATING_SECONDS)
        for job in self._store.list_jobs(status="validating_files"):
            self._store.update_job(job.id, not_before=min(job.not_before, soon))
        self._thread.start()

    def wake(self) -> None:
        """Look at the jobs now: one is new or has changed."""
        self._woken.set()

    def stop(self) -> None:
        """Stop, and wait until it has."""
        self._stopped.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._woken.clear()
            try:
                waiting = self._advance()
            except Exception:  # one failure must not stop all later jobs
                _log.exception("waiting jobs could not be processed")
                waiting = True
            self._woken.wait(_POLL_SECONDS if waiting else None)
        self._store.close()

    def _advance(self) -> bool:
        """Advance the jobs that are due; returns whether others still wait for a time to pass."""
        time = self._clock.now()
        waiting = False
        for job in self._store.list_jobs(status="validating_files", newest_first=False):
            if time >= job.not_before:
                self._validate(job)
            else:
                waiting = True
        for job in self._doomed("queued"):
            waiting = True
            if time >= job.not_before:
                self._store.update_job(
                    job.id,
                    if_status="queued",
                    event="Fine-tuning job started",
                    status="running",
                    not_before=job.not_before + self._clock.lasting(_DOOMED_SECONDS),
                )
        for job in (*self._doomed("running"), *self._doomed("pausing")):
            waiting = True
            if job.wanted == "cancel":
                self._end(job, "cancelled", CANCELLED)
            elif job.wanted == "pause":
                event = "The job was paused"
                self._store.update_job(job.id, if_status="pausing", event=event, status="paused")
            elif time >= job.not_before:
                said = "The job failed due to an internal error."
                self._end(job, "failed", said, {"code": "internal_error", "message": said})
        return waiting

    def _doomed(self, status: JobStatus) -> list[JobRow]:
        return [job for job in self._store.list_jobs(status=status) if job.fate]

    def _validate(self, job: JobRow) -> None:
        error, n_examples = self._file_error(job)
        if error is not None:
            self._end(job, "failed", error["message"], error)
            return
        self._store.update_job(
            job.id,
            if_status="validating_files",
            event="Files validated, moving job to queued state",
            status="queued",
            resolved=resolved(job.hyperparameters, n_examples, job.method),
            not_before=job.not_before + self._clock.lasting(self._faults.queue_seconds),
        )

    def _file_error(self, job: JobRow) -> tuple[dict[str, Any] | None, int]:
        """The error in the files of a job, if any, and the number of its examples."""
        n_examples = 0
        for param, file_id in (
            ("training_file", job.training_file),
            ("validation_file", job.validation_file),
        ):
            if file_id is None:
                continue
            row = self._store.get_file(file_id)
            if row is None:
                what = param.replace("_", " ")
                said = f"The job failed due to an invalid {what}. {file_id} was deleted."
                return {"code": f"invalid_{param}", "message": said, "param": param}, 0
            findings = json.loads(row.findings)
            error = refused_by_job(findings, file_id, job.method, job.model, param)
            if error is not None:
                return error, 0
            if param == "training_file":
                n_examples = findings["files"][0]["examples"]
        return self._scenario_error(job, n_examples), n_examples

    def _scenario_error(self, job: JobRow, n_examples: int) -> dict[str, Any] | None:
        """The error that the job's scenario invents for a valid file."""
        lines = self._faults.flagged_lines(n_examples)
        match job.fate:
            case "moderation":
                said = (
                    "This file failed moderation safety checks. The OpenAI Moderation API "
                    "identifies fine tuning examples that violate our content policies. To fine "
                    "tune on this data, please try removing the flagged lines and uploading the "
                    f"file again. Flagged lines: {', '.join(map(str, lines))}"
                )
            case "bad-file":
                said = f"Invalid file format. Example {lines[0]} is missing key 'messages'."
            case _:
                return None
        message = f"The job failed due to an invalid training file. {said}"
        return {"code": "invalid_training_file", "message": message, "param": "training_file"}

    def _end(
        self, job: JobRow, status: str, event: str, error: dict[str, Any] | None = None
    ) -> None:
        self._store.update_job(
            job.id,
            if_status=job.status,
            event=event,
            level="info" if error is None else "error",
            status=status,
            error=error,
            finished_at=now(),
        )

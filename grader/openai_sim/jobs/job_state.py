"""How a job ends, and the folder and lock that its process works with."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

from grader.core.openai_wire import UNDER_WAY
from grader.openai_sim.store.clock import reached
from grader.openai_sim.store.store import SimulatorStore, now

BUSY: Final = 75  # exit code where another process has the job (EX_TEMPFAIL of sysexits.h)
CANCELLED: Final = "Fine-tuning job cancelled"
"""The event of a job that is cancelled."""


def adapter_folder(model: str) -> str:
    """The name of a model's folder in `home/adapters`."""
    return hashlib.sha256(model.encode()).hexdigest()[:32]


def forget_model(store: SimulatorStore, name: str) -> None:
    """Remove a model and its adapter, if they exist."""
    store.delete_model(name)
    shutil.rmtree(store.adapters_folder / adapter_folder(name), ignore_errors=True)


def job_folder(store: SimulatorStore, job_id: str) -> Path:
    """The folder of a job's saved states, lock and log; it is created."""
    folder = store.home / "jobs" / job_id
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def locked(file: Path) -> IO[bytes] | None:
    """The file, locked until it is closed or this process ends; None when another holds it."""
    opened = file.open("ab")
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        opened.close()
        return None
    return opened


def settled(store: SimulatorStore, time: float) -> bool:
    """Whether all jobs are where they should be at this time on their program's clock."""
    due = store.due_jobs(time)
    training = [job for job in due if job.status in ("running", "pausing") and not job.fate]
    if any(job.wanted != "run" or reached(job_folder(store, job.id)) < time for job in training):
        return False
    # The others are trained one after another.
    return all(
        job in training or (training and job.status == "queued" and not job.fate) for job in due
    )


def fail(store: SimulatorStore, job_id: str, error: Mapping[str, Any]) -> bool:
    """End a job as failed with its error: code, message, param. False when it has ended already."""
    return store.update_job(
        job_id,
        if_status=UNDER_WAY,
        event=error["message"],
        level="error",
        status="failed",
        finished_at=now(),
        pid=None,
        error=error,
    )


def crashed(store: SimulatorStore, job_id: str, how: str) -> bool:
    """End a job whose process failed; False when it has ended already."""
    message = (
        f"The training stopped because of a fault of this service, not of your data ({how}). "
        f"Create the job again. The log is in {job_folder(store, job_id) / 'log'}."
    )
    return fail(store, job_id, {"code": "server_error", "message": message, "param": None})


def cancel(store: SimulatorStore, job_id: str) -> bool:
    """End a job as cancelled; False when it has ended already."""
    return store.update_job(
        job_id,
        if_status=UNDER_WAY,
        event=CANCELLED,
        status="cancelled",
        finished_at=now(),
        pid=None,
    )

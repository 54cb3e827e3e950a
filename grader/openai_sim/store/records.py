"""The rows of the service's tables, as frozen values."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from grader.core.openai_wire import JobStatus

_BASE62: Final = string.ascii_letters + string.digits
_ID_CHARACTERS: Final = 24  # as the service's own ids


@dataclass(frozen=True, slots=True)
class FileRow:
    """An uploaded file or a result. `findings` is JSON text (finegrade/findings/v1), or ""."""

    id: str
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: str = "processed"
    findings: str = ""


@dataclass(frozen=True, slots=True)
class JobRow:
    """A fine-tuning job.

    `hyperparameters` are those of the request (numbers or "auto"), `resolved` the numbers that are
    used, known once the files are valid. `wanted` is what the client wants of the running process:
    "run", "pause" or "cancel". `pid` is that process, None without. `not_before` is the time on the
    service's clock before which nothing more becomes of the job by itself. `fate` is what a
    scenario does with it, "" for nothing: a job with a fate is never trained.
    """

    id: str
    model: str
    created_at: int
    training_file: str
    seed: int
    finished_at: int | None = None
    fine_tuned_model: str | None = None
    status: JobStatus = "validating_files"
    validation_file: str | None = None
    suffix: str | None = None
    method: str = "supervised"
    hyperparameters: Mapping[str, Any] | None = None
    resolved: Mapping[str, Any] | None = None
    trained_tokens: int | None = None
    error: Mapping[str, Any] | None = None
    metadata: Mapping[str, str] | None = None
    result_files: tuple[str, ...] = ()
    wanted: str = "run"
    pid: int | None = None
    estimated_finish: int | None = None
    not_before: float = 0.0
    fate: str = ""


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event of a job; `type` is "message" or "metrics"."""

    id: str
    job: str
    created_at: int
    level: str
    message: str
    type: str = "message"
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A model that a job saved after step `step`."""

    id: str
    job: str
    created_at: int
    step: int
    model_name: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model that answers. `adapter` is its folder's name in `home/adapters`, None for a base."""

    id: str
    created: int
    owned_by: str
    adapter: str | None = None
    job: str | None = None
    retired: bool = False


def new_id(prefix: str) -> str:
    """A new id as OpenAI writes them: the prefix ("file", "ftjob", ...) and 24 characters."""
    number = secrets.randbelow(62**_ID_CHARACTERS)
    characters = []
    for _ in range(_ID_CHARACTERS):
        number, one = divmod(number, 62)
        characters.append(_BASE62[one])
    return f"{prefix}-{''.join(characters)}"


def azure_job_id() -> str:
    """A new id of a job as Azure writes them, with 32 hexadecimal digits."""
    return f"ftjob-{secrets.token_hex(16)}"


def now() -> int:
    """Unix time in whole seconds."""
    return int(time.time())

"""Names of models: the bases and the models that jobs make of them.

A training process imports this too, so it imports neither torch nor the web service.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from grader.core.constants import COURSE_MODEL
from grader.core.files import resource, sha256_of
from grader.training_data.encodings import base_of

if TYPE_CHECKING:
    from grader.openai_sim.store.store import JobRow, ModelRow, SimulatorStore

ORGANIZATION: Final = "finegrade"
"""The organisation that every key belongs to."""

_CHARACTERS: Final = 8  # of a job's id or of a digest: enough to tell two apart
_AZURE_CHARACTERS: Final = 32  # of a job's id there, which is told by it


@cache
def course_snapshot() -> str:
    """The course model under its own name and the first digits of its weights' SHA-256.

    It names the same bytes on every machine, and other ones never.
    """
    digest = sha256_of(resource("starter", COURSE_MODEL, "model.safetensors"))
    return f"{COURSE_MODEL}-{digest[:_CHARACTERS]}"


def snapshot(model: str) -> str:
    """The full name of a model that may be named without its date."""
    return _snapshots().get(model, model)


def base_names() -> tuple[str, ...]:
    """Every name under which the base answers."""
    return (*_snapshots().values(), *_snapshots())


def tuned_name(job: JobRow) -> str:
    """What the model of a job is called; the same job always gives the same name.

    A job that goes on from a tuned model names that one's base.
    """
    suffix = re.sub(r"[^a-z0-9_-]+", "-", (job.suffix or "").lower())
    own = job.id.rpartition("-")[2]
    if len(own) == _AZURE_CHARACTERS:
        return f"{base_of(job.model)}.ft-{own}" + (f"-{suffix}" if suffix else "")
    return f"ft:{base_of(job.model)}:{ORGANIZATION}:{suffix}:{own[:_CHARACTERS]}"


def checkpoint_name(job: JobRow, step: int) -> str:
    """What the model of a checkpoint is called; the last checkpoint is the job's model itself."""
    return f"{tuned_name(job)}:ckpt-step-{step}"


@cache
def _snapshots() -> dict[str, str]:
    """The name without a date: the snapshot that it means."""
    return {
        COURSE_MODEL: course_snapshot(),
        "gpt-4.1": "gpt-4.1-2025-04-14",
        "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
        "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
        "gpt-4o": "gpt-4o-2024-08-06",
        "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
        "gpt-3.5-turbo": "gpt-3.5-turbo-0125",
    }


def found_model(store: SimulatorStore, model: str) -> ModelRow:
    """The row of a model. Raises ApiError for a model that does not exist or is retired."""
    from grader.openai_sim.store import errors  # imports fastapi

    row = store.get_model(model)
    if row is None:
        raise errors.no_such_model(model)
    if row.retired:
        raise errors.retired_model(model)
    return row

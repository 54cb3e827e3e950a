"""Models: the base under the names that courses use, and what jobs have made of it."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request
from openai.types import Model, ModelDeleted

from grader.openai_sim import errors
from grader.openai_sim.journal import note
from grader.openai_sim.store import JobRow, ModelRow, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

ORGANIZATION: Final = "finegrade"
"""The organisation that every key belongs to."""

LOCAL_OWNER: Final = "finegrade-simulate-local-base"
"""Who owns the base models here: it says that OpenAI's model is not what answers."""

OTHER_OWNER: Final = "finegrade-simulate-helper"
"""Who owns models that answer and cannot be trained."""

COURSE_SNAPSHOT: Final = "course-model-2026-11-21"
"""The base under its own name, dated as the service dates snapshots."""

_SNAPSHOTS: Final = {  # the name without a date: the snapshot that it means
    "course-model": COURSE_SNAPSHOT,
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-3.5-turbo": "gpt-3.5-turbo-0125",
}
_SNAPSHOT_CREATED: Final = 1744316542  # the same for all, so that a listing never changes
_NAME_CHARACTERS: Final = 8

router = APIRouter(tags=["Models"])


def snapshot(model: str) -> str:
    """The full name of a model that may be named without its date."""
    return _SNAPSHOTS.get(model, model)


def base_names() -> tuple[str, ...]:
    """Every name under which the base answers."""
    return (*_SNAPSHOTS.values(), *_SNAPSHOTS)


def add_bases(store: Store, opened: Sequence[str] = ()) -> None:
    """Every name of the base and the models beside it, in a store that may be new.

    `opened` are the models that answer under their own names, the base first.
    """
    owners = dict.fromkeys(opened[1:], OTHER_OWNER)
    owners |= dict.fromkeys((*opened[:1], *base_names()), LOCAL_OWNER)
    for name, owner in owners.items():
        if store.get_model(name) is None:
            store.add_model(ModelRow(name, _SNAPSHOT_CREATED, owner))


def is_tunable(store: Store, model: str) -> bool:
    """Whether a job can start from this model: the base under any of its names."""
    found = store.get_model(model)
    return found is not None and found.owned_by == LOCAL_OWNER and not found.retired


def adapter_of(store: Store) -> Callable[[str], Path | None]:
    """What finds the folder of a tuned model's adapter, None for a base.

    It raises ApiError for a name that is none, or no longer.
    """

    def found(name: str) -> Path | None:
        adapter = _found(store, name).adapter
        return None if adapter is None else store.adapters_folder / adapter

    return found


def tuned_name(job: JobRow) -> str:
    """What the model of a job is called; the same job always gives the same name."""
    suffix = re.sub(r"[^a-z0-9_-]+", "-", (job.suffix or "").lower())
    own = job.id.rpartition("-")[2][:_NAME_CHARACTERS]
    return f"ft:{job.model}:{ORGANIZATION}:{suffix}:{own}"


def checkpoint_name(job: JobRow, step: int) -> str:
    """What the model of a checkpoint is called; the last checkpoint is the job's model itself."""
    return f"{tuned_name(job)}:ckpt-step-{step}"


@router.get("/models", responses={200: {"description": "All models"}})
def list_models(request: Request) -> dict[str, Any]:
    """All models that answer, oldest first."""
    store: Store = request.app.state.store
    rows = [row for row in store.list_models() if not row.retired]
    return {"object": "list", "data": [_object(row) for row in rows]}


@router.get("/models/{model:path}", response_model=Model)
def retrieve_model(request: Request, model: str) -> Mapping[str, Any]:
    """One model."""
    note(request, model=model)
    return _object(_found(request.app.state.store, model))


@router.delete("/models/{model:path}", response_model=ModelDeleted)
def delete_model(request: Request, model: str) -> Mapping[str, Any]:
    """Forget a tuned model and its adapter; the base cannot be deleted."""
    store: Store = request.app.state.store
    note(request, model=model)
    row = _found(store, model)
    if row.adapter is None:
        raise errors.ApiError(
            403, "You have insufficient permissions for this operation.", param="model"
        )
    store.delete_model(model)
    if all(other.adapter != row.adapter for other in store.list_models()):
        shutil.rmtree(store.adapters_folder / row.adapter, ignore_errors=True)
    return ModelDeleted(id=model, deleted=True, object="model").model_dump()


def _found(store: Store, model: str) -> ModelRow:
    row = store.get_model(model)
    if row is None:
        raise errors.no_such_model(model)
    if row.retired:
        raise errors.retired_model(model)
    return row


def _object(row: ModelRow) -> dict[str, Any]:
    value = Model(id=row.id, created=row.created, object="model", owned_by=row.owned_by)
    return value.model_dump()

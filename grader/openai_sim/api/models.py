"""Routes of models: the base under OpenAI's names, and the models that jobs tuned."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request
from openai.types import Model, ModelDeleted

from grader.openai_sim.decoding.model_names import base_names, found_model
from grader.openai_sim.services import Used
from grader.openai_sim.store import errors
from grader.openai_sim.store.clock import program_time
from grader.openai_sim.store.journal import note
from grader.openai_sim.store.parameters import Listing
from grader.openai_sim.store.store import ModelRow, SimulatorStore

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCAL_OWNER: Final = "finegrade-simulate-local-base"
"""The owner of base models; the name shows that OpenAI's model does not answer here."""

OTHER_OWNER: Final = "finegrade-simulate-helper"
"""The owner of models that answer and cannot be trained."""

_SNAPSHOT_CREATED: Final = 1744316542  # the same for all, so that a listing never changes

router = APIRouter(tags=["Models"])


class ListModelsResponse(Listing[Model]):
    """All models."""


def add_bases(store: SimulatorStore, opened: Sequence[str] = ()) -> None:
    """Add every name of the base, and the models beside it, to a store that may be new.

    `opened` are the models that answer under their own names, the base first. Models that only an
    earlier run of the service had opened are removed.
    """
    owners = dict.fromkeys(opened[1:], OTHER_OWNER)
    owners |= dict.fromkeys((*opened[:1], *base_names()), LOCAL_OWNER)
    for row in store.list_models():
        if row.adapter is None and row.id not in owners:
            store.delete_model(row.id)
    for name, owner in owners.items():
        if store.get_model(name) is None:
            store.add_model(ModelRow(name, _SNAPSHOT_CREATED, owner))


def is_tunable(store: SimulatorStore, model: str) -> bool:
    """Whether a job can start from this model: the base under any name, or what a job made."""
    found = store.get_model(model)
    if found is None or found.retired:
        return False
    return found.adapter is not None or found.owned_by == LOCAL_OWNER


@router.get("/models", response_description="All models")
def list_models(used: Used) -> ListModelsResponse:
    """All models that answer, oldest first."""
    rows = [row for row in used.store.list_models() if not row.retired]
    return ListModelsResponse(object="list", data=[_object(row) for row in rows])


@router.get("/models/{model:path}")
def retrieve_model(request: Request, used: Used, model: str) -> Model:
    """One model."""
    note(request, model=model)
    return _object(found_model(used.store, model))


@router.delete("/models/{model:path}")
def delete_model(request: Request, used: Used, model: str) -> ModelDeleted:
    """Delete a tuned model and its adapter; the base cannot be deleted."""
    store = used.store
    note(request, model=model)
    row = found_model(store, model)
    if row.adapter is None:
        raise errors.ApiError(
            403, "You have insufficient permissions for this operation.", param="model"
        )
    store.delete_model(model)
    graded = program_time(store.home) is not None  # then it stays until the run ends
    if not graded and all(other.adapter != row.adapter for other in store.list_models()):
        shutil.rmtree(store.adapters_folder / row.adapter, ignore_errors=True)
    return ModelDeleted(id=model, deleted=True, object="model")


def _object(row: ModelRow) -> Model:
    return Model(id=row.id, created=row.created, object="model", owned_by=row.owned_by)

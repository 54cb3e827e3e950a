"""Models: the base under the names that courses use, and what jobs have made of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request
from openai.types import Model, ModelDeleted

from grader.openai_sim.decoding.model_names import base_names, found_model
from grader.openai_sim.store import errors
from grader.openai_sim.store.journal import note
from grader.openai_sim.store.parameters import Listing
from grader.openai_sim.store.store import ModelRow, SimulatorStore

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCAL_OWNER: Final = "finegrade-simulate-local-base"
"""Who owns the base models here: it says that OpenAI's model is not what answers."""

OTHER_OWNER: Final = "finegrade-simulate-helper"
"""Who owns models that answer and cannot be trained."""

_SNAPSHOT_CREATED: Final = 1744316542  # the same for all, so that a listing never changes

router = APIRouter(tags=["Models"])


class ListModelsResponse(Listing[Model]):
    """All models."""


def add_bases(store: SimulatorStore, opened: Sequence[str] = ()) -> None:
    """Every name of the base and the models beside it, in a store that may be new.

    `opened` are the models that answer under their own names, the base first. Those that an
    earlier run of the service had opened and this one has not are forgotten.
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
def list_models(request: Request) -> ListModelsResponse:
    """All models that answer, oldest first."""
    store: SimulatorStore = request.app.state.store
    rows = [row for row in store.list_models() if not row.retired]
    return ListModelsResponse(object="list", data=[_object(row) for row in rows])


@router.get("/models/{model:path}")
def retrieve_model(request: Request, model: str) -> Model:
    """One model."""
    note(request, model=model)
    return _object(found_model(request.app.state.store, model))


@router.delete("/models/{model:path}")
def delete_model(request: Request, model: str) -> ModelDeleted:
    """Forget a tuned model and its adapter; the base cannot be deleted."""
    store: SimulatorStore = request.app.state.store
    note(request, model=model)
    row = found_model(store, model)
    if row.adapter is None:
        raise errors.ApiError(
            403, "You have insufficient permissions for this operation.", param="model"
        )
    store.delete_model(model)
    if all(other.adapter != row.adapter for other in store.list_models()):
        shutil.rmtree(store.adapters_folder / row.adapter, ignore_errors=True)
    return ModelDeleted(id=model, deleted=True, object="model")


def _object(row: ModelRow) -> Model:
    return Model(id=row.id, created=row.created, object="model", owned_by=row.owned_by)

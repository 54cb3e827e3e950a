"""Scenario `azure`: the service by the paths, names and deployments of Azure OpenAI.

Two shapes of paths: `/openai/v1/...`, and the older `/openai/...?api-version=...` with
`/openai/deployments/NAME/...` for models. A job's model is called `<base>.ft-<job>` and answers
only once a deployment of it was created (PUT on the resource's management path). Each base is
deployed under its own names. Source: Microsoft's reference of Azure OpenAI and of
Microsoft.CognitiveServices/accounts/deployments.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from grader.core.files import write_atomic
from grader.core.openai_wire import API, EMBEDDINGS, GENERATION
from grader.openai_sim.decoding.model_names import found_model
from grader.openai_sim.store import errors
from grader.openai_sim.store.errors import ApiError
from grader.openai_sim.store.journal import given, note
from grader.openai_sim.store.parameters import json_object, member, missing, text

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from grader.openai_sim.store.store import SimulatorStore

_MANAGEMENT: Final = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.CognitiveServices"
    r"/accounts/[^/]+/deployments/(?P<name>[A-Za-z0-9._-]{1,64})",
    re.IGNORECASE,
)
_OLDER: Final = re.compile(r"/openai/(?:deployments/(?P<name>[^/]+)/)?(?P<rest>.+)")
_NEWER: Final = re.compile(r"/openai/v1/(?P<rest>.+)")
_DEPLOYMENTS: Final = f"{API}deployments/"
_DEPLOYMENT: Final = "finegrade.azure.deployment"  # in a scope: the one that the path names


class Deployments:
    """Which model answers under which name; they outlive the service in a file of its home."""

    def __init__(self, home: Path, store: SimulatorStore) -> None:
        self._file, self._store = home / "deployments.json", store
        self._made: dict[str, str] = (
            json.loads(self._file.read_text()) if self._file.exists() else {}
        )

    def model_of(self, name: str) -> str:
        """The model behind a deployment. Raises ApiError 404."""
        model = self._made.get(name)
        if model is not None:
            return model
        row = self._store.get_model(name)
        if row is None or row.adapter is not None:  # a tuned model has to be deployed first
            raise _not_deployed()
        return name

    def deploy(self, name: str, model: str) -> None:
        """Let a model answer under this name. Raises ApiError for a model that does not exist."""
        found_model(self._store, model)
        self._made[name] = model
        self._write()

    def remove(self, name: str) -> None:
        """End a deployment; the model stays."""
        if self._made.pop(name, None) is not None:
            self._write()

    def _write(self) -> None:
        write_atomic(self._file, json.dumps(self._made, indent=2))


class AzurePaths:
    """Outermost: gives each request the path that OpenAI's service has for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = _translated(scope)
        await self._app(scope, receive, send)


class AzureModels:
    """Inside the service's limits: puts the model of a deployment into a request that asks one."""

    def __init__(self, app: ASGIApp, deployments: Deployments) -> None:
        self._app, self._deployments = app, deployments

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in GENERATION | {EMBEDDINGS}:
            try:
                receive = await self._deployed(scope, receive)
            except ApiError as error:
                await errors.response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _deployed(self, scope: Scope, receive: Receive) -> Receive:
        request = Request(scope, receive)
        body = await json_object(request)
        name = scope.get(_DEPLOYMENT) or text(body, "model")
        if name is None:
            raise missing("model")
        body["model"] = self._deployments.model_of(name)
        return given(json.dumps(body).encode(), receive)


def router(deployments: Deployments) -> APIRouter:
    """Deployments, as the management path has them."""
    routes = APIRouter(tags=["Azure"])

    @routes.put("/deployments/{name}")
    async def create_deployment(request: Request, name: str) -> JSONResponse:
        """Deploy a model: {"sku": ..., "properties": {"model": {"name": ...}}}."""
        body = await json_object(request)
        model = text(member(member(body, "properties"), "model", "properties."), "name")
        if model is None:
            raise missing("properties.model.name")
        note(request, model=model)
        deployments.deploy(name, model)
        return JSONResponse(_described(name, model), 201)

    @routes.get("/deployments/{name}")
    def retrieve_deployment(name: str) -> JSONResponse:
        """A deployment and its state."""
        return JSONResponse(_described(name, deployments.model_of(name)))

    @routes.delete("/deployments/{name}")
    def delete_deployment(name: str) -> JSONResponse:
        """End a deployment."""
        deployments.remove(name)
        return JSONResponse({})

    return routes


def _translated(scope: Scope) -> Scope:
    path = scope["path"]
    if (management := _MANAGEMENT.fullmatch(path)) is not None:
        return _at(scope, _DEPLOYMENTS + management["name"])
    if (newer := _NEWER.fullmatch(path)) is not None:
        return _at(scope, API + newer["rest"])
    if path.startswith(API):  # a client whose base_url names this service's own paths
        path = "/openai/" + path.removeprefix(API)
    older = _OLDER.fullmatch(path)
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    if older is None or "api-version" not in query:  # without a version there is no such page
        return scope
    return {**_at(scope, API + older["rest"]), _DEPLOYMENT: older["name"]}


def _at(scope: Scope, path: str) -> Scope:
    return {**scope, "path": path, "raw_path": path.encode()}


def _described(name: str, model: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "Microsoft.CognitiveServices/accounts/deployments",
        "sku": {"name": "developertier", "capacity": 1},
        "properties": {
            "model": {"format": "OpenAI", "name": model, "version": "1"},
            "provisioningState": "Succeeded",
        },
    }


def _not_deployed() -> ApiError:
    return ApiError(
        404,
        "The API deployment for this resource does not exist. If you created the deployment "
        "within the last 5 minutes, please wait a moment and try again.",
        code="DeploymentNotFound",
    )

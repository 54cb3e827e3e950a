"""The service: its routes, its middleware, and the threads that start and stop with it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from fastapi import FastAPI

from grader import __version__
from grader.openai_sim.api import azure, files, jobs, models
from grader.openai_sim.api.job_request import SEED_MOST
from grader.openai_sim.api.middleware import ServiceMiddleware
from grader.openai_sim.jobs.job_validation import Admission
from grader.openai_sim.pages import pages
from grader.openai_sim.services import Services
from grader.openai_sim.store import error_handlers, errors
from grader.openai_sim.store.clock import Clock, MachineClock
from grader.openai_sim.store.journal import Journal
from grader.openai_sim.store.scenarios import AZURE, FaultInjector
from grader.openai_sim.store.store import SimulatorStore

if TYPE_CHECKING:
    from fastapi import APIRouter

_CHAT: Final = "grader.openai_sim.api.chat"
_ENVELOPE: Final = {"$ref": "#/components/schemas/ErrorEnvelope"}


class RunsJobs(Protocol):
    """Trains queued jobs, one after another."""

    def start(self) -> None:
        """Start; jobs that an earlier run of the service left running come first."""

    def stop(self) -> None:
        """Stop, together with the process of a job that still runs."""


class SimulatorApp(FastAPI):
    """FastAPI whose description has errors as they are: in the envelope, and never 422."""

    services: Services

    def openapi(self) -> dict[str, Any]:
        """The description of all routes."""
        if self.openapi_schema is None:
            described = super().openapi()
            schemas = described.setdefault("components", {}).setdefault("schemas", {})
            for gone in ("HTTPValidationError", "ValidationError"):
                schemas.pop(gone, None)
            made = errors.ErrorEnvelope.model_json_schema(
                ref_template="#/components/schemas/{model}"
            )
            schemas.update(made.pop("$defs"), ErrorEnvelope=made)
            refused = {
                "description": "An error",
                "content": {"application/json": {"schema": _ENVELOPE}},
            }
            for path, operations in described["paths"].items():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
                    operation["responses"] |= {"4XX": refused, "5XX": refused}
                    if path.startswith("/v1/"):
                        operation["security"] = [{"key": []}]
            described["components"]["securitySchemes"] = {
                "key": {"type": "http", "scheme": "bearer"}
            }
        return self.openapi_schema or described


def create_app(
    home: Path,
    *,
    runner: RunsJobs | None = None,
    server: Any = None,
    scenarios: Sequence[str] = (),
    key: str | None = None,
    seed: int = 0,
    job_seed: int | None = None,
    clock: Clock | None = None,
    journal: Journal | None = None,
) -> SimulatorApp:
    """The service whose state lies in `home`.

    Without a `runner` jobs stay in the queue; without a `server` no model answers. Clients must
    send the `key`; None accepts any. Jobs live by the `clock`, which is the machine's
    unless another is given. Those that name no seed have `job_seed`, or one drawn at random. A
    `journal` gets a line for each request.
    Raises UsageError for a scenario that is none and a store of another version.
    """
    store = SimulatorStore.open(home)
    models.add_bases(store, () if server is None else server.bases)
    faults = FaultInjector(scenarios, seed)
    clock = clock or MachineClock()
    admission = Admission(store, faults, clock)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        admission.start()
        if runner is not None:
            runner.start()
        try:
            yield
        finally:
            admission.stop()
            if runner is not None:
                runner.stop()

    app = SimulatorApp(
        title="finegrade simulate",
        description="OpenAI's fine-tuning service on this machine, with the course's own model.",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.services = Services(store, faults, clock, admission, journal, partial(_job_seed, job_seed))
    error_handlers.install(app)
    if server is not None and find_spec(_CHAT) is not None:  # first: it is asked most
        chat: APIRouter = import_module(_CHAT).router(server)
        app.include_router(chat, prefix="/v1")
    for router in (files.router, jobs.router, models.router):
        app.include_router(router, prefix="/v1")
    app.include_router(pages.router)
    if faults.has(AZURE):
        deployments = azure.Deployments(home, store)
        app.include_router(azure.router(deployments), prefix="/v1")
        app.add_middleware(azure.AzureModels, deployments=deployments)
    app.add_middleware(ServiceMiddleware, used=app.services, key=key)
    if faults.has(AZURE):
        app.add_middleware(azure.AzurePaths)  # outermost: whoever is inside sees one kind of path
    return app


def _job_seed(given: int | None) -> int:
    return secrets.randbelow(SEED_MOST) if given is None else given

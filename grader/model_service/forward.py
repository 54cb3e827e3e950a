"""The instructor's own endpoint behind a run's model service. The key never enters the sandbox.

Only requests to models are forwarded. Files and jobs are not: the instructor would pay for them,
and they would outlive the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import httpx
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from grader.core.openai_wire import EMBEDDINGS, GENERATION, MODELS
from grader.openai_sim.store import errors
from grader.openai_sim.store.errors import ApiError
from grader.openai_sim.store.journal import NOTES

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from grader.openai_sim.store.clock import ProgramClock

_FORWARDED: Final = {
    *(("POST", path) for path in (*GENERATION, EMBEDDINGS)),
    ("GET", MODELS),
}
_INSTRUCTORS_FAULT: Final = (401, 403)  # the key is the instructor's
_RETURNED_HEADERS: Final = ("content-type", "retry-after", "x-request-id")
_TIMEOUT: Final = httpx.Timeout(120.0, connect=10.0)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An instructor's model service in place of the simulator. `url` ends in "/v1"."""

    url: str
    key: str = field(repr=False)

    @contextmanager
    def service(self, scenarios: Sequence[str], clock: ProgramClock) -> Iterator[ASGIApp]:
        """The service of one run; it has neither scenarios nor jobs."""
        yield Forwarder(self.url, self.key)

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to close."""


class Forwarder:
    """An ASGI application that forwards requests to `url` (which ends in "/v1") with `key`."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.removesuffix("/").removesuffix("/v1")
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if (request.method, request.url.path) not in _FORWARDED:
            error = ApiError(404, f"Here is no {request.method} {request.url.path}.")
            await errors.response(error)(scope, receive, send)
            return
        # A client for each request: none is left to close when the run ends.
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as client:
            response = await self._forward(client, request)
            await response(scope, receive, send)

    async def _forward(self, client: httpx.AsyncClient, request: Request) -> Response:
        asked = client.build_request(
            request.method,
            self._url + request.url.path,
            content=await request.body(),
            headers={"content-type": "application/json", "authorization": f"Bearer {self._key}"},
        )
        try:
            answer = await client.send(asked, stream=True)
        except httpx.HTTPError as error:
            request.scope[NOTES] = {
                "fault": f"the endpoint did not answer ({type(error).__name__})"
            }
            return errors.response(ApiError(502, "The model's endpoint did not answer."))
        if answer.status_code in _INSTRUCTORS_FAULT or answer.status_code >= 500:
            request.scope[NOTES] = {"fault": f"the endpoint answered {answer.status_code}"}
        headers = {
            name: answer.headers[name] for name in _RETURNED_HEADERS if name in answer.headers
        }
        background = BackgroundTask(answer.aclose)
        return StreamingResponse(
            answer.aiter_bytes(), answer.status_code, headers, background=background
        )

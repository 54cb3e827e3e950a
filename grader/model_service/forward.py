"""The instructor's own endpoint behind a run's model service. The key never enters the sandbox.

What lends a program network, key and money sends no request of the program's. It sends its own
(`endpoint_request`), for chat completions alone, and only while tokens of the run and dollars of
the class are left for the most that it can take (`spending`). What goes wrong at the endpoint, or
with the budget, is the grader's fault: the run stays unknown and costs no mark.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx
from starlette.requests import Request
from starlette.responses import Response

from grader.core.constants import MIB
from grader.core.errors import GraderFault
from grader.core.openai_wire import CHAT
from grader.model_service.endpoint_request import (
    LENGTH,
    SAMPLING,
    EndpointRequest,
    endpoint_request,
)
from grader.model_service.metering import GatewayLimits
from grader.model_service.spending import Allowance, Budget, Reservation, UsedUp
from grader.openai_sim.store import errors
from grader.openai_sim.store.errors import ApiError
from grader.openai_sim.store.journal import NOTES

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from grader.openai_sim.store.clock import ProgramClock
    from grader.training_data.costs import Rates

_PROGRAMS_FAULT: Final = (400, 413, 422)  # such as a prompt that is too long
_TRY_AGAIN: Final = (408, 409, 425, 429, 500, 502, 503, 504, 529)  # none of these is billed
_NEVER_BETTER: Final = ("insufficient_quota", "model_not_found")  # the instructor's to change
_WAITS: Final = (1.0, 4.0, 10.0)  # seconds before each further try; the endpoint may name more
_LONGEST_WAIT: Final = 30.0  # seconds
_AT_ONCE: Final = 8  # requests of one run: none takes the rate limit of the whole class
_OLD_LENGTH: Final = "max_tokens"  # the name of LENGTH in services that do not know the new one
_MAX_RESPONSE_BYTES: Final = 8 * MIB
_TIMEOUT: Final = httpx.Timeout(300.0, connect=10.0)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Endpoint:
    """An instructor's model service in place of the simulator. `url` ends in "/v1"."""

    url: str
    key: str = field(repr=False)
    model: str
    rates: Rates
    budget: Budget
    waits: Sequence[float] = _WAITS
    stopped: bool = False
    """Whether a request did not fit into the budget: no other is sent."""

    @contextmanager
    def service(self, scenarios: Sequence[str], clock: ProgramClock) -> Iterator[ASGIApp]:
        """The service of one run; it has neither scenarios nor jobs.

        Raises GraderFault once the budget is used up.
        """
        if self.stopped:
            raise GraderFault(self.stop_reason())
        yield Forwarder(self)

    def stop_reason(self) -> str:
        """That the budget is used up."""
        return f"the budget of USD {self.budget.limit:.2f} for {self.model} is used up"

    def cost(self, prompt_tokens: int, answer_tokens: int) -> float:
        """USD for so many tokens; cached ones count in full."""
        return (prompt_tokens * self.rates.input + answer_tokens * (self.rates.output or 0)) / 1e6

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to close."""


class _EndpointFault(Exception):
    """The grader's side cannot answer. The text says why, for the instructor."""


class Forwarder:
    """An ASGI application: the model service of one run, which asks an endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._tokens = Allowance(GatewayLimits().tokens)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._fault: str | None = None
        # Fields that the endpoint refuses. Each run finds out by itself: one that sends wrong
        # values must not take a field from others.
        self._unsupported: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response: Response
        try:
            body = await self._answer(Request(scope, receive))
            response = Response(body, media_type="application/json")
        except ApiError as error:
            response = errors.response(error)
        except Exception as error:  # none of these may cost the program anything
            if isinstance(error, _EndpointFault):
                self._fault = str(error)
            else:
                _log.exception("a request could not be forwarded")
                self._fault = f"a request could not be forwarded ({type(error).__name__})"
            scope[NOTES] = {"fault": self._fault}
            response = errors.response(
                ApiError(
                    502,
                    "The model's endpoint did not answer.",
                    headers={"x-should-retry": "false"},
                )
            )
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> bytes:
        if (request.method, request.url.path) != ("POST", CHAT):
            raise ApiError(404, f"This model answers POST {CHAT} alone.", code="unknown_url")
        chat = endpoint_request(await request.body(), self._endpoint.model)
        return await self._in_turn(chat)

    async def _in_turn(self, chat: EndpointRequest) -> bytes:
        async with self._turns:
            if self._fault is not None:  # the run's evidence is lost, so nothing more is spent
                raise _EndpointFault(self._fault)
            return await self._reserved(chat)

    async def _reserved(self, chat: EndpointRequest) -> bytes:
        """The endpoint's response, paid from what the run and the class have left."""
        endpoint = self._endpoint
        most = chat.prompt_tokens, chat.answer_tokens
        try:
            async with self._tokens.reserve(sum(most)) as tokens:
                try:
                    async with endpoint.budget.reserve(endpoint.cost(*most)) as usd:
                        return await self._settled(chat, tokens, usd)
                except UsedUp:
                    endpoint.stopped = True
                    raise _EndpointFault(endpoint.stop_reason()) from None
        except UsedUp:
            raise ApiError(
                429,
                f"This run may use {self._tokens.limit:.0f} tokens.",
                type="rate_limit_error",
                code="run_limit_reached",
                headers={"x-should-retry": "false"},
            ) from None

    async def _settled(self, chat: EndpointRequest, tokens: Reservation, usd: Reservation) -> bytes:
        """Without a response the reservations stand: nobody knows what the endpoint bills."""
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as client:
            try:
                status, body = await self._sent(client, chat)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                tokens.used = usd.used = 0
                raise _no_answer(error) from error
            except httpx.HTTPError as error:
                raise _no_answer(error) from error
        reply = _object(body)
        if status != 200:
            tokens.used = usd.used = 0
            code = _error_of(reply).get("code")
            if status in _PROGRAMS_FAULT and code not in _NEVER_BETTER:
                raise ApiError(status, "The model refused this request.", code="refused_by_model")
            raise _EndpointFault(f"the endpoint answered {status}")
        if not isinstance(reply.get("choices"), list):
            raise _EndpointFault("the endpoint's response is no chat completion")
        used = chat.used(reply)
        tokens.used, usd.used = sum(used), self._endpoint.cost(*used)
        return body

    async def _sent(self, client: httpx.AsyncClient, chat: EndpointRequest) -> tuple[int, bytes]:
        """The last response's status and body. Tries again where that may help."""
        waits = iter(self._endpoint.waits)
        while True:
            fields = self._supported(chat.body)
            status, headers, body = await self._post(client, fields)
            error = _error_of(_object(body))
            if status in _PROGRAMS_FAULT and self._learn(fields, error.get("param"), body):
                continue
            wait = next(waits, None)
            if status not in _TRY_AGAIN or error.get("code") in _NEVER_BETTER or wait is None:
                return status, body
            await asyncio.sleep(max(wait, _seconds(headers.get("retry-after", ""))))

    def _learn(self, fields: Mapping[str, Any], param: Any, body: bytes) -> bool:
        """Whether a refusal says which of the fields this endpoint does not know or support."""
        if not isinstance(param, str) and LENGTH.encode() in body:
            param = LENGTH
        if param not in (LENGTH, *SAMPLING) or param not in fields:
            return False
        self._unsupported.add(param)
        return True

    def _supported(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in fields.items() if name not in self._unsupported}
        if LENGTH in self._unsupported:
            kept[_OLD_LENGTH] = fields[LENGTH]
        return kept

    async def _post(
        self, client: httpx.AsyncClient, fields: Mapping[str, Any]
    ) -> tuple[int, httpx.Headers, bytes]:
        url = self._endpoint.url.removesuffix("/").removesuffix("/v1") + CHAT
        headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {self._endpoint.key}",
        }
        content = json.dumps(fields).encode()
        async with client.stream("POST", url, content=content, headers=headers) as response:
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > _MAX_RESPONSE_BYTES:
                    raise _EndpointFault(f"the endpoint sent more than {_MAX_RESPONSE_BYTES} bytes")
            return response.status_code, response.headers, bytes(body)


def _no_answer(error: httpx.HTTPError) -> _EndpointFault:
    return _EndpointFault(f"the endpoint did not answer ({type(error).__name__})")


def _object(body: bytes) -> Mapping[str, Any]:
    """The JSON object of a response; an empty one for anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _error_of(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    error = reply.get("error")
    return error if isinstance(error, dict) else {}


def _seconds(retry_after: str) -> float:
    """Of a header that names seconds; a date is not waited for."""
    try:
        return min(float(retry_after), _LONGEST_WAIT)
    except ValueError:
        return 0.0

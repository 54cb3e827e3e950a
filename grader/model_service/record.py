"""The record of a run's model service: every request and its response, as the grader saw them.

The bytes come from an untrusted program; they are kept as they came, up to a limit.

A replay repeats the recorded responses and needs no model. A request is known by its digest; equal
requests get their recorded responses in order, and a GET beyond the last gets that one again. A
request that was not recorded is refused and counted: the program has gone another way, and needs
the model. Requests that a limit of the recorded run refused never reached the service.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from grader.core.constants import RECORD_MAX_BODY_BYTES, RECORD_MAX_BYTES
from grader.openai_sim.store import errors
from grader.openai_sim.store.clock import ProgramClock
from grader.openai_sim.store.errors import ApiError
from grader.openai_sim.store.journal import BODY, NOTES
from grader.openai_sim.store.parameters import BODY_MAX_VALUES, json_values

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

CLIENT_LEFT: Final = 499
"""The status of an exchange whose client disconnected before its response."""

_BOUNDARY: Final = re.compile(rb'boundary="?([^";,\s]{1,70})')
_WIRE_HEADERS: Final = frozenset(
    {b"connection", b"content-length", b"date", b"server", b"transfer-encoding"}
)
"""Headers of one transfer, which a replay does not repeat."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its response. `at` and `seconds` are on the program's own clock.

    `request` and `reply` are base64, "" where there was no body and None where it was not kept
    (the run's record was full, or the body too long). Equal requests have equal `digest`s.
    `status` is CLIENT_LEFT where the client left first. `notes` say what the service did with it.
    """

    at: float
    seconds: float
    method: str
    path: str
    query: str
    digest: str
    status: int
    retry_count: int | None
    user_agent: str
    request: str | None
    reply: str | None
    reply_headers: tuple[tuple[str, str], ...]
    refused: str
    notes: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Exchange:
        """The reverse of `as_json`."""
        headers = tuple((str(k), str(v)) for k, v in value["reply_headers"])
        return cls(**{**value, "reply_headers": headers})


@dataclass(slots=True)
class ServiceRecord:
    """The exchanges of one run, in the order in which they ended, and the run's clock."""

    clock: ProgramClock = field(default_factory=ProgramClock)
    exchanges: list[Exchange] = field(default_factory=list)
    refused_requests: int = 0
    """Beyond the limit on requests; not among the exchanges."""
    refused_connections: int = 0
    _kept: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, body: bytes) -> str | None:
        """A body in base64, None where it is not kept."""
        if len(body) > RECORD_MAX_BODY_BYTES:
            return None
        with self._lock:
            if self._kept + len(body) > RECORD_MAX_BYTES:
                return None
            self._kept += len(body)
        return base64.b64encode(body).decode()


def request_digest(method: str, path: str, query: str, content_type: bytes, body: bytes) -> str:
    """Equal for equal requests, whatever an upload's random boundary and the order of JSON keys."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is not None:
        body = body.replace(boundary[1], b"boundary")
    elif json_values(body) <= BODY_MAX_VALUES:  # more would take memory, and no service reads it
        with suppress(ValueError, RecursionError):  # no JSON: its bytes are what it is
            body = json.dumps(json.loads(body), sort_keys=True).encode()
    whole = b"\0".join((method.encode(), path.encode(), query.encode(), body))
    return hashlib.sha256(whole).hexdigest()


def kept_headers(raw: list[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """The headers of a response that a replay repeats."""
    return tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in raw
        if name.lower() not in _WIRE_HEADERS
    )


class Replay:
    """An ASGI application of recorded responses. `unknown` counts requests without one."""

    def __init__(self, exchanges: Iterable[Exchange]) -> None:
        self._known: dict[str, list[Exchange]] = defaultdict(list)
        self._given: dict[str, int] = defaultdict(int)
        self.unknown = 0
        for exchange in exchanges:
            if not exchange.refused:
                self._known[exchange.digest].append(exchange)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        digest = request_digest(
            scope["method"],
            scope["path"],
            scope.get("query_string", b"").decode("latin-1"),
            headers.get(b"content-type", b""),
            scope[BODY],
        )
        exchange = self._next(digest, scope["method"])
        if exchange is None:
            # Another try would not be recorded either.
            error = ApiError(
                503, "This request was not recorded.", headers={"x-should-retry": "false"}
            )
            await errors.response(error)(scope, receive, send)
            return
        scope[NOTES] = dict(exchange.notes)
        reply = base64.b64decode(exchange.reply or "")
        if exchange.status == CLIENT_LEFT:
            await _leave(exchange, reply, receive, send)
        else:
            answer = Response(reply, exchange.status, dict(exchange.reply_headers))
            await answer(scope, receive, send)

    def _next(self, digest: str, method: str) -> Exchange | None:
        known = self._known.get(digest, [])
        turn = self._given[digest]
        self._given[digest] += 1
        if method == "GET" and known:
            turn = min(turn, len(known) - 1)
        if turn >= len(known) or known[turn].reply is None:
            self.unknown += 1
            return None
        return known[turn]


async def _leave(exchange: Exchange, reply: bytes, receive: Receive, send: Send) -> None:
    """Send what the client had before it left, such as a stream's first words, and wait for that.

    Only successful responses come in pieces, so the status, which was not kept, is 200.
    """
    if exchange.reply_headers:
        headers = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in exchange.reply_headers]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": reply, "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass

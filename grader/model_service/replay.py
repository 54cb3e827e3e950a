"""A recorded run's model service: it repeats the recorded responses and needs no model.

A request is known by its digest; equal requests get their recorded responses in order, and a GET
beyond the last gets that one again. A request that was not recorded is refused and counted: the
program has gone another way, and needs the model. Requests that a limit of the recorded run
refused never reached the service.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from starlette.responses import Response

from grader.model_service.record import CLIENT_LEFT, Exchange, request_digest
from grader.openai_sim.store import errors
from grader.openai_sim.store.errors import ApiError
from grader.openai_sim.store.journal import BODY, NOTES

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


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

"""A recorded run's model service again: the same answers, and no model.

A request is known by its digest; equal requests get their recorded answers in order. One that
polls more often than it did gets the last of them again, since nothing depends on the count but
the clock. What was never asked before is refused and counted: the run has gone another way, and
needs the model. What a limit of the recorded run refused was never asked of the service.
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
from grader.openai_sim.store.journal import NOTES

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class Replay:
    """An ASGI application that answers as it was recorded. `unknown` counts what was not."""

    def __init__(self, exchanges: Iterable[Exchange]) -> None:
        self._known: dict[str, list[Exchange]] = defaultdict(list)
        self._given: dict[str, int] = defaultdict(int)
        self.unknown = 0
        for exchange in exchanges:
            if not exchange.refused:
                self._known[exchange.digest].append(exchange)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        headers = dict(scope["headers"])
        digest = request_digest(
            scope["method"],
            scope["path"],
            scope.get("query_string", b"").decode("latin-1"),
            headers.get(b"content-type", b""),
            bytes(body),
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
    """What came before the client left, such as a stream's first words; then it is awaited again.

    Only what is answered well comes in pieces, so the status that was not kept is 200.
    """
    if exchange.reply_headers:
        headers = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in exchange.reply_headers]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": reply, "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass

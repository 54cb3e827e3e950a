"""The gateway with a model of one sentence behind it: what the suite's programs may ask."""

from __future__ import annotations

import base64
import json
import socket
from typing import TYPE_CHECKING, Any

from grader.sandbox.gateway import Gateway, GatewayLimits
from grader.sandbox.launch import Served
from grader.sandbox.record import Record

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class SentenceService:
    """A `WatchedService`: it has the real gateway's walls, and every answer is the same."""

    def __init__(self, gateway: Gateway, limits: GatewayLimits | None = None) -> None:
        self._gateway = gateway
        self._limits = limits or GatewayLimits()
        self._record = Record()

    def serve(self, listener: socket.socket) -> Served:
        """As `Serve`."""
        return self._gateway.serve(_answer, self._record, self._limits, listener)

    def heard(self) -> bytes:
        """What the gateway recorded, texts and bodies as they came."""
        return b"\n".join(
            part
            for exchange in self._record.exchanges
            for part in (
                f"{exchange.method} {exchange.path}?{exchange.query} {exchange.user_agent}".encode(
                    errors="replace"
                ),
                base64.b64decode(exchange.request or ""),
            )
        )


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    status, content = _reply(str(scope["method"]), str(scope["path"]), bytes(body))
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


def _reply(method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    if (method, path) == ("GET", "/v1/models"):
        return 200, {"object": "list", "data": []}
    if (method, path) != ("POST", "/v1/chat/completions"):
        return 404, {"error": {"message": "there is no such page"}}
    try:
        asked = json.loads(body)
        known = isinstance(asked["messages"], list) and isinstance(asked["model"], str)
    except (ValueError, TypeError, KeyError, RecursionError):
        known = False
    if not known:
        return 400, {"error": {"message": "this is no chat"}}
    message = {"role": "assistant", "content": "An answer."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return 200, {"object": "chat.completion", "model": asked["model"], "choices": [choice]}

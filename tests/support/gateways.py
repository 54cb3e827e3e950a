"""Model services of one run each, on sockets of this machine."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from grader.model_service.gateway import Gateway
from grader.model_service.metering import GatewayLimits
from grader.model_service.record import ServiceRecord


class Echo:
    """Answers with its own name, what it was sent, and how many tokens that took."""

    def __init__(self, name: str = "echo", tokens: int = 0) -> None:
        self._name, self._tokens = name, tokens

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = await Request(scope, receive).body()
        answer = {"name": self._name, "bytes": len(body)}
        usage = {"usage": {"total_tokens": self._tokens}} if self._tokens else {}
        await JSONResponse(answer | usage)(scope, receive, send)


async def never(_scope: Any, receive: Any, _send: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@contextmanager
def served(
    gateway: Gateway,
    app: Any,
    limits: GatewayLimits | None = None,
    record: ServiceRecord | None = None,
) -> Iterator[tuple[int, ServiceRecord]]:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    record = record or ServiceRecord()
    line = gateway.serve(app, record, limits or GatewayLimits(), listener)
    try:
        yield port, record
    finally:
        line.close()


def ask(port: int, body: bytes = b"", path: str = "/v1/x", **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", path, body, {"content-type": "application/json", **headers})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()

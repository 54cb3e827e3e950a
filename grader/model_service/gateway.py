"""The model service of a run: a socket that listens inside the sandbox, limits and a record.

The socket that accepted a connection says which run a request belongs to; no header or key does.
One thread serves all runs. Each run has its own application, limits and record, and none can name
another's. The middleware here is the only one that reads a request's body and keeps a response.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import uvicorn
from starlette.datastructures import Headers
from starlette.responses import Response
from uvicorn.server import ServerState

from grader.core.constants import GATEWAY_CLOSE_SECONDS, MIB
from grader.core.openai_wire import JOBS
from grader.model_service.client_turns import ClientTurns
from grader.model_service.record import (
    CLIENT_LEFT,
    Exchange,
    ServiceRecord,
    kept_headers,
    request_digest,
)
from grader.openai_sim.store import errors
from grader.openai_sim.store.errors import ApiError
from grader.openai_sim.store.journal import BODY, NOTES, given
from grader.sandbox.inside.clock import SLEEP_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MAX_TEXT: Final = 300  # characters kept of a path, a query or a name of a program
_ENVELOPE_TYPE: Final = "rate_limit_error"
_LONGEST_SLEEP: Final = 1e9  # seconds
_CLIENT_WAITS: Final = "x-stainless-read-timeout"  # seconds, as OpenAI's clients send it
_PATIENCE_SECONDS: Final = 300.0  # with other clients; a busy machine may train for so long


class RunMeter:
    """ASGI middleware around the service of one run: limits, the program's clock, the record."""

    def __init__(self, app: ASGIApp, record: ServiceRecord, limits: GatewayLimits) -> None:
        self._app, self._record, self._limits = app, record, limits
        self._requests = self._tokens = self._bytes = self._at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # no web socket and no lifespan comes from a program
        with self._record.clock.request():
            if (scope["method"], scope["path"]) == ("POST", SLEEP_PATH):
                await self._sleep(scope, receive, send)
            else:
                await self._request(scope, receive, send)

    async def _sleep(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer when the program may wake. Sleeps are neither recorded nor limited in number."""
        try:
            seconds = float(scope["query_string"])
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < _LONGEST_SLEEP:
            await errors.response(ApiError(400, "Expected seconds."))(scope, receive, send)
            return
        asleep = asyncio.ensure_future(self._record.clock.sleep(seconds))
        left = asyncio.ensure_future(_until_left(receive))
        try:
            await asyncio.wait((asleep, left), return_when=asyncio.FIRST_COMPLETED)
            if asleep.done():
                await Response(status_code=204)(scope, receive, send)
        finally:
            asleep.cancel()
            left.cancel()

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        at = self._record.clock.seconds()
        refused, body = "", b""

        def write() -> None:
            self._tokens += _tokens(bytes(reply.body))
            if refused == "requests":  # a flood must not fill the record
                self._record.refused_requests += 1
            else:
                self._write(scope, body, reply, at, refused)

        reply = _Reply(send, write)
        self._at_once += 1
        try:
            self._count()
            headers = Headers(scope=scope)
            body = await self._read(headers, receive)
            if scope["method"] == "GET" and scope["path"].startswith(JOBS):
                await self._record.clock.poll(_patience(headers))
            scope[BODY] = body
            await self._app(scope, given(body, receive), reply)
        except _LimitReached as limit:
            refused = limit.what
            await errors.response(limit.error())(scope, receive, reply)
        except _ClientLeft:
            pass
        finally:
            self._at_once -= 1
            reply.end()

    def _count(self) -> None:
        """Raises _LimitReached for one request too many."""
        self._requests += 1
        if self._requests > self._limits.requests:
            raise _LimitReached("requests", f"{self._limits.requests} requests")
        if self._tokens > self._limits.tokens:
            raise _LimitReached("tokens", f"{self._limits.tokens} tokens")
        if self._at_once > self._limits.at_once:
            raise _LimitReached(
                "at_once", f"{self._limits.at_once} requests at once", lasting=False
            )

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        """The whole body. Raises _LimitReached, and _ClientLeft when the client disconnects."""
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._limits.body_bytes:
            raise _LimitReached(
                "body", f"{self._limits.body_bytes} bytes in a request", too_large=True
            )
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientLeft
            piece = message.get("body", b"")
            self._bytes += len(piece)
            body += piece
            if len(body) > self._limits.body_bytes:
                raise _LimitReached(
                    "body", f"{self._limits.body_bytes} bytes in a request", too_large=True
                )
            if self._bytes > self._limits.total_bytes:
                raise _LimitReached(
                    "bytes", f"{self._limits.total_bytes} bytes in all", too_large=True
                )
            if not message.get("more_body", False):
                return bytes(body)

    def _write(self, scope: Scope, body: bytes, reply: _Reply, at: float, refused: str) -> None:
        headers = Headers(scope=scope)
        retries = headers.get("x-stainless-retry-count", "")
        method, path = scope["method"], scope["path"]
        query = scope.get("query_string", b"").decode("latin-1")
        kind = headers.get("content-type", "").encode("latin-1")
        self._record.exchanges.append(
            Exchange(
                at=round(at, 4),
                seconds=round(self._record.clock.seconds() - at, 4),
                method=method[:_MAX_TEXT],
                path=path[:_MAX_TEXT],
                query=query[:_MAX_TEXT],
                digest=request_digest(method, path, query, kind, body),
                status=reply.status if reply.done else CLIENT_LEFT,
                retry_count=int(retries) if retries.isdecimal() and len(retries) < 4 else None,
                user_agent=headers.get("user-agent", "")[:_MAX_TEXT],
                request=self._record.keep(body),
                reply=self._record.keep(bytes(reply.body)),
                reply_headers=kept_headers(reply.headers),
                refused=refused,
                notes=dict(scope.get(NOTES, {})),
            )
        )


def _patience(headers: Headers) -> float:
    """For how many seconds a response may be held back: half of what its client waits for it."""
    try:
        return min(_PATIENCE_SECONDS, float(headers.get(_CLIENT_WAITS, "")) / 2)
    except ValueError:
        return _PATIENCE_SECONDS


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _ClientLeft(Exception):
    """The client disconnected before its request was complete."""


class _LimitReached(Exception):
    """A limit of the run is reached."""

    def __init__(
        self, what: str, limit: str, *, lasting: bool = True, too_large: bool = False
    ) -> None:
        super().__init__(what)
        self.what, self._limit, self._lasting, self._too_large = what, limit, lasting, too_large

    def error(self) -> ApiError:
        """The refusal. Its headers stop the client from retrying where that is of no use."""
        return ApiError(
            413 if self._too_large else 429,
            f"This run may use {self._limit}.",
            type=_ENVELOPE_TYPE,
            code="run_limit_reached",
            headers=self._headers(),
        )

    def _headers(self) -> dict[str, str]:
        if self._too_large:
            return {"connection": "close"}  # else the rest of the body is read all the same
        return {"x-should-retry": "false"} if self._lasting else {"retry-after": "1"}


class _Reply:
    """Sends the response and keeps a copy.

    `write` is called once, before the last piece is sent: a client that has a response finds it in
    the record.
    """

    def __init__(self, send: Send, write: Callable[[], None]) -> None:
        self._send = send
        self._write: Callable[[], None] | None = write
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.done = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message["headers"])
        else:
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                self.done = True
                self.end()
        await self._send(message)

    def end(self) -> None:
        """Record the exchange, unless it is recorded."""
        if self._write is not None:
            self._write()
            self._write = None


def _tokens(reply: bytes) -> int:
    """The total tokens of the last usage in a response, streamed or not; 0 without one."""
    usage: Any = None
    for line in reply.split(b"\n") if reply.startswith(b"data:") else [reply]:
        if b'"usage"' in line:
            try:
                usage = json.loads(line.removeprefix(b"data:")).get("usage") or usage
            except (ValueError, AttributeError, RecursionError):
                continue
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return total if isinstance(total, int) and total > 0 else 0


_T = TypeVar("_T")
_BACKLOG: Final = 64
_TURNS_TO_CONNECT: Final = 3  # of the loop; asyncio needs two, and drops what it has not connected

_log = logging.getLogger(__name__)

# What a program does to its connections belongs in its record, not on the grader's terminal.
logging.getLogger("uvicorn.error").addHandler(logging.NullHandler())
logging.getLogger("uvicorn.error").propagate = False


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """How much one run may use of its model service. Part of the evidence's key."""

    requests: int = 2_000
    tokens: int = 2_000_000  # read and written
    body_bytes: int = 16 * MIB  # of one request
    total_bytes: int = 64 * MIB  # of all requests together
    at_once: int = 64  # requests
    connections: int = 128


class Gateway:
    """The thread that serves. Open it once; close it when no run is left."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._thread.start()

    def serve(
        self, app: ASGIApp, record: ServiceRecord, limits: GatewayLimits, listener: socket.socket
    ) -> RunService:
        """Serve `app` on `listener`; all exchanges go into `record`."""
        return self._call(self._open(app, record, limits, listener))

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(
        self, app: ASGIApp, record: ServiceRecord, limits: GatewayLimits, listener: socket.socket
    ) -> RunService:
        # Else responses wait 40 ms for the client's acknowledgement; connections inherit it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        meter = ClientTurns(RunMeter(app, record, limits), record.clock)
        config = uvicorn.Config(
            meter, lifespan="off", log_config=None, access_log=False, server_header=False
        )
        config.load()
        state = ServerState()
        server = await self._loop.create_server(
            partial(
                _speaker(config, record, limits.connections),
                config=config,
                server_state=state,
                app_state={},
            ),
            sock=listener,
            backlog=_BACKLOG,
        )
        return RunService(self, server, state, record)


class RunService:
    """One run's service."""

    def __init__(
        self, gateway: Gateway, server: asyncio.Server, state: ServerState, record: ServiceRecord
    ) -> None:
        self._gateway, self._server, self._state = gateway, server, state
        self._record = record

    @property
    def time_is_up(self) -> bool:
        """Whether the program has slept for longer than it may."""
        return self._record.clock.time_is_up

    @property
    def held_seconds(self) -> float:
        """Real seconds in which the program waited until a job had caught up."""
        return self._record.clock.held_seconds

    def close(self) -> None:
        """Stop serving. Requests under way are cancelled."""
        self._gateway._call(self._close())

    async def _close(self) -> None:
        loop = asyncio.get_running_loop()
        for listener in self._server.sockets:  # accept no more,
            loop.remove_reader(listener.fileno())
        for _ in range(_TURNS_TO_CONNECT):  # and what was accepted becomes a connection
            await asyncio.sleep(0)
        self._server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _, alive = await asyncio.wait(tasks, timeout=GATEWAY_CLOSE_SECONDS)
            if alive:
                _log.error("%d requests of a run did not end with it", len(alive))


def _speaker(config: uvicorn.Config, record: ServiceRecord, connections: int) -> Any:
    """uvicorn's protocol, which closes one connection too many."""
    spoken: Any = config.http_protocol_class  # uvicorn types it as any Protocol

    class ServiceServer(spoken):  # type: ignore[misc]
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if len(self.connections) > connections:
                record.refused_connections += 1
                transport.abort()

    return ServiceServer

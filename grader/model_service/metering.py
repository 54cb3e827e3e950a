"""What a run's requests may take, and their record: the middleware around its model service.

It is the only one that reads a request's body and keeps a response. A request is refused before it
costs anything: what is under way at once, in number, bytes and JSON values, is limited for the run.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers
from starlette.responses import Response

from grader.core.constants import MIB, RECORD_MAX_BODY_BYTES, RECORD_MAX_BYTES
from grader.core.openai_wire import FILES, GENERATION, JOBS
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
from grader.openai_sim.store.parameters import json_values
from grader.sandbox.inside.clock import SLEEP_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from grader.openai_sim.store.clock import ProgramClock

_MAX_TEXT: Final = 300  # characters kept of a path, a query or a name of a program
_ENVELOPE_TYPE: Final = "rate_limit_error"
_LONGEST_SLEEP: Final = 1e9  # seconds
_CLIENT_WAITS: Final = "x-stainless-read-timeout"  # seconds, as OpenAI's clients send it
_PATIENCE_SECONDS: Final = 300.0  # with other clients; a busy machine may train for so long
_BYTES_AT_ONCE: Final = 24 * MIB  # of the requests under way: an upload and a half at its largest
_REPLY_BYTES: Final = 2 * RECORD_MAX_BODY_BYTES  # looked at for its usage
_BYTES_PER_TOKEN: Final = 64  # of a response that nobody kept: it has log-probabilities
# Of all files of a run: they are checked in our process, the worst ones at up to 3 s/MiB. It is not
# among GatewayLimits, because no honest run comes near it.
_FILE_BYTES: Final = 24 * MIB
_VALUES_AT_ONCE: Final = 100_000  # of JSON in them; Python takes up to 1 kB for one


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """How much one run may use of its model service. Part of the evidence's key."""

    requests: int = 2_000
    tokens: int = 2_000_000  # read and written
    body_bytes: int = 16 * MIB  # of one request
    total_bytes: int = 64 * MIB  # of all requests together
    at_once: int = 64  # requests
    connections: int = 128


class RunMeter:
    """ASGI middleware around the service of one run: limits, the program's clock, the record."""

    def __init__(self, app: ASGIApp, record: ServiceRecord, limits: GatewayLimits) -> None:
        self._app, self._record, self._limits = app, record, limits
        self._requests = self._tokens = self._bytes = self._file_bytes = 0
        # Of what is under way:
        self._at_once = self._bytes_at_once = self._values_at_once = self._kept_at_once = 0

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
        values = 0

        def write() -> None:
            if reply.kept:
                self._tokens += _tokens(reply.body)
            elif scope["path"] in GENERATION:
                self._tokens += reply.size // _BYTES_PER_TOKEN
            if refused == "requests":  # a flood must not fill the record
                self._record.refused_requests += 1
            else:
                self._write(scope, body, reply, at, refused)

        reply = _Reply(send, write, self._keep)
        self._at_once += 1
        try:
            self._count()
            headers = Headers(scope=scope)
            body = await self._read(headers, receive)
            self._count_file(scope, body)
            values = self._count_values(headers, body)
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
            self._bytes_at_once -= len(body)
            self._values_at_once -= values
            reply.end()
            self._kept_at_once -= len(reply.body)

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
        try:
            return await self._read_into(body, receive)
        except BaseException:
            self._bytes_at_once -= len(body)
            raise

    async def _read_into(self, body: bytearray, receive: Receive) -> bytes:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientLeft
            piece = message.get("body", b"")
            self._bytes += len(piece)
            self._bytes_at_once += len(piece)
            body += piece
            if self._bytes_at_once > _BYTES_AT_ONCE:
                raise _LimitReached(
                    "at_once", f"{_BYTES_AT_ONCE} bytes of requests at once", lasting=False
                )
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

    def _count_file(self, scope: Scope, body: bytes) -> None:
        """Raises _LimitReached for an upload beyond what the run's files may have together."""
        if scope["method"] == "POST" and scope["path"].rstrip("/") == FILES:
            self._file_bytes += len(body)
            if self._file_bytes > _FILE_BYTES:
                raise _LimitReached("bytes", f"{_FILE_BYTES} bytes of files", too_large=True)

    def _count_values(self, headers: Headers, body: bytes) -> int:
        """The JSON values that count from now on. Raises _LimitReached for too many."""
        if headers.get("content-type", "").startswith("multipart/form-data"):
            return 0
        values = json_values(body)
        if values > _VALUES_AT_ONCE:
            raise _LimitReached("body", f"{_VALUES_AT_ONCE} JSON values at once", too_large=True)
        if self._values_at_once + values > _VALUES_AT_ONCE:
            raise _LimitReached(
                "at_once", f"{_VALUES_AT_ONCE} JSON values of requests at once", lasting=False
            )
        self._values_at_once += values
        return values

    def _keep(self, size: int) -> bool:
        """Whether there is room for so many more bytes of responses that are under way."""
        if self._kept_at_once + size > RECORD_MAX_BYTES:
            return False
        self._kept_at_once += size
        return True

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
                reply=self._record.keep(bytes(reply.body)) if reply.kept else None,
                reply_headers=kept_headers(reply.headers),
                refused=refused,
                notes=dict(scope.get(NOTES, {})),
            )
        )


class ClientTurns:
    """ASGI middleware: tells the run's clock when its service waits for the program."""

    def __init__(self, app: ASGIApp, clock: ProgramClock) -> None:
        self._app, self._clock = app, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A program that sends its request slowly, or reads its response slowly, has the turn.

        Behind the request's end the service only waits to hear that the program has left.
        """
        sent = False

        async def received() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            with self._clock.client_turn():
                message = await receive()
            sent = not message.get("more_body", False)
            return message

        async def answered(message: Message) -> None:
            with self._clock.client_turn():
                await send(message)

        await self._app(scope, received, answered)


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
    the record. A response is not `kept` where `keep` has no room for it.
    """

    def __init__(self, send: Send, write: Callable[[], None], keep: Callable[[int], bool]) -> None:
        self._send, self._keep = send, keep
        self._write: Callable[[], None] | None = write
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.size = 0
        self.kept = True
        self.done = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message["headers"])
        else:
            piece = message.get("body", b"")
            self.size += len(piece)
            self.kept = self.kept and self.size <= _REPLY_BYTES and self._keep(len(piece))
            if self.kept:
                self.body += piece
            if not message.get("more_body", False):
                self.done = True
                self.end()
        await self._send(message)

    def end(self) -> None:
        """Record the exchange, unless it is recorded."""
        if self._write is not None:
            self._write()
            self._write = None


def _tokens(reply: bytes | bytearray) -> int:
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

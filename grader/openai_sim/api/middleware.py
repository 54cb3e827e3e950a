"""The middleware of the service: limits, keys, scenarios, headers, and the journal."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

from grader.core.constants import DATA_MAX_FILE_BYTES, MIB
from grader.core.openai_wire import API
from grader.core.payloads import SERVICE_FAULT
from grader.openai_sim.decoding.model_names import ORGANIZATION
from grader.openai_sim.store import errors, journal
from grader.openai_sim.store.errors import ApiError
from grader.openai_sim.store.parameters import (
    BODY_MAX_BYTES,
    BODY_MAX_VALUES,
    given_key,
    json_values,
)
from grader.openai_sim.store.scenarios import Effect, InjectedFault, ScenarioCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from grader.openai_sim.services import Services

_MOST_AT_ONCE: Final = 256  # requests; 64 chats at once are a whole class
_UPLOAD_MAX_BYTES: Final = DATA_MAX_FILE_BYTES + MIB  # and what multipart writes around the file
_LOST_SECONDS: Final = 600.0  # that a response stays away: the client's own patience
# On any clock, since a client's time-outs are real. No round number: ten seconds is one of theirs.
_LOST_LEAST_SECONDS: Final = 12.5
_OPEN: Final = ("/health",)
_STREAM: Final = b"text/event-stream"
_STREAMED_PIECES: Final = 3  # that come of a stream that is cut: the role and two of the text
_OWN_SITES: Final = ("none", "same-origin")  # of Sec-Fetch-Site; another port is "same-site"
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_EXPLAINED: Final = {"scenario", SERVICE_FAULT, journal.MACHINE_FAULT}

_log = logging.getLogger(__name__)


class ServiceMiddleware:
    """ASGI middleware around the whole service.

    A body that somebody before it has read (BODY in the scope) is not read again. Without a
    journal no line is written: whoever serves has a record of its own.

    With a `key` every page but the health page needs it; browsers send it as the password of any
    user. Without one any key opens the service, and only requests that name this machine as their
    host are let in. In both cases no page of another origin reaches it through a browser, with
    whatever method: a browser sends a password that it knows with those requests too.
    """

    def __init__(self, app: ASGIApp, used: Services, key: str | None) -> None:
        self._app = app
        self._journal, self._faults, self._clock = used.journal, used.faults, used.clock
        self._key = key
        self._at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        notes = journal.begin(scope)
        started, begun = time.time(), time.perf_counter()
        headers = Headers(scope=scope)

        def write() -> None:
            # What a browser asks is no program's doing, and an open page asks every second.
            if self._journal is not None and scope["path"].startswith(API):
                took = time.perf_counter() - begun
                self._journal.write(_line(scope, headers, answer, notes, started, took))

        answer = _ResponseStart(send, notes, write)
        self._at_once += 1
        try:
            await self._handle(scope, headers, receive, answer, notes)
        except ApiError as error:
            await errors.response(error)(scope, receive, answer)
        except Exception as error:  # ours: the client gets the envelope, the log the trace
            _log.exception("A request failed")
            journal.note_fault(scope, error)
            if answer.status is None:
                await errors.response(errors.server_fault())(scope, receive, answer)
        finally:
            self._at_once -= 1
            answer.end()

    async def _handle(
        self,
        scope: Scope,
        headers: Headers,
        receive: Receive,
        answer: _ResponseStart,
        notes: dict[str, Any],
    ) -> None:
        path = scope["path"]
        key = given_key(headers)
        self._let_in(path, headers, key, notes)
        if self._at_once > _MOST_AT_ONCE:
            raise errors.overloaded()
        receive = await _limited(scope, headers, receive, notes)
        fault = None
        if path.startswith(API):
            call = ScenarioCall(
                scope["method"],
                path,
                key or "",
                str(notes.get("model", "")),
                str(notes.get("body_digest", "")),
            )
            fault = self._faults.on(call)
        if fault is None:
            await self._app(scope, receive, answer)
            return
        await self._inject(fault, scope, receive, answer, notes)

    async def _inject(
        self,
        fault: InjectedFault,
        scope: Scope,
        receive: Receive,
        answer: _ResponseStart,
        notes: dict[str, Any],
    ) -> None:
        """Carry out a scenario's fault, and note it where the client can see it."""

        def injected() -> None:
            notes["scenario"] = fault.scenario

        if fault.effect is Effect.CUT:
            answer.cut = injected
            await self._app(scope, receive, answer)
            return
        injected()
        match fault.effect:
            case Effect.REFUSE:
                assert fault.error is not None  # every scenario that refuses says how
                raise fault.error
            case Effect.LOSE:
                lost = _ResponseStart(_nowhere, notes)
                await self._app(scope, receive, lost)
                answer.lost = True
                patience = max(_LOST_LEAST_SECONDS, self._clock.real(_LOST_SECONDS))
                try:
                    async with asyncio.timeout(patience):
                        while (await receive())["type"] != "http.disconnect":
                            pass
                except TimeoutError:
                    pass
                await errors.response(errors.server_fault())(scope, receive, answer)

    def _let_in(self, path: str, headers: Headers, key: str | None, notes: dict[str, Any]) -> None:
        """Raises ApiError for a request without the right key or host."""
        if path in _OPEN:
            return
        if _from_another_page(headers):
            raise ApiError(
                403,
                "A page of another site sent this request. Open this service's own address in "
                "the browser.",
            )
        if self._key is None:
            if not _is_local(headers):
                raise ApiError(403, "This service answers only to its own machine.")
            if key is None and not _is_page(path):
                raise errors.no_key()
        elif key is None:
            refusal = errors.no_key()
            if _is_page(path):
                refusal.headers["www-authenticate"] = 'Basic realm="finegrade simulate"'
            raise refusal
        elif not secrets.compare_digest(key.encode(), self._key.encode()):
            notes["wrong_key"] = True
            raise errors.wrong_key(key)


class _ResponseStart:
    """Sends the response: notes its status and adds the headers that every response has.

    `write` is called once, before the last piece is sent: a client that has a response finds it in
    the journal.
    """

    def __init__(
        self, send: Send, notes: dict[str, Any], write: Callable[[], None] | None = None
    ) -> None:
        self._send, self._notes = send, notes
        self._write = write
        self._begun = time.perf_counter()
        self._held: Message | None = None
        self._pieces = 0
        self.id = f"req_{secrets.token_hex(16)}"
        self.status: int | None = None
        self.cut: Callable[[], None] | None = None
        """Called when the response can be cut, which then happens."""
        self.lost = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.status >= 500 and not _EXPLAINED & self._notes.keys():
                self._notes[SERVICE_FAULT] = str(self.status)
            headers = MutableHeaders(raw=list(message["headers"]))
            headers["x-request-id"] = self.id
            headers["openai-version"] = "2020-10-01"
            headers["openai-organization"] = ORGANIZATION
            took = 1000 * (time.perf_counter() - self._begun)
            headers["openai-processing-ms"] = str(round(took))
            message = {**message, "headers": headers.raw}
            if self.cut is not None and self.status == 200:
                self.cut()
                self._held = message
                return
        elif not message.get("more_body", False):
            self.end()
        if self._held is not None:
            await self._send_cut(self._held, message)
        else:
            await self._send(message)

    def end(self) -> None:
        """Write the journal's line, unless it is written."""
        if self._write is not None:
            self._write()
            self._write = None

    async def _send_cut(self, start: Message, message: Message) -> None:
        """Send the head that was held back and a part of the body as the whole of it.

        Of a stream that is some whole pieces, else the first half.
        """
        body = message.get("body", b"")
        if _STREAM in dict(start["headers"]).get(b"content-type", b""):
            if self._pieces == 0:
                await self._send(start)
            self._pieces += 1
            more = self._pieces < _STREAMED_PIECES and message.get("more_body", False)
            await self._send({"type": "http.response.body", "body": body, "more_body": more})
            if not more:
                self._send = _nowhere
            return
        body = body[: len(body) // 2]
        headers = MutableHeaders(raw=list(start["headers"]))
        headers["content-length"] = str(len(body))
        await self._send({**start, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
        self._send = _nowhere


async def _nowhere(_message: Message) -> None:
    """Send nothing."""


async def _limited(
    scope: Scope, headers: Headers, receive: Receive, notes: dict[str, Any]
) -> Receive:
    """`receive` with a limit on the body. A JSON body is read at once, and noted."""
    known: bytes | None = scope.get(journal.BODY)
    upload = headers.get("content-type", "").startswith("multipart/form-data")
    limit = _UPLOAD_MAX_BYTES if upload else BODY_MAX_BYTES
    announced = headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise errors.too_large(limit)
    if upload:
        return _counted(receive, limit)
    body = await _read(receive, limit) if known is None else known
    if len(body) > limit:
        raise errors.too_large(limit)
    if json_values(body) > BODY_MAX_VALUES:
        raise errors.too_many_values(BODY_MAX_VALUES)
    if body:
        notes["body_digest"] = hashlib.sha256(body).hexdigest()[:16]
        _note_model(body, notes)
    return receive if known is not None else journal.given(body, receive)


async def _read(receive: Receive, limit: int) -> bytes:
    """The whole body. Raises ApiError for one that is too large."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > limit:
            raise errors.too_large(limit)
        if not message.get("more_body", False):
            return bytes(body)


def _counted(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise errors.too_large(limit)
        return message

    return counted


def _note_model(body: bytes, notes: dict[str, Any]) -> None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    if isinstance(value, dict) and isinstance(value.get("model"), str):
        notes["model"] = journal.short(value["model"])


def _is_page(path: str) -> bool:
    """Whether people open this in a browser, which sends no bearer key."""
    return not path.startswith(API) or path.endswith("/findings")


def _is_local(headers: Headers) -> bool:
    """Whether the request names this machine as its host."""
    try:
        return urlsplit(f"//{headers.get('host', '')}").hostname in _LOCAL
    except ValueError:
        return False


def _from_another_page(headers: Headers) -> bool:
    """Whether a browser says that a page of another origin caused the request.

    Clients that are no browsers send neither header, and an address that is typed has no site.
    """
    if headers.get("sec-fetch-site", "none") not in _OWN_SITES:
        return True
    return "origin" in headers and headers["origin"].partition("://")[2] != headers.get("host")


def _line(
    scope: Scope,
    headers: Headers,
    answer: _ResponseStart,
    notes: dict[str, Any],
    started: float,
    took: float,
) -> dict[str, Any]:
    """The request's line of the journal; status 499 where the client left without a response."""
    retries = headers.get("x-stainless-retry-count", "")
    line = {
        "time": round(started, 3),
        "request": answer.id,
        "method": scope["method"],
        "path": journal.short(scope["path"]),
        "later_page": b"after=" in scope.get("query_string", b""),
        "status": 499 if answer.lost or answer.status is None else answer.status,
        "ms": round(1000 * took, 1),
        "user_agent": journal.short(headers.get("user-agent", "")),
        "retry_count": int(retries) if retries.isdecimal() and len(retries) < 4 else None,
    }
    return line | notes

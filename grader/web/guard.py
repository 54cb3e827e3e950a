"""What every request must keep to, and what every response says to the browser."""

from __future__ import annotations

import socket
from functools import cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from grader.core.constants import WEB_MAX_BODY_BYTES

_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with none, forms would be sent without their origin
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """Refuses foreign hosts, requests that another site sent, and bodies that are too long."""

    def __init__(self, app: ASGIApp, *, loopback: bool) -> None:
        self._app, self._loopback = app, loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refused(scope["method"], Headers(scope=scope))

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await (refused or self._app)(scope, receive, sent)

    def _refused(self, method: str, headers: Headers) -> PlainTextResponse | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return PlainTextResponse("This address is not served here.", 421)
        if method in ("GET", "HEAD"):
            return None
        if method != "POST":
            return PlainTextResponse("Only GET and POST.", 405)
        if not _same_site(host, headers):
            return PlainTextResponse("This request came from another site.", 403)
        length = headers.get("content-length", "")
        if not length.isdecimal() or len(length) > 9 or int(length) > WEB_MAX_BODY_BYTES:
            return PlainTextResponse("This request is too long.", 413)
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether the name is this machine's: a foreign name may have been pointed at it.

        An address in figures is no name, and nobody else can point it elsewhere.
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if self._loopback or name in _LOCAL:
            return name in _LOCAL
        try:
            ip_address(name)
        except ValueError:
            return name in _own_names()
        return True


def _same_site(host: str, headers: Headers) -> bool:
    """Browsers send one of the two with every POST, and no page can change them."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return urlsplit(headers.get("origin", "")).netloc == host


@cache
def _own_names() -> frozenset[str]:
    return frozenset({socket.gethostname().casefold(), socket.getfqdn().casefold()})

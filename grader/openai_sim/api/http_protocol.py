"""uvicorn's protocol, but an answer's head leaves together with its body.

uvicorn writes them one after the other, and each write is a call of the system that wakes the
client. Where 64 answers are ready at once, that is a tenth of what the service has to do.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_END: Final = b"\r\n\r\n"


class SingleWriteProtocol(HttpToolsProtocol):
    """To be given to uvicorn's Config as `http`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(cast(asyncio.Transport, _HoldingTransport(transport)))


class _HoldingTransport:
    """Keeps what looks like a head until more is written, at most for a turn of the loop."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """See asyncio.Transport."""
        data, self._held = self._held + data, b""
        if data.endswith(_HEAD_END):
            self._held = data
            asyncio.get_running_loop().call_soon(self._give)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """See asyncio.Transport."""
        self._give()
        self._transport.close()

    def _give(self) -> None:
        if self._held:
            self._transport.write(self._held)
            self._held = b""

"""uvicorn's protocol, with a response's head and body in one write.

uvicorn writes them one after the other, and each write is a system call that wakes the client.
Where 64 responses are ready at once, that is a tenth of the service's work.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_END: Final = b"\r\n\r\n"


class SingleWriteProtocol(HttpToolsProtocol):
    """The value of `http` in uvicorn's Config."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(cast(asyncio.Transport, _HoldingTransport(transport)))


class _HoldingTransport:
    """Holds what looks like a head until more is written, at most for one turn of the loop."""

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

"""The head of an answer waits for its body, and never for long."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from grader.openai_sim.api.http_protocol import SingleWriteProtocol

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Wire(asyncio.Transport):
    """Notes each write as the system would get it."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)})
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


async def over(*writes: bytes, close: bool = False) -> Wire:
    async def app(_scope: object, _receive: object, _send: object) -> None:
        """Is not asked."""

    config = Config(app, http=SingleWriteProtocol, interface="asgi3", log_config=None)
    config.load()
    spoken = SingleWriteProtocol(config, ServerState(), {})
    wire = Wire()
    spoken.connection_made(wire)
    for data in writes:
        spoken.transport.write(data)
    if close:
        spoken.transport.close()
    else:
        await asyncio.sleep(0)
    return wire


@pytest.mark.parametrize(
    ("writes", "wanted"),
    [
        ((HEAD, b"{}"), [HEAD + b"{}"]),
        ((HEAD,), [HEAD]),  # as to HEAD, or before a stream whose first piece takes a while
        ((HEAD, b"data: 1\n\n", b"data: 2\n\n"), [HEAD + b"data: 1\n\n", b"data: 2\n\n"]),
        ((HEAD, b"{}", HEAD, b"[]"), [HEAD + b"{}", HEAD + b"[]"]),
    ],
)
def test_a_head_goes_with_what_follows_it_at_once(writes, wanted) -> None:
    assert asyncio.run(over(*writes)).written == wanted


def test_nothing_is_lost_when_the_connection_is_closed() -> None:
    wire = asyncio.run(over(HEAD, close=True))
    assert (wire.written, wire.closed) == ([HEAD], True)

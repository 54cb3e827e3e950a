"""The model service of a run: it answers on a socket that listens inside the sandbox.

Who asks is told by the socket that accepted the connection, never by a header or a key. One
thread serves all runs; each run has its own application, its own limits and its own record, and
none can name another's.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import uvicorn
from uvicorn.server import ServerState

from grader.constants import GATEWAY_CLOSE_SECONDS, MIB
from grader.sandbox.metering import Meter
from grader.sandbox.record import Record

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_T = TypeVar("_T")
_BACKLOG: Final = 64
_TURNS_TO_CONNECT: Final = 3  # of the loop; asyncio needs two, and drops what it has not connected

_log = logging.getLogger(__name__)

# What a program does to its connections is in its record, and never on the grader's terminal.
logging.getLogger("uvicorn.error").addHandler(logging.NullHandler())
logging.getLogger("uvicorn.error").propagate = False


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """What one run may ask of its model service. Part of the evidence's key."""

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
        self, app: ASGIApp, record: Record, limits: GatewayLimits, listener: socket.socket
    ) -> Line:
        """Answer what connects to `listener` with `app`; all of it goes into `record`."""
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
        self, app: ASGIApp, record: Record, limits: GatewayLimits, listener: socket.socket
    ) -> Line:
        # Else answers wait 40 ms for the client's acknowledgement; connections inherit it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        meter = Meter(app, record, limits)
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
        return Line(self, server, state)


class Line:
    """One run's service."""

    def __init__(self, gateway: Gateway, server: asyncio.Server, state: ServerState) -> None:
        self._gateway, self._server, self._state = gateway, server, state

    def close(self) -> None:
        """Answer no more. What is under way is broken off."""
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


def _speaker(config: uvicorn.Config, record: Record, connections: int) -> Any:
    """The protocol of a line: uvicorn's, which hangs up on a connection too many."""
    spoken: Any = config.http_protocol_class  # uvicorn types it as any Protocol

    class Speaker(spoken):  # type: ignore[misc]
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if len(self.connections) > connections:
                record.refused_connections += 1
                transport.abort()

    return Speaker

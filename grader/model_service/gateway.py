"""The model service of a run: a socket that listens inside the sandbox, and the thread behind it.

The socket that accepted a connection says which run a request belongs to; no header or key does.
One thread serves all runs. Each run has its own application, limits and record, and none can name
another's.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import uvicorn
from uvicorn.server import ServerState

from grader.core.constants import GATEWAY_CLOSE_SECONDS, MIB
from grader.model_service.metering import ClientTurns, GatewayLimits, RunMeter

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from grader.model_service.record import ServiceRecord

_T = TypeVar("_T")
_BACKLOG: Final = 64
_HEAD_BYTES: Final = MIB // 2  # of a request before its body; a packet of 256 KiB counts whole
_PIPELINED: Final = 32  # requests of one connection behind the one that is answered
_UNREAD_BYTES: Final = 32 * MIB  # of responses that a run's clients do not read
_TURNS_TO_CONNECT: Final = 3  # of the loop; asyncio needs two, and drops what it has not connected

_log = logging.getLogger(__name__)

# What a program does to its connections belongs in its record, not on the grader's terminal.
logging.getLogger("uvicorn.error").addHandler(logging.NullHandler())
logging.getLogger("uvicorn.error").propagate = False
# asyncio says so of each response to a client that has left with others pending.
logging.getLogger("asyncio").addFilter(lambda record: "socket.send()" not in str(record.msg))


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
            meter,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
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
    """uvicorn's protocol with limits on what it keeps for a run before and after its requests.

    A connection is closed where there are too many of them, where a head has no end, where too many
    requests come before their turn, and where nobody reads the responses.
    """
    spoken: Any = config.http_protocol_class  # uvicorn types it as any Protocol

    class ServiceServer(spoken):  # type: ignore[misc]
        head_bytes: int | None = 0  # None within a body

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if len(self.connections) > connections:
                self._refuse()

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            super().data_received(data)
            if self.head_bytes is not None:
                self.head_bytes += len(data)
                if self.head_bytes > _HEAD_BYTES:
                    self._refuse()

        def pause_writing(self) -> None:
            super().pause_writing()
            if sum(c.transport.get_write_buffer_size() for c in self.connections) > _UNREAD_BYTES:
                self._refuse()

        def on_message_begin(self) -> None:
            self.head_bytes = 0
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self.head_bytes = None
            super().on_headers_complete()
            if len(self.pipeline) > _PIPELINED:
                raise _TooManyPipelined  # the parser stops, and the client gets a 400

        def on_message_complete(self) -> None:
            self.head_bytes = 0
            super().on_message_complete()

        def _refuse(self) -> None:
            record.refused_connections += 1
            self.transport.abort()

    return ServiceServer


class _TooManyPipelined(Exception):
    """More requests wait on one connection than may."""

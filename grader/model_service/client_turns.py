"""Tells a run's clock when its service waits for the program: that is no work of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.openai_sim.store.clock import ProgramClock

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ClientTurns:
    """ASGI middleware around the service of one run."""

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

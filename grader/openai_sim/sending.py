"""How answers leave: one JSON object, or server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Final

from fastapi import Response
from fastapi.responses import StreamingResponse

DONE: Final = "data: [DONE]\n\n"  # the last event of a stream
OR_STREAM: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"text/event-stream": {}}}}
"""What the description of a route says when its answer may also be streamed."""


def json_response(text: str, headers: Mapping[str, str]) -> Response:
    """A response object that is already JSON."""
    return Response(text, media_type="application/json", headers=dict(headers))


async def streaming(events: AsyncGenerator[str], headers: Mapping[str, str]) -> StreamingResponse:
    """Server-sent events. What is refused before the first of them is refused as usual."""
    first = await anext(events)

    async def sent() -> AsyncIterator[str]:
        try:
            yield first
            async for event in events:
                yield event
        finally:
            await events.aclose()

    return StreamingResponse(sent(), media_type="text/event-stream", headers=dict(headers))

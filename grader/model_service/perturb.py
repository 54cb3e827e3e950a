"""A model service whose answers have other words in the same format.

Every word of an answer becomes another one: a number of as many digits, a capitalised word for a
capitalised one. Field markers, JSON and punctuation stay, so that a parser of the answer still
works. The same word always becomes the same other word. A program whose answers come from the
model then answers differently; one that has them from elsewhere does not.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAID: Final = frozenset({"content", "text"})
_MARKER: Final = re.compile(r"(\[\[ ## \w+ ## \]\])")
_WORD: Final = re.compile(r"[^\W_]+")
_VOWELS: Final = "aeiou"
_CONSONANTS: Final = "bdfgklmnprstvz"


def perturbed(text: str) -> str:
    """The text with every word replaced; the values alone where it is a JSON object."""
    with suppress(ValueError, RecursionError):
        value = json.loads(text)
        if isinstance(value, dict):
            return json.dumps({key: _other_value(one) for key, one in value.items()})
    pieces = _MARKER.split(text)  # every second piece is a marker
    return "".join(
        piece if place % 2 else _WORD.sub(lambda word: other_word(word[0]), piece)
        for place, piece in enumerate(pieces)
    )


def other_word(word: str) -> str:
    """Another word of the same length and kind: digits for digits, capitals for capitals."""
    seed = hashlib.sha256(word.encode()).digest()
    number = int.from_bytes(seed, "big")
    made = "".join(_sign(sign, place, number) for place, sign in enumerate(word))
    return made if made != word else _sign(word[0], 0, number, 1) + word[1:]


def _sign(sign: str, place: int, number: int, step: int = 0) -> str:
    pick = (number >> (5 * (place % 48))) % 997
    if sign.isdigit():
        old = int(sign) if sign.isdecimal() else 0
        return str((old + 1 + (pick + step) % 9) % 10 or 1)
    letters = _VOWELS if place % 2 else _CONSONANTS
    found = letters[(pick + step) % len(letters)]
    return found.upper() if sign.isupper() else found


def _other_value(value: Any) -> Any:
    match value:
        case str():
            return perturbed(value)
        case list():
            return [_other_value(one) for one in value]
        case dict():
            return {key: _other_value(one) for key, one in value.items()}
        case bool() | None:
            return value
        case int():
            return value + 1
        case _:
            return value


class Perturbed:
    """ASGI middleware: the service behind it, with every answer of a model perturbed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        start: Message = {}
        body = bytearray()

        async def hold(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                await _send(start, _changed(bytes(body)), send)

        await self._app(scope, receive, hold)


async def _send(start: Message, body: bytes, send: Send) -> None:
    headers = [(k, v) for k, v in start.get("headers", ()) if k.lower() != b"content-length"]
    length = (b"content-length", str(len(body)).encode())
    await send({**start, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


def _changed(body: bytes) -> bytes:
    """The body of a response with the model's text perturbed; another body as it is."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return _events(body)
    return json.dumps(_perturbed_value(value)).encode()


def _events(body: bytes) -> bytes:
    """A stream of events: each piece by itself, as a stream has no whole words to go by."""
    lines = body.split(b"\n")
    for place, line in enumerate(lines):
        if line.startswith(b"data: {"):
            with suppress(ValueError, RecursionError):
                lines[place] = (
                    b"data: " + json.dumps(_perturbed_value(json.loads(line[6:]))).encode()
                )
    return b"\n".join(lines)


def _perturbed_value(value: Any) -> Any:
    if isinstance(value, list):
        return [_perturbed_value(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: perturbed(one) if key in _SAID and isinstance(one, str) else _perturbed_value(one)
        for key, one in value.items()
    }

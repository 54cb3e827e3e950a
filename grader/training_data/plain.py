"""Plain chat examples recognised at the speed of the JSON reader.

Most lines of most files are conversations of system, user and assistant with text and nothing
else. For them "keeps every rule of a line" is decided here, on many lines at once; whatever is
not plain goes through the rules one by one. This may only ever say yes where the rules find
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from grader.training_data.chat import chat_faults

# A key that is written with escapes could hide a second one of the same name. No JSON writer
# escapes the letters that keys are made of; NUL has a rule of its own.
_ODD_ESCAPE: Final = re.compile(rb"\\u00(?:00|[4-7])")


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "user", "assistant"]
    content: str


class _Example(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    messages: list[_Message]


_decode: Final = msgspec.json.Decoder(_Example).decode


def odd_finder() -> Callable[[Sequence[bytes]], Sequence[int]]:
    """A function that tells which of these lines are not plain chat examples without a fault.

    It gives their indexes, in order. It remembers which orders of roles are faultless: use one
    for a whole file.
    """
    known: dict[tuple[str, ...], bool] = {}

    def odd(lines: Sequence[bytes]) -> Sequence[int]:
        try:
            examples: Sequence[_Example | None] = list(map(_decode, lines))
        except (ValueError, RecursionError):
            examples = [_decoded(line) for line in lines]
        found: list[int] = []
        messages = 0
        for i, example in enumerate(examples):
            if example is None or not _is_plain(example, known):
                found.append(i)
            else:
                messages += len(example.messages)
        left_out = set(found)
        plain = [line for i, line in enumerate(lines) if i not in left_out] if found else lines
        if _no_key_twice(plain, messages):
            return found
        return [
            i
            for i, example in enumerate(examples)
            if example is None
            or i in left_out
            or not _no_key_twice(lines[i : i + 1], len(example.messages))
        ]

    return odd


def _decoded(line: bytes) -> _Example | None:
    try:
        return _decode(line)
    except (ValueError, RecursionError):
        return None


def _is_plain(example: _Example, known: dict[tuple[str, ...], bool]) -> bool:
    messages = example.messages
    roles = tuple([message.role for message in messages])
    if not known.get(roles) and not _is_clean(roles, known):
        return False
    for message in messages:
        text = message.content
        if not text or text.isspace():
            return False
    return True


def _no_key_twice(lines: Sequence[bytes], messages: int) -> bool:
    """Whether these plain lines, with so many messages in all, surely have no key twice.

    msgspec keeps the last of two. Each key is in the bytes as often as an object has it, or more
    often if a text is its name. Carriage returns and escaped letters want a closer look, too.
    """
    block = b"\n".join(lines)
    return (
        (b"\\u00" not in block or not _ODD_ESCAPE.search(block))
        and b"\r" not in block
        and block.count(b'"role"') == messages
        and block.count(b'"content"') == messages
        and block.count(b'"messages"') == len(lines)
    )


def _is_clean(roles: tuple[str, ...], known: dict[tuple[str, ...], bool]) -> bool:
    """Whether the rules find nothing in messages of these roles with some text in them."""
    example = {"messages": [{"role": role, "content": "text"} for role in roles]}
    clean = not any(chat_faults(example))
    if len(known) < _KNOWN_ORDERS:
        known[roles] = clean
    return clean


_KNOWN_ORDERS: Final = 10_000  # a file where every order of roles is new must not fill the memory

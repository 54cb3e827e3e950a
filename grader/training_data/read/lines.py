"""Reads the lines of a file of any size in constant memory, and the JSON of each line.

Lines end at "\\n" bytes and nowhere else: U+2028 and carriage returns are content.

`msgspec` reads some thirty times as fast as `strict_json` and is as strict, except for equal keys,
NUL characters and numbers beyond 64 bits. A line whose bytes show a sign of these, and any line
that msgspec refuses, goes to `strict_json`, which decides and gives the reason.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from grader.core.constants import DATA_BLOCK_BYTES, DATA_MAX_DEPTH, DATA_MAX_LINE_BYTES
from grader.core.errors import UsageError
from grader.core.strict_json import Problem, StrictJsonError, fits_64_bits, loads, syntax_error

BOM: Final = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8, which some editors write."""

_NOT_REGULAR: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Line(NamedTuple):
    """A line: its 1-based number and its bytes without the line feed.

    Of a line that is longer than DATA_MAX_LINE_BYTES only the first DATA_MAX_LINE_BYTES + 1 bytes
    are kept, so that it differs from a whole one.
    """

    number: int
    raw: bytes


class UnreadableFile(UsageError):
    """The path is no regular file that can be read; the text says what it is instead."""


def open_data(path: Path) -> BinaryIO:
    """The regular file at `path` (or behind a link of that name), open for reading.

    Raises UnreadableFile for anything else, and never waits for a pipe or touches a device.
    """
    try:
        _refuse_other(os.stat(path).st_mode)
        file = os.open(
            path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
        _refuse_other(os.fstat(file).st_mode)  # exchanged since
    except OSError as error:
        raise UnreadableFile(f"it cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the path
        raise UnreadableFile("its path is not a valid one") from error
    return os.fdopen(file, "rb")


def blocks(file: BinaryIO) -> Iterator[list[bytes]]:
    """The lines of an open file in lists of about DATA_BLOCK_BYTES, in order.

    What follows the last line feed is the last line, unless it is empty.
    """
    rest: list[bytes] = []  # pieces of a line whose end has not come yet
    held = 0
    done: list[bytes] = []  # yielded with the next ones: the last line belongs to them
    while block := file.read(DATA_BLOCK_BYTES):
        if b"\n" not in block:
            held = _hold(rest, held, block)
            continue
        lines = block.split(b"\n")
        if rest:
            _hold(rest, held, lines[0])
            lines[0] = b"".join(rest)
        rest = [lines.pop()]
        held = len(rest[0])
        if done:
            yield done
        done = lines
    if held:
        done.append(b"".join(rest))
    if done:
        yield done


def lines(path: Path) -> Iterator[Line]:
    """Every line of the file at `path`. Raises UnreadableFile."""
    with open_data(path) as file:
        number = 0
        for block in blocks(file):
            for number, raw in enumerate(block, number + 1):  # noqa: B020
                yield Line(number, raw)


def _hold(rest: list[bytes], held: int, piece: bytes) -> int:
    """Add a piece to a line that goes on, as far as it is kept; the new number of bytes held."""
    kept = piece[: DATA_MAX_LINE_BYTES + 1 - held]
    if kept:
        rest.append(kept)
    return held + len(kept)


def _refuse_other(mode: int) -> None:
    if not stat.S_ISREG(mode):
        what = next((words for is_it, words in _NOT_REGULAR if is_it(mode)), "no regular file")
        raise UnreadableFile(f"it is {what}")


# A quote before a colon ends a key, or begins a text: never fewer of them than there are keys. A
# quote behind a backslash is inside a text, unless the backslash is itself escaped (doubtful).
_END_OF_KEY: Final = re.compile(rb'(?<!\\)"[ \t\r]*:')
_DOUBTFUL: Final = (rb"\u0000", rb'\\"')
_SPACED_COLONS: Final = (b" :", b"\t:", b"\r:")
_decode: Final = msgspec.json.Decoder().decode

_CODES: Final = {
    Problem.SIZE: "JSL011",
    Problem.ENCODING: "JSL102",
    Problem.NUL: "JSL103",
    Problem.SURROGATE: "JSL104",
    Problem.KEY_TWICE: "JSL105",
    Problem.NOT_FINITE: "JSL106",
    Problem.INTEGER: "JSL107",
    Problem.DEPTH: "JSL108",
    Problem.SYNTAX: "JSL101",
}
# What a line that is no JSON shows of its origin, or of the slip. Each takes linear time.
_SIGNS: Final = (
    (re.compile(rb"^\s*```"), "this is a fence of Markdown: remove such lines"),
    (re.compile(rb"^\s*<"), "a web page or XML begins like this"),
    (re.compile(rb"^version https://git-lfs"), "the file is a pointer of Git LFS: `git lfs pull`"),
    (re.compile(rb"^(?:<<<<<<<|=======|>>>>>>>)"), "a merge of Git was left unfinished here"),
    (re.compile(rb'^\s*"[{\[]""'), "the object is a cell of a table, its quotes doubled"),
    (
        re.compile(rb"[:,\[{]\s*(?:\xe2\x80[\x9c-\x9e]|\xc2\xab)"),
        "quotes are typographic; JSON has straight ones",
    ),
    (
        re.compile(rb"""^\s*\{\s*'|[:,\[{]\s*'"""),
        "text has single quotes; JSON needs double quotes",
    ),
    (re.compile(rb"[:,\[]\s*(?:True|False|None)\b"), "True, False and None are true, false, null"),
    (re.compile(rb",\s*[\]}]"), "there is a comma before a closing bracket"),
    (re.compile(rb"^\s*(?://|#|/\*)"), "comments are no part of JSON"),
    (re.compile(rb"[{,]\s*[A-Za-z_]\w*+\s*+:"), "a key has no quotes"),
)


class LineError(Exception):
    """The line is not strict JSON: the `code` of the rule and a `message`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def decode(raw: bytes) -> Any:
    """The JSON value of a line. Raises LineError, and nothing else."""
    if len(raw) > DATA_MAX_LINE_BYTES:
        raise LineError("JSL011", f"more than {DATA_MAX_LINE_BYTES} bytes in one line")
    if not any(sign in raw for sign in _DOUBTFUL):
        try:
            value = _decode(raw)
            if _count_keys(value, DATA_MAX_DEPTH) == _ends_of_keys(raw):
                return value
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            pass
    return _decode_strictly(raw)


def loosely_decoded(text: str) -> Any:
    """The value of a JSON text, however its keys and numbers may be understood.

    Raises ValueError for a text that is no JSON.
    """
    try:
        return _decode(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _ends_of_keys(raw: bytes) -> int:
    """An upper bound of the number of keys in the line: a text may look like one."""
    if any(spaced in raw for spaced in _SPACED_COLONS):
        return len(_END_OF_KEY.findall(raw))
    return raw.count(b'":') - raw.count(rb"\":")


def _decode_strictly(raw: bytes) -> Any:
    try:
        return loads(raw, max_bytes=DATA_MAX_LINE_BYTES, max_depth=DATA_MAX_DEPTH)
    except StrictJsonError as error:
        fault = error if error.problem is Problem.SYNTAX else _syntax_error(raw)
        if fault is None:
            raise LineError(_CODES[error.problem], error.message) from None
        words = "".join(f"; {words}" for words in _signs(fault, raw))
        raise LineError("JSL101", fault.message + words) from None


def _syntax_error(raw: bytes) -> StrictJsonError | None:
    """Why a line with other faults is not JSON either; None when it is JSON."""
    try:
        json.loads(raw.decode("utf-8"))
    except json.JSONDecodeError as error:
        return syntax_error(error)
    except (ValueError, RecursionError):  # no UTF-8, thousands of digits, or too deep to tell
        pass
    return None


def _signs(error: StrictJsonError, raw: bytes) -> Iterator[str]:
    """Clues to the mistake in a line that is not JSON, beside the reader's message."""
    for sign, words in _SIGNS:
        if sign.search(raw):
            yield words
    text = raw.decode()
    rest = text[error.position :].strip()
    if "Extra data" in error.message and text[error.position - 1] == "\r":
        yield "lines end with a carriage return alone; end each with a line feed"
    elif "Extra data" in error.message and rest == ",":
        yield "a comma follows the object"
    elif "Extra data" in error.message and rest.lstrip(", \t").startswith("{"):
        yield "another object follows on the line"
    elif "Unterminated string" in error.message:
        yield "a quote is missing, or a line feed in the text is not written as \\n"
    elif "Invalid control character" in error.message:
        yield "inside a text, a tab is written as \\t and a line feed as \\n"


def _count_keys(value: Any, depth: int) -> int:
    """Keys of all objects in the value.

    RecursionError beyond `depth` levels, ValueError for a number that readers may differ on.
    """
    kind = type(value)
    if kind is dict or kind is list:
        if not depth:
            raise RecursionError
        count, inside = (len(value), value.values()) if kind is dict else (0, value)
        for inner in inside:
            if type(inner) is not str:
                count += _count_keys(inner, depth - 1)
        return count
    if kind is int and not fits_64_bits(value):
        raise ValueError
    if kind is float and math.isinf(value):
        raise ValueError
    return 0

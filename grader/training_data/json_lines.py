"""The JSON of one line: read fast where nothing is doubtful, and strictly where something is.

`msgspec` reads some thirty times as fast as `strict_json` and is as strict, but for equal keys,
NUL characters and numbers beyond 64 bits. Those are looked for in the bytes; a line with any sign
of them, and any line that msgspec refuses, goes to `strict_json`, which has the last word and
says why.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from grader.constants import DATA_MAX_DEPTH, DATA_MAX_LINE_BYTES
from grader.strict_json import Problem, StrictJsonError, fits_64_bits, loads, syntax_error

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
    (re.compile(rb"^\s*```"), "a fence of Markdown stands here: leave such lines out"),
    (re.compile(rb"^\s*<"), "a web page or XML begins like this"),
    (re.compile(rb"^version https://git-lfs"), "the file is a pointer of Git LFS: `git lfs pull`"),
    (re.compile(rb"^(?:<<<<<<<|=======|>>>>>>>)"), "a merge of Git was left unfinished here"),
    (re.compile(rb'^\s*"[{\[]""'), "the object stands in a cell of a table, its quotes doubled"),
    (
        re.compile(rb"[:,\[{]\s*(?:\xe2\x80[\x9c-\x9e]|\xc2\xab)"),
        "quotes are typographic; JSON has straight ones",
    ),
    (re.compile(rb"""^\s*\{\s*'|[:,\[{]\s*'"""), "text stands in single quotes; JSON has double"),
    (re.compile(rb"[:,\[]\s*(?:True|False|None)\b"), "True, False and None are true, false, null"),
    (re.compile(rb",\s*[\]}]"), "there is a comma before a closing bracket"),
    (re.compile(rb"^\s*(?://|#|/\*)"), "comments are no part of JSON"),
    (re.compile(rb"[{,]\s*[A-Za-z_]\w*+\s*+:"), "a key stands without quotes"),
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


def is_json(text: str) -> bool:
    """Whether a text is JSON, however its keys and numbers may be understood."""
    try:
        _decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def _ends_of_keys(raw: bytes) -> int:
    """At least the number of keys in the line; more if a text looks like one."""
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
    """Why a line that is wrong in another way as well is no JSON; None when it is."""
    try:
        json.loads(raw.decode("utf-8"))
    except json.JSONDecodeError as error:
        return syntax_error(error)
    except (ValueError, RecursionError):  # no UTF-8, thousands of digits, or too deep to tell
        pass
    return None


def _signs(error: StrictJsonError, raw: bytes) -> Iterator[str]:
    """What a line that is no JSON shows of the slip, beside what the reader's message says."""
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

"""JSON as RFC 8259 means it, from bytes that a student wrote.

Python's own reader takes NaN, lets the last of two equal keys win, and raises four kinds of
exception; this one refuses whatever two readers could understand differently, always with one
exception and a line number.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from typing import Any

from grader.core.constants import JSON_MAX_DEPTH, JSON_MAX_INTEGER
from grader.core.errors import FinegradeError


class Problem(StrEnum):
    """The reasons why bytes are not strict JSON."""

    SIZE = "size"
    TOKENS = "tokens"
    ENCODING = "encoding"
    NUL = "nul"
    SURROGATE = "surrogate"
    KEY_TWICE = "key twice"
    NOT_FINITE = "not finite"
    INTEGER = "integer"
    DEPTH = "depth"
    SYNTAX = "syntax"


class StrictJsonError(FinegradeError):
    """The bytes are not strict JSON. `message` says why, `line` is the 1-based line.

    `position` is the 0-based character at which the text stops being JSON, for Problem.SYNTAX.
    """

    def __init__(self, problem: Problem, message: str, line: int, position: int = 0) -> None:
        super().__init__(f"line {line}: {message}")
        self.problem = problem
        self.message = message
        self.line = line
        self.position = position


# Every alternative runs once over its text (possessive), so hostile input takes linear time. A
# string without its closing quote matches up to the end of the text.
_TOKEN = re.compile(
    r"""
      (?P<string>"(?:[^"\\]++|\\.)*+"?)
    | (?P<open>[\[{])
    | (?P<close>[\]}])
    | (?P<number>-?[0-9]++(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+)
    | (?P<constant>-?(?:NaN|Infinity))
    """,
    re.VERBOSE | re.DOTALL,
)
_INTEGER_CHARACTERS = 20  # of the longest one that may fit; int() is slow on very long ones
_IS_KEY = re.compile(r"[ \t\n\r]*+:")
_HARD_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


def loads(
    data: bytes,
    *,
    max_bytes: int,
    max_depth: int = JSON_MAX_DEPTH,
    max_tokens: int | None = None,
) -> Any:
    """The JSON value of `data`.

    Raises StrictJsonError, and nothing else, for: more than `max_bytes` bytes, more than
    `max_tokens` brackets, strings and numbers, containers nested deeper than `max_depth`, a byte
    order mark, invalid UTF-8, NUL, lone surrogates, equal keys in one object, NaN and infinities
    (also by overflow), integers beyond 64 bits, and anything that is not JSON.
    """
    if len(data) > max_bytes:
        message = f"{len(data)} bytes; at most {max_bytes} are read"
        raise StrictJsonError(Problem.SIZE, message, 1)
    text = _decoded(data)
    tokens = _tokens(text, max_depth)
    for token in islice(tokens, max_tokens):
        _refuse_token(token, text)
    for one_more in tokens:
        message = f"more than {max_tokens} brackets, strings and numbers"
        raise _fault(text, one_more, Problem.TOKENS, message)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise syntax_error(error) from None


def syntax_error(error: json.JSONDecodeError) -> StrictJsonError:
    """Convert the error of Python's reader."""
    message = f"not valid JSON at column {error.colno}: {error.msg}"
    return StrictJsonError(Problem.SYNTAX, message, error.lineno, error.pos)


def fits_64_bits(number: int) -> bool:
    """Whether the integer fits 64 bits, as every language supports."""
    return -JSON_MAX_INTEGER - 1 <= number <= JSON_MAX_INTEGER


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        message = "starts with a byte order mark; save it as UTF-8 without BOM"
        raise StrictJsonError(Problem.ENCODING, message, 1)
    nul = data.find(b"\0")
    if nul >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise StrictJsonError(Problem.NUL, "holds a NUL byte", line)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = "not valid UTF-8; save it as UTF-8"
        raise StrictJsonError(Problem.ENCODING, message, line) from None


def _tokens(text: str, max_depth: int) -> Iterator[re.Match[str]]:
    """Tokens of the text in order, while it keeps track of depth and of each object's keys.

    Up to the first place where the text stops being JSON these are exactly JSON's own tokens, and
    `json.loads` never reads past that place.
    """
    keys: list[set[str]] = []
    for token in _TOKEN.finditer(text):
        yield token
        if token.lastgroup == "open":
            keys.append(set())
            if len(keys) > max_depth:
                raise _fault(
                    text, token, Problem.DEPTH, f"nested more than {max_depth} levels deep"
                )
        elif token.lastgroup == "close":
            if not keys:
                return
            keys.pop()
        elif token.lastgroup == "string" and keys and _IS_KEY.match(text, token.end()):
            key = _string(token.group())
            if key in keys[-1]:
                raise _fault(
                    text, token, Problem.KEY_TWICE, f"the key {token.group()[:80]} appears twice"
                )
            keys[-1].add(key)


def _refuse_token(token: re.Match[str], text: str) -> None:
    word = token.group()
    if token.lastgroup == "constant":
        raise _fault(text, token, Problem.NOT_FINITE, f"{word} is not a JSON number")
    if token.lastgroup == "number":
        if word.lstrip("-").isdigit():
            if len(word) > _INTEGER_CHARACTERS or not fits_64_bits(int(word)):
                raise _fault(text, token, Problem.INTEGER, "an integer of more than 64 bits")
        elif math.isinf(float(word)):
            raise _fault(text, token, Problem.NOT_FINITE, "a number too large to be represented")
    if token.lastgroup == "string" and _HARD_ESCAPE.search(word):
        value = _string(word)
        if "\0" in value:
            raise _fault(text, token, Problem.NUL, "a string holds a NUL character")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise _fault(text, token, Problem.SURROGATE, "a string holds half of a surrogate pair")


def _string(token: str) -> str:
    """The value of a string token, or the token itself where it is not a valid string."""
    if "\\" not in token:
        return token[1:-1]
    try:
        return str(json.loads(token))
    except json.JSONDecodeError:
        return token


def _fault(text: str, token: re.Match[str], problem: Problem, message: str) -> StrictJsonError:
    return StrictJsonError(problem, message, text.count("\n", 0, token.start()) + 1)

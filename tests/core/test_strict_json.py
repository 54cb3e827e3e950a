"""Strict JSON: what two readers could understand differently is refused, with its line."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.core.strict_json import StrictJsonError, loads

LIMIT = 100_000

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json_values, st.booleans())
def test_reads_what_json_writes(value: Any, ascii_only: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert loads(data, max_bytes=LIMIT) == value


@given(st.binary(max_size=300))
def test_raises_nothing_else_on_any_bytes(data: bytes) -> None:
    with suppress(StrictJsonError):
        loads(data, max_bytes=LIMIT)


pieces = st.sampled_from(
    [
        *("{", "}", "[", "]", ":", ",", '"a"', '"', "\\", "\\u0000", "\\ud800", " ", "\n", "é"),
        *("NaN", "-Infinity", "1e999", "1" * 40, "1" * 5000, "-0", ".5", "01", "true", "null"),
    ]
)


@given(st.lists(pieces, max_size=60).map("".join))
def test_raises_nothing_else_on_nearly_json(text: str) -> None:
    try:
        value = loads(text.encode(), max_bytes=LIMIT)
    except StrictJsonError:
        return
    assert value == json.loads(text)


@pytest.mark.parametrize(
    ("data", "said", "line"),
    [
        (b'{"a": 1,\n "a": 2}', "appears twice", 2),
        (b'{"a": 1, "\\u0061": 2}', "appears twice", 1),
        (b'[{"a": {"b": 1,\n\n"b": 1}}]', "appears twice", 3),
        (b"[1,\nNaN]", "NaN", 2),
        (b"[Infinity]", "Infinity", 1),
        (b"[-Infinity]", "-Infinity", 1),
        (b"[1e999]", "too large", 1),
        (b"[-1.5E+999]", "too large", 1),
        (b"[" + b"9" * 400 + b".0]", "too large", 1),
        (b"9223372036854775808", "more than 64 bits", 1),
        (b"-" + b"1" * 5000, "more than 64 bits", 1),
        (b"[" * 33 + b"]" * 33, "levels deep", 1),
        (b"[" * 100_000, "levels deep", 1),
        (b'{"a":' * 50, "levels deep", 1),
        (b'"\xff"', "UTF-8", 1),
        (b'["a",\n"\xed\xa0\x80"]', "UTF-8", 2),
        (b"\xef\xbb\xbf{}", "byte order mark", 1),
        ("{}".encode("utf-16"), "byte order mark", 1),
        (b'"\\ud800"', "surrogate", 1),
        (b'{"\\udc00x": 1}', "surrogate", 1),
        (b'"\\ude00\\ud83d"', "surrogate", 1),
        (b"\n\0", "NUL", 2),
        (b'"a\\u0000"', "NUL", 1),
        (b"", "not valid JSON", 1),
        (b"{} {}", "not valid JSON", 1),
        (b'{"a": 1,}', "not valid JSON", 1),
        (b"{'a': 1}", "not valid JSON", 1),
        (b'"a\tb"', "not valid JSON", 1),
        (b'"open', "not valid JSON", 1),
        (b'"\\q"', "not valid JSON", 1),
        (b"]", "not valid JSON", 1),
        (b"[01]", "not valid JSON", 1),
    ],
)
def test_refuses_and_names_the_line(data: bytes, said: str, line: int) -> None:
    with pytest.raises(StrictJsonError, match=said) as caught:
        loads(data, max_bytes=LIMIT)
    assert caught.value.line == line


def test_refuses_more_bytes_than_asked_for() -> None:
    assert loads(b"[1, 2]", max_bytes=6) == [1, 2]
    with pytest.raises(StrictJsonError, match="at most 5"):
        loads(b"[1, 2]", max_bytes=5)


def test_refuses_more_tokens_than_asked_for() -> None:
    data = b'[\n"a",\n1]'
    assert loads(data, max_bytes=LIMIT, max_tokens=4) == ["a", 1]
    with pytest.raises(StrictJsonError, match="more than 2 brackets") as caught:
        loads(data, max_bytes=LIMIT, max_tokens=2)
    assert caught.value.line == 3


def test_takes_the_deepest_allowed_and_a_whole_surrogate_pair() -> None:
    assert loads(b"[" * 32 + b"]" * 32, max_bytes=LIMIT)
    assert loads(b'"\\ud83d\\ude00"', max_bytes=LIMIT) == "😀"


def test_the_same_key_in_two_objects_is_fine() -> None:
    assert loads(b'[{"a": 1}, {"a": {"a": 2}}]', max_bytes=LIMIT) == [{"a": 1}, {"a": {"a": 2}}]


def test_a_word_inside_a_string_is_only_text() -> None:
    assert loads(b'["NaN", "1e999", "[[[", "a\\"b"]', max_bytes=LIMIT)[2] == "[[["


def test_small_numbers_may_vanish_but_stay_numbers() -> None:
    assert math.isfinite(loads(b"1e-999", max_bytes=LIMIT))

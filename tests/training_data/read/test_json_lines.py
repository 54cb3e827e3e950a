"""The JSON of a line: two readers, one answer."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grader.core.constants import DATA_MAX_DEPTH, DATA_MAX_LINE_BYTES
from grader.core.strict_json import StrictJsonError, loads
from grader.training_data.read.lines import LineError, decode

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
PIECES = st.lists(
    st.sampled_from(
        [
            '"',
            '":',
            '" :',
            "\\",
            '\\"',
            '{"a"',
            ":",
            ",",
            "{",
            "}",
            "[",
            "]",
            "1",
            "e999",
            "-",
            " ",
        ],
    )
    | st.sampled_from(
        ["\\ud800", "\\udc00", "\\u0000", "\\u0061", "a", "true", "NaN", "\t", "\r", "9" * 18]
    )
).map("".join)


def _strictly(raw: bytes) -> object:
    try:
        return loads(raw, max_bytes=DATA_MAX_LINE_BYTES, max_depth=DATA_MAX_DEPTH)
    except StrictJsonError:
        return LineError


@given(
    VALUES.map(json.dumps).map(str.encode)
    | VALUES.map(lambda v: json.dumps(v, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    | PIECES.map(str.encode)
    | st.binary(max_size=40)
)
@example(b'{"a":1,"a":2}')
@example(b'{"a":1,"\\u0061":2}')
@example(b'{"a\\\\":1,"a\\\\":2}')
@example(b'{"a" :1,"a"\t:2}')
@example(b'{"a":":)","a":":"}')
@example(b'{"a":"\\":","a":1}')
@example(b'{"a":9223372036854775807}')
@example(b'{"a":9223372036854775808}')
@example(b'{"a":-9223372036854775807}')
@example(b'{"a":-9223372036854775808}')
@example(b'{"a":-1e309}')
@example(b'"\\udc00"')
@example(b"[" * 64 + b"]" * 64)
@example(b"[" * 65 + b"]" * 65)
@example(b"[" * 5000 + b"]" * 5000)
def test_the_fast_reader_says_what_the_strict_one_says(raw: bytes) -> None:
    expected = _strictly(raw)
    try:
        found = decode(raw)
    except LineError:
        found = LineError
    assert repr(found) == repr(expected)


@pytest.mark.parametrize(
    ("raw", "code", "words"),
    [
        (b"{'a': 1}", "JSL101", "single quotes"),
        (b'{"a": None}', "JSL101", "true, false, null"),
        (b'{"a": [1,]}', "JSL101", "comma before a closing bracket"),
        (b"{a: 1}", "JSL101", "a key has no quotes"),
        (b"# a note", "JSL101", "comments"),
        (b"```jsonl", "JSL101", "fence of Markdown"),
        (b"<!DOCTYPE html>", "JSL101", "web page"),
        (b"version https://git-lfs.github.com/spec/v1", "JSL101", "Git LFS"),
        (b"<<<<<<< HEAD", "JSL101", "merge of Git"),
        (b'"{""a"": 1}"', "JSL101", "cell of a table"),
        ('{\u201ca": 1}'.encode(), "JSL101", "typographic"),
        (b'{"a": 1},', "JSL101", "comma follows"),
        (b'{"a": 1} , {"a": 2}', "JSL101", "another object follows"),
        (b'{"a": 1}\r{"a": 2}', "JSL101", "carriage return alone"),
        (b'{"a": "b', "JSL101", "line feed in the text"),
        (b'{"a": "\t"}', "JSL101", "a tab is written as \\t"),
        (b'{"a": "\xe9"}', "JSL102", "UTF-8"),
        (b'{"a": "\\u0000"}', "JSL103", "NUL"),
        (b'{"a": "\\ud800"}', "JSL104", "surrogate"),
        (b'{"a": {"b": 1, "b": 2}}', "JSL105", '"b"'),
        (b'{"a": NaN}', "JSL106", "NaN"),
        (b'{"a": 12345678901234567890}', "JSL107", "64 bits"),
        (b"[" * 65 + b"]" * 65, "JSL108", "64 levels"),
    ],
)
def test_a_refused_line_names_its_rule_and_its_reason(raw: bytes, code: str, words: str) -> None:
    with pytest.raises(LineError) as refused:
        decode(raw)
    assert refused.value.code == code
    assert words in refused.value.message


def test_what_stands_inside_a_text_is_no_sign_of_the_slip() -> None:
    with pytest.raises(LineError) as refused:
        decode(b'{"a": ["<b>", "```", "} {"], "b": 1} extra')
    assert refused.value.message == "not valid JSON at column 38: Extra data"

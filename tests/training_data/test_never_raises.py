"""Whatever is in a file, checking it ends in a report that can be shown and that is true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.example_strategies import RELAXED, examples, plain_example
from support.paths import CORPUS
from support.report_properties import assert_agrees_with_json, assert_can_be_shown

from grader.training_data.check import DEFAULT_MODEL, check_file
from grader.training_data.read.examples import Kind

KEYS: Final = (
    "messages", "role", "content", "tools", "tool_calls", "function", "name", "arguments", "id",
    "type", "text", "image_url", "url", "weight", "tool_call_id", "parallel_tool_calls", "input",
    "functions", "function_call", "preferred_output", "non_preferred_output", "prompt",
    "completion", "question", "answer", "parameters", "refusal", "reference_answer",
)  # fmt: skip
WORDS: Final = (
    "system", "user", "assistant", "tool", "function", "text", "image_url", "refusal", "f", "",
    "call_1", "{}", "https://example.com/a.png", "data:image/png;base64,iVBORw0KGgo=", "\0",
    "data:image/jpeg;base64,/9j/", "\ud800",
)  # fmt: skip


def json_values() -> st.SearchStrategy[Any]:
    """Any JSON value, made of the words that training data is made of more often than not."""
    numbers = st.integers() | st.floats() | st.sampled_from([0, 1, 2**63, -(2**64), 10**25])
    leaves = st.none() | st.booleans() | numbers | st.sampled_from(WORDS) | st.text(max_size=8)
    keys = st.sampled_from(KEYS) | st.text(max_size=4)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
        max_leaves=25,
    )


def like_examples() -> st.SearchStrategy[Any]:
    """Objects with the keys of an example and any values."""
    inner = json_values()
    message = st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool", "function"])},
        optional=dict.fromkeys(("content", "tool_calls", "weight", "name"), inner),
    )
    messages = st.lists(message | inner, max_size=4)
    return st.one_of(
        st.fixed_dictionaries({"messages": messages | inner}, optional={"tools": inner}),
        st.fixed_dictionaries(
            {
                "input": st.fixed_dictionaries({"messages": messages}) | inner,
                "preferred_output": messages | inner,
                "non_preferred_output": messages | inner,
            }
        ),
        st.fixed_dictionaries({"prompt": inner, "completion": inner}),
        st.fixed_dictionaries({"question": inner, "answer": inner}),
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("anything") / "train.jsonl"


def _check(path: Path, data: bytes, **options: Any) -> None:
    """Checks a file of these bytes and asks what must hold of its report."""
    path.write_bytes(data)
    report = check_file(path, **{"model": None, **options})
    assert_can_be_shown(report, data)
    assert_agrees_with_json(report, data)


@settings(RELAXED, max_examples=120)
@given(data=st.binary(max_size=400))
def test_any_bytes(path: Path, data: bytes) -> None:
    _check(path, data)


@settings(RELAXED, max_examples=60)
@given(parts=st.lists(st.sampled_from([b"\n", b"\r", b'{"', b'":', b"[]", b"\xff", b"\0", b"\\u"])))
def test_any_pieces_of_lines(path: Path, parts: list[bytes]) -> None:
    _check(path, b"".join(parts))


@settings(RELAXED, max_examples=60)
@given(lines=st.lists(st.text(max_size=40), max_size=14))
def test_any_lines_of_text(path: Path, lines: list[str]) -> None:
    _check(path, "\n".join(lines).encode("utf-8", "surrogatepass"))


@settings(RELAXED, max_examples=120)
@given(
    values=st.lists(json_values() | like_examples(), min_size=1, max_size=6),
    ascii_only=st.booleans(),
)
def test_any_json_values(path: Path, values: list[Any], ascii_only: bool) -> None:
    lines = [json.dumps(value, ensure_ascii=ascii_only) for value in values]
    _check(path, "\n".join(lines).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("kind", list(Kind))
@settings(RELAXED, max_examples=8)
@given(values=st.lists(like_examples(), min_size=1, max_size=4))
def test_any_values_where_a_kind_is_asked_for(path: Path, kind: Kind, values: list[Any]) -> None:
    sound = [plain_example(kind, number) for number in range(10)]
    lines = [json.dumps(value) for value in [*sound, *values]]
    _check(path, "\n".join(lines).encode(), kind=kind, model=DEFAULT_MODEL)


@pytest.mark.parametrize("kind", list(Kind))
@settings(RELAXED, max_examples=25)
@given(data=st.data())
def test_valid_lines_with_bytes_changed(path: Path, kind: Kind, data: st.DataObject) -> None:
    drawn = data.draw(st.lists(examples(kind), min_size=1, max_size=2))
    raw = bytearray("\n".join(map(json.dumps, drawn)).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    _check(path, bytes(raw))


@settings(RELAXED, max_examples=80)
@given(data=st.data())
def test_files_of_the_corpus_cut_and_joined(path: Path, data: st.DataObject) -> None:
    names = st.sampled_from(sorted(one.name for one in CORPUS.glob("*.jsonl")))
    first, second = ((CORPUS / data.draw(names)).read_bytes() for _ in range(2))
    cut = data.draw(st.integers(0, len(first)))
    _check(path, first[:cut] + second[: data.draw(st.integers(0, len(second)))])


def test_a_message_quotes_only_a_little_of_what_was_found(path: Path) -> None:
    long = "x" * 100_000
    odd = "\x1b[31m\u202e\u2028\n" * 1000
    for text in (long, odd):
        for value in (
            {"messages": [{"role": text, "content": text}]},
            {"messages": [{"role": "user", "content": [{"type": text}]}], text: 1},
            {"messages": text, "tools": [{"type": text}]},
            {"messages": [{"role": "assistant", "tool_calls": [{"id": text, "function": text}]}]},
            {"messages": [{"role": "tool", "tool_call_id": text, "content": "x", text: 1}]},
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": text}]}]},
            {"prompt": 1, "completion": 2, text: 3},
            {text: text},
        ):
            _check(path, b"\n".join([json.dumps(value).encode()] * 2))

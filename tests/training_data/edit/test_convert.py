"""From kind to kind: what is written, what is refused, and that nothing is lost in silence."""

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.example_strategies import JsonObject, examples, line

from grader.core.errors import UsageError
from grader.training_data.edit import sources
from grader.training_data.edit.convert import Converted, convert
from grader.training_data.read.examples import Kind

USER, ANSWER = {"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}
SYSTEM = {"role": "system", "content": "Be brief."}
QA = {"question": "2+2?", "answer": "4"}
PREFERENCE = {
    "input": {"messages": [SYSTEM, USER], "tools": [{"type": "function"}]},
    "preferred_output": [ANSWER],
    "non_preferred_output": [{"role": "assistant", "content": "5"}],
}


def converted(
    folder: Path, data: bytes, to: Kind, system: str | None = None
) -> tuple[bytes, Converted]:
    source, out = folder / "in.any", folder / "out.jsonl"
    source.write_bytes(data)
    out.unlink(missing_ok=True)
    result = convert(source, out, to, system)
    return out.read_bytes(), result


def values(written: bytes) -> list[Any]:
    return [json.loads(raw) for raw in written.splitlines()]


def jsonl(*some: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in some)


@pytest.mark.parametrize(
    ("source", "to", "system", "expected"),
    [
        (QA, Kind.CHAT, None, {"messages": [USER, ANSWER]}),
        (QA, Kind.CHAT, "Be brief.", {"messages": [SYSTEM, USER, ANSWER]}),
        (QA, Kind.COMPLETION, None, {"prompt": "2+2?", "completion": "4"}),
        (
            {"prompt": "2+2?\n\n", "completion": " 4\n"},
            Kind.CHAT,
            None,
            {"messages": [USER, ANSWER]},
        ),
        ({"prompt": "2+2?\n\n", "completion": " 4"}, Kind.QA, None, QA),
        ({"messages": [USER, ANSWER]}, Kind.QA, None, QA),
        ({"messages": [SYSTEM, USER, ANSWER]}, Kind.QA, "Be brief.", QA),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "2+2?"}], "name": None},
                    {**ANSWER, "weight": 1, "tool_calls": None},
                ],
                "tools": None,
            },
            Kind.COMPLETION,
            None,
            {"prompt": "2+2?", "completion": "4"},
        ),
        (
            PREFERENCE,
            Kind.CHAT,
            None,
            {"messages": [SYSTEM, USER, ANSWER], "tools": [{"type": "function"}]},
        ),
        (
            {"messages": [USER, ANSWER]},
            Kind.CHAT,
            "Be brief.",
            {"messages": [SYSTEM, USER, ANSWER]},
        ),
        (
            {"messages": [SYSTEM, USER, ANSWER]},
            Kind.CHAT,
            "Other.",
            {"messages": [SYSTEM, USER, ANSWER]},
        ),
    ],
)
def test_an_example_of_one_kind_becomes_one_of_another(
    tmp_path: Path, source: JsonObject, to: Kind, system: str | None, expected: JsonObject
) -> None:
    written, result = converted(tmp_path, jsonl(source), to, system)
    assert values(written) == [expected]
    assert (result.noun, result.examples) == ("line", 1)


@pytest.mark.parametrize(
    ("source", "to", "words"),
    [
        (QA, Kind.PREFERENCE, "needs a worse answer too, and qa has none"),
        ({"prompt": "", "completion": ""}, Kind.PREFERENCE, "completion has none"),
        ({"messages": [USER, ANSWER]}, Kind.PREFERENCE, "chat has none"),
        (
            {"messages": [USER, ANSWER, USER, ANSWER]},
            Kind.QA,
            '"user", "assistant", "user", "assis',
        ),
        ({"messages": [USER]}, Kind.QA, 'of "user"; qa holds one of user'),
        ({"messages": [SYSTEM, USER, ANSWER]}, Kind.QA, 'system message is "Be brief."'),
        ({"messages": [USER, {**ANSWER, "weight": 0}]}, Kind.QA, 'the key "weight"'),
        ({"messages": [USER, {**ANSWER, "tool_calls": [1]}]}, Kind.QA, 'the key "tool_calls"'),
        ({"messages": [USER, ANSWER], "tools": []}, Kind.QA, "declares tools"),
        ({"messages": [USER, {"role": "assistant"}]}, Kind.QA, "content of a message is null"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}, ANSWER]},
            Kind.QA,
            "one text",
        ),
        ({"messages": 5}, Kind.CHAT, "messages is 5"),
        ({"messages": [USER, 5]}, Kind.CHAT, "messages has 5"),
        ({"question": 5, "answer": ""}, Kind.CHAT, "question is 5; expected text"),
        ({**PREFERENCE, "input": []}, Kind.CHAT, "input is a list of 0"),
        ({**PREFERENCE, "input": {}}, Kind.CHAT, "messages of the input is null"),
        ({**PREFERENCE, "preferred_output": "4"}, Kind.CHAT, 'preferred_output is "4"'),
        ({"text": 1}, Kind.CHAT, 'its keys are "text"'),
        ({}, Kind.CHAT, "its keys are none"),
        (["question"], Kind.CHAT, "found a list of 1"),
    ],
)
def test_what_the_new_kind_cannot_hold_is_refused_and_nothing_written(
    tmp_path: Path, source: Any, to: Kind, words: str
) -> None:
    good = {
        Kind.CHAT: {"messages": [USER, ANSWER]},
        Kind.PREFERENCE: PREFERENCE,
        Kind.QA: QA,
    }[to]
    with pytest.raises(UsageError) as error:
        converted(tmp_path, jsonl(good, source), to)
    assert "1 of 2 lines cannot be converted" in str(error.value)
    assert "line 2: " in str(error.value)
    assert words in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["in.any"]


def test_all_refusals_are_counted_and_the_first_told(tmp_path: Path) -> None:
    data = jsonl(QA) + b'{"a": 1,}\n' * 40 + b"\n" + b"nonsense\n"
    with pytest.raises(UsageError) as error:
        converted(tmp_path, data, Kind.CHAT)
    first, *rest = str(error.value).split("\n")
    assert "41 of 42 lines" in first
    assert [text.split(":")[0].strip() for text in rest] == [f"line {n}" for n in range(2, 7)]


def test_dropped_keys_are_named(tmp_path: Path) -> None:
    given_keys = {f"k{n}": n for n in range(30)}
    _, result = converted(tmp_path, jsonl({**QA, "id": 1}, {**QA, "id": 2}, QA), Kind.CHAT)
    assert {key: str(places) for key, places in result.dropped.items()} == {"id": "2 (lines 1, 2)"}
    _, result = converted(tmp_path, jsonl({**QA, **given_keys}), Kind.CHAT)
    assert len(result.dropped) == 21
    assert result.dropped["…"].count == 10
    _, result = converted(
        tmp_path, jsonl(PREFERENCE | {"input": PREFERENCE["input"] | {"x": 1}}), Kind.CHAT
    )
    assert set(result.dropped) == {"non_preferred_output", "input/x"}
    chat = {"messages": [USER, ANSWER], "parallel_tool_calls": True}
    _, result = converted(tmp_path, jsonl(chat), Kind.QA)
    assert set(result.dropped) == {"parallel_tool_calls"}


def test_kinds_may_be_mixed_and_what_is_right_keeps_its_bytes(tmp_path: Path) -> None:
    right = b'{"messages" :[ {"role":"user","content":"\\u00e9"}], "parallel_tool_calls": true}'
    data = b"\xef\xbb\xbf" + right + b"\r\n\n" + jsonl(QA)
    written, result = converted(tmp_path, data, Kind.CHAT)
    assert written == right + b"\n" + jsonl({"messages": [USER, ANSWER]})
    assert (result.examples, result.unchanged) == (2, 1)


@pytest.mark.parametrize(
    "data",
    [
        json.dumps([QA, QA]),
        json.dumps([QA, QA], indent=2),
        json.dumps(QA, indent=1) + "\n\n" + json.dumps(QA, indent=1),
        json.dumps(QA) + json.dumps(QA),
        json.dumps(QA) + "\r" + json.dumps(QA) + "\r",
        '{"question": "2+2?",\n "answer": "4"}\n' * 2,
        "\ufeff[\n" + json.dumps(QA) + ",\n" + json.dumps(QA) + "\n]",
        "question,answer\n2+2?,4\n2+2?,4\n",
        "\ufeffAnswer;Question\r\n4;2+2?\r\n\r\n;\r\n4;2+2?",
        ' "question" \t"answer"\n2+2?\t4\n"2+2?"\t4\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_documents_and_tables_are_sources(tmp_path: Path, data: str, encoding: str) -> None:
    written, _ = converted(tmp_path, data.encode(encoding), Kind.QA)
    assert sorted(written.splitlines()) == sorted(jsonl(QA, QA).splitlines()) or values(
        written
    ) == [QA, QA]


def test_a_table_keeps_line_breaks_and_names_its_other_columns(tmp_path: Path) -> None:
    data = b'id,prompt,completion\n1,"a ""b"",\r\nc"," d"\n'
    written, result = converted(tmp_path, data, Kind.CHAT)
    assert [m["content"] for m in values(written)[0]["messages"]] == ['a "b",\r\nc', "d"]
    assert (result.noun, set(result.dropped)) == ("row", {"id"})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"question,answer\n1,2,3\n4,5\n", "row 2: it has 3 cells; the header has 2"),
        (b"question,answer\n" + b"1,2\n" * 500 + b"1,a\0b\n", "row 502: a string holds a NUL"),
        (b"question,answer,answer\n1,2,3\n", "two columns have one name"),
        (b'question,answer\n1,"2\n', "line 2: unexpected end of data"),
        (b"question,answer\n1,\xff\n", "not UTF-8"),
        (b"frase,traduccion\n1,2\n", "name two of its columns"),
        (b"question,answer\n", "holds no examples"),
        (b"", "holds no examples"),
        (b"[]", "found a list of 0"),
        (b'[\n{"question": "a",\n"answer": NaN}\n]', "line 3: NaN is not"),
        (b'[{"question": "a"},\n{"question": ', "line 1: no whole JSON object begins here"),
        (b'[\n{"question": "a"}\n]\n}', "line 4: no whole JSON object begins here"),
        (b"[1, 2, {}]", "3 of 3 items"),
        (b"{\n" * 100, "nested more than|no whole JSON"),
        (b"PK\x03\x04", "zip"),
    ],
)
def test_a_broken_source_is_refused_with_its_place(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        converted(tmp_path, data, Kind.CHAT)
    assert [p.name for p in tmp_path.iterdir()] == ["in.any"]


def test_only_jsonl_may_be_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_MAX_WHOLE_BYTES", 100)
    converted(tmp_path, jsonl(*[QA] * 100), Kind.CHAT)
    with pytest.raises(UsageError, match="only JSONL may have"):
        converted(tmp_path, json.dumps([QA] * 100).encode(), Kind.CHAT)


@pytest.mark.parametrize(
    ("to", "system", "words"),
    [
        (Kind.PREFERENCE, "Be brief.", "cannot be given to preference"),
        (Kind.CHAT, " ", "is empty"),
        (Kind.CHAT, "\udcff", "cannot be written"),
    ],
)
def test_a_wrong_system_message_is_refused(
    tmp_path: Path, to: Kind, system: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        converted(tmp_path, jsonl(QA), to, system)


def test_source_and_target_cannot_be_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl(QA))
    with pytest.raises(UsageError, match="new name"):
        convert(path, path, Kind.CHAT)
    assert path.read_bytes() == jsonl(QA)


pairs = st.lists(
    examples(Kind.QA).map(lambda e: {k: e[k] for k in ("question", "answer")}), min_size=1
)


@given(pairs, st.none() | st.sampled_from(["Be brief.", "é"]), st.integers(0, 99))
def test_questions_become_chat_and_come_back(
    tmp_path_factory: pytest.TempPathFactory, some: list[JsonObject], system: str | None, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("convert")
    source = random.Random(seed)
    data = b"".join(line(source, one) + b"\n" for one in some)
    chat, _ = converted(folder, data, Kind.CHAT, system)
    back, _ = converted(folder, chat, Kind.QA, system)
    assert values(back) == some


@given(pairs, st.sampled_from(",;\t"))
def test_a_table_says_what_its_lines_would(
    tmp_path_factory: pytest.TempPathFactory, some: list[JsonObject], separator: str
) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, ("question", "answer"), delimiter=separator)
    writer.writeheader()
    writer.writerows(some)
    folder = tmp_path_factory.mktemp("convert")
    written, _ = converted(folder, text.getvalue().encode(), Kind.QA)
    assert [json.loads(raw) for raw in written.split(b"\n")[:-1]] == some


@given(st.sampled_from(list(Kind)).flatmap(examples), st.sampled_from(list(Kind)))
def test_every_valid_example_is_converted_or_refused(
    tmp_path_factory: pytest.TempPathFactory, example: JsonObject, to: Kind
) -> None:
    folder = tmp_path_factory.mktemp("convert")
    try:
        written, _ = converted(folder, json.dumps(example).encode(), to)
    except UsageError as error:
        assert "1 of 1 lines cannot be converted" in str(error)  # noqa: PT017
    else:
        assert len(written.split(b"\n")) == 2


@given(st.binary(max_size=60) | st.text('[]{}",:\\ \nqa', max_size=60).map(str.encode))
def test_any_bytes_are_converted_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    with pytest.raises(UsageError):
        converted(tmp_path_factory.mktemp("convert"), data, Kind.CHAT)

"""Data as other tools and spreadsheets write it: where check advises a command, it works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from grader.core.errors import UsageError
from grader.core.nouns import Severity
from grader.training_data.check import check_file
from grader.training_data.edit.convert import convert
from grader.training_data.edit.fix import Repair, fix
from grader.training_data.read.examples import Kind
from grader.training_data.rules import RULES

USER, ANSWER = {"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}
SYSTEM = {"role": "system", "content": "Be brief."}
WORSE = {"role": "assistant", "content": "5"}
CHAT = {"messages": [USER, ANSWER]}
WITH_SYSTEM = {"messages": [SYSTEM, USER, ANSWER]}
PREFERENCE = {
    "input": {"messages": [USER]},
    "preferred_output": [ANSWER],
    "non_preferred_output": [WORSE],
}

FORMS: list[tuple[Any, Kind, Any]] = [
    (
        {
            "id": 3,
            "conversations": [{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}],
        },
        Kind.CHAT,
        CHAT,
    ),
    (
        {"system": "Be brief.", "conversations": [{**USER, "role": "User"}, ANSWER]},
        Kind.CHAT,
        WITH_SYSTEM,
    ),
    ({"instruction": "2+2?", "input": "", "output": "4"}, Kind.CHAT, CHAT),
    (
        {"instruction": "Add.", "context": "2 and 2", "response": "4"},
        Kind.CHAT,
        {"messages": [{"role": "user", "content": "Add.\n\n2 and 2"}, ANSWER]},
    ),
    (
        {"instruction": "2+2?", "output": "4", "system": "Be brief.", "history": [["1+1?", "2"]]},
        Kind.CHAT,
        {
            "messages": [
                SYSTEM,
                {"role": "user", "content": "1+1?"},
                {"role": "assistant", "content": "2"},
                USER,
                ANSWER,
            ]
        },
    ),
    ({"prompt": [SYSTEM, USER], "completion": [ANSWER]}, Kind.CHAT, WITH_SYSTEM),
    ({"prompt": [USER], "chosen": [ANSWER], "rejected": [WORSE]}, Kind.PREFERENCE, PREFERENCE),
    ({"prompt": "2+2?", "chosen": "4", "rejected": "5"}, Kind.PREFERENCE, PREFERENCE),
    ({"chosen": [USER, ANSWER], "rejected": [USER, WORSE]}, Kind.PREFERENCE, PREFERENCE),
    (
        {"prompt": "2+2?", "chosen": [USER, ANSWER], "rejected": [USER, WORSE]},
        Kind.PREFERENCE,
        PREFERENCE,
    ),
    ({"prompt": [USER], "chosen": [ANSWER], "rejected": [WORSE]}, Kind.CHAT, CHAT),
    (
        {
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "2+"}, {"text": "2?"}]},
                {"role": "model", "parts": [{"text": "4"}]},
            ],
        },
        Kind.CHAT,
        WITH_SYSTEM,
    ),
    ({"input": [SYSTEM, USER], "ideal": "4"}, Kind.CHAT, WITH_SYSTEM),
    ({"query": "2+2?", "response": "4"}, Kind.QA, {"question": "2+2?", "answer": "4"}),
    ({"system": "Be brief.", "messages": [USER, ANSWER]}, Kind.CHAT, WITH_SYSTEM),
]


def _file(folder: Path, data: bytes, name: str = "in.jsonl") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _jsonl(*values: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def _converted(folder: Path, data: bytes, to: Kind, name: str = "in.jsonl") -> list[Any]:
    out = folder / "out.jsonl"
    convert(_file(folder, data, name), out, to)
    return [json.loads(line) for line in out.read_bytes().splitlines()]


@pytest.mark.parametrize(("source", "to", "expected"), FORMS)
def test_what_other_tools_write_is_converted(
    tmp_path: Path, source: Any, to: Kind, expected: Any
) -> None:
    assert _converted(tmp_path, _jsonl(source), to) == [expected]


@pytest.mark.parametrize("source", [source for source, _, _ in FORMS])
def test_where_check_names_a_conversion_it_works(tmp_path: Path, source: Any) -> None:
    report = check_file(_file(tmp_path, _jsonl(*[source] * 12)), model=None)
    told = " ".join(finding.message for finding in report.findings)
    to = next((kind for kind in Kind if f"finegrade data convert FILE --to {kind}" in told), None)
    assert (to is None) == (report.kind is not None)  # one of our own kinds needs no conversion
    if to is not None:
        assert len(_converted(tmp_path, _jsonl(*[source] * 12), to)) == 12


@pytest.mark.parametrize(
    "source",
    [
        {"conversations": [{"from": "function_call", "value": "{}"}]},
        {"conversations": "none"},
        {"instruction": "2+2?", "output": 4},
        {"chosen": "Human: 2+2? 4", "rejected": "Human: 2+2? 5"},
        {"chosen": [ANSWER], "rejected": [WORSE]},
        {"contents": [{"role": "user", "parts": [{"inlineData": {}}]}]},
        {"custom_id": "1", "body": {"messages": [USER]}},
        {"text": "2+2? 4"},
    ],
)
def test_what_cannot_be_placed_is_refused_with_the_line(tmp_path: Path, source: Any) -> None:
    with pytest.raises(UsageError, match="line 1: "):
        _converted(tmp_path, _jsonl(source), Kind.CHAT)


TABLES = {
    "sep.csv": b"sep=;\r\nquestion;answer\r\n2+2?;4\r\n",
    "quoted-sep.csv": b'"sep=,"\nquestion,answer\n2+2?,4\n',
    "index.csv": b",question,answer\n0,2+2?,4\n",
    "trailing.csv": b"question,answer,,\n2+2?,4,,\n",
    "longer-rows.csv": b"question;answer\n2+2?;4;;\n",
    "german.csv": b"Frage;Antwort\n2+2?;4\n",
    "russian.csv": "Вопрос;Ответ\n2+2?;4\n".encode(),
    "japanese.tsv": "質問\t回答\n2+2?\t4\n".encode(),
    "bars.txt": b"Question|Answer\n2+2?|4\n",
    "french-with-id.csv": "id;Question;Réponse\n7;2+2?;4\n".encode(),
    "alpaca.csv": b"instruction,input,output\n2+2?,,4\n",
    "messages.csv": b'messages\n"[{""role"": ""user"", ""content"": ""2+2?""}, '
    b'{""role"": ""assistant"", ""content"": ""4""}]"\n',
    "pandas-messages.csv": b",messages\n0,\"[{'role': 'user', 'content': '2+2?'}, "
    b"{'role': 'assistant', 'content': '4'}]\"\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_check_calls_a_table_one_and_convert_reads_it(tmp_path: Path, name: str) -> None:
    report = check_file(_file(tmp_path, TABLES[name], name), model=None)
    assert "JSL008" in report.counts
    assert "JSL101" not in report.counts
    assert _converted(tmp_path, TABLES[name], Kind.CHAT, name) == [CHAT]


def test_a_missing_value_of_a_table_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="row 3: answer is nan"):
        _converted(tmp_path, b"question,answer\n1+1?,2\n2+2?,nan\n", Kind.CHAT, "in.csv")


def test_a_cell_is_never_run(tmp_path: Path) -> None:
    row = b"messages\n\"[__import__('os').getcwd()]\"\n"
    with pytest.raises(UsageError, match="messages is no JSON"):
        _converted(tmp_path, row, Kind.CHAT, "in.csv")


def test_marks_that_all_completions_share_are_left_out(tmp_path: Path) -> None:
    pairs = [{"prompt": f"{n}+{n}?\n\n###\n\n", "completion": f" {2 * n}! END"} for n in range(12)]
    first, *_ = _converted(tmp_path, _jsonl(*pairs), Kind.QA)
    assert first == {"question": "0+0?", "answer": "0!"}


def test_an_end_that_is_text_stays(tmp_path: Path) -> None:
    pairs = [{"prompt": f"{n}+{n}?", "completion": f" It is {2 * n}."} for n in range(12)]
    first, *_ = _converted(tmp_path, _jsonl(*pairs), Kind.QA)
    assert first == {"question": "0+0?", "answer": "It is 0."}


def _fixed(folder: Path, data: bytes) -> tuple[list[Any], set[Repair]]:
    out = folder / "fixed.jsonl"
    done = fix(_file(folder, data), out)
    return [json.loads(line) for line in out.read_bytes().splitlines()], set(done.repairs)


TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {"type": "object", "properties": {"a": {"type": "number", "default": None}}},
    },
}


@pytest.mark.parametrize(
    ("broken", "mended", "repair"),
    [
        ({**CHAT, "tools": None, "parallel_tool_calls": None}, CHAT, Repair.NOTHING),
        (
            {"messages": [{**USER, "name": None}, {**ANSWER, "tool_calls": [], "audio": None}]},
            CHAT,
            Repair.NOTHING,
        ),
        ({"messages": [USER, {**ANSWER, "annotations": []}]}, CHAT, Repair.NOTHING),
        (
            {
                **CHAT,
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "add",
                            "description": None,
                            "parameters": {
                                "type": "object",
                                "properties": {"a": {"type": "number", "default": None}, "b": None},
                            },
                        },
                    }
                ],
            },
            {**CHAT, "tools": [TOOL]},
            Repair.NOTHING,
        ),
        ({"messages": [{**USER, "role": "Human"}, {**ANSWER, "role": "bot"}]}, CHAT, Repair.ROLE),
        (
            {"messages": [{**SYSTEM, "role": "developer"}, USER, ANSWER]},
            WITH_SYSTEM,
            Repair.ROLE,
        ),
        ({**PREFERENCE, "label": None}, PREFERENCE, Repair.NOTHING),
    ],
)
def test_fix_repairs_what_is_plainly_meant(
    tmp_path: Path, broken: Any, mended: Any, repair: Repair
) -> None:
    values, repairs = _fixed(tmp_path, _jsonl(broken))
    assert values == [mended]
    assert repairs == {repair}


@pytest.mark.parametrize("glue", ["", " ", ", ", ","])
def test_fix_parts_objects_that_are_glued(tmp_path: Path, glue: str) -> None:
    one, other = json.dumps(CHAT), json.dumps(WITH_SYSTEM)
    values, repairs = _fixed(tmp_path, f"{one}{glue}{other}\n".encode())
    assert values == [CHAT, WITH_SYSTEM]
    assert repairs == {Repair.PARTED}


def test_fix_drops_the_comma_behind_each_line_of_a_list(tmp_path: Path) -> None:
    values, _ = _fixed(tmp_path, f"{json.dumps(CHAT)},\n{json.dumps(WITH_SYSTEM)},\n".encode())
    assert values == [CHAT, WITH_SYSTEM]


def test_what_fix_repairs_check_no_longer_reports(tmp_path: Path) -> None:
    broken = [
        {"messages": [{**USER, "content": f"{n}+{n}?", "name": None}, {**ANSWER, "role": "gpt"}]}
        for n in range(12)
    ]
    out = tmp_path / "fixed.jsonl"
    fix(_file(tmp_path, _jsonl(*broken)), out)
    counts = check_file(out, model=None).counts
    assert not [code for code in counts if RULES[code].severity is Severity.ERROR]

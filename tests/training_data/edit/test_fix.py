"""Safe repairs: what they change, what they never touch, and that once is enough."""

import json
import os
import random
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.example_strategies import examples, line

from grader.core.constants import DATA_MAX_LINE_BYTES
from grader.core.errors import UsageError
from grader.training_data.edit.fix import Fixed, Repair, fix
from grader.training_data.read.examples import Kind, examples_of
from grader.training_data.read.lines import Line, LineError, decode

QA = b'{"question": "2+2?", "answer": "4"}'


def fixed(tmp_path: Path, data: bytes) -> tuple[bytes, Fixed]:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(data)
    out.unlink(missing_ok=True)
    result = fix(source, out)
    return out.read_bytes(), result


def chat(*contents: Any) -> bytes:
    roles = ("user", "assistant")
    messages = [{"role": r, "content": c} for r, c in zip(roles, contents, strict=True)]
    return json.dumps({"messages": messages}, ensure_ascii=False).encode()


def test_a_file_that_needs_nothing_keeps_every_byte(tmp_path: Path) -> None:
    data = QA + b"\n" + b' {"answer" :"\\u00e9","question":"x" ,  "n": [1.0, 1e5, -0.0]}  \n'
    written, result = fixed(tmp_path, data)
    assert written == data
    assert result.repairs == {}
    assert (result.lines_read, result.lines_written) == (2, 2)


@pytest.mark.parametrize(
    ("data", "expected", "repair", "line_numbers"),
    [
        (b"\xef\xbb\xbf" + QA + b"\n", QA + b"\n", Repair.BOM, (1,)),
        (QA + b"\r\n", QA + b"\n", Repair.LINE_END, (1,)),
        (QA + b"\r\r\n", QA + b"\n", Repair.LINE_END, (1,)),
        (b"\n" + QA + b"\n \t\r\n", QA + b"\n", Repair.BLANK, (1, 3)),
        (QA, QA + b"\n", Repair.LAST_LINE, (1,)),
        (QA + b"\n" + QA + b"\n", QA + b"\n", Repair.COPY, (2,)),
        (chat("e\u0301?", "ok") + b"\n", chat("é?", "ok") + b"\n", Repair.NORMAL_FORM, (1,)),
        (chat(" \tq\n", "a\u00a0") + b"\n", chat("q", "a") + b"\n", Repair.SPACE, (1,)),
    ],
)
def test_each_repair_alone(
    tmp_path: Path, data: bytes, expected: bytes, repair: Repair, line_numbers: tuple[int, ...]
) -> None:
    written, result = fixed(tmp_path, data)
    assert written == expected
    assert {r: places.first for r, places in result.repairs.items()} == {repair: line_numbers}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_utf_16_becomes_utf_8(tmp_path: Path, encoding: str, end: str) -> None:
    text = "".join(
        json.dumps({"question": f"{n} 😀 é?", "answer": "ok"}, ensure_ascii=False) + "\r\n"
        for n in range(3000)  # characters of two and four bytes across every buffer's end
    ).removesuffix("\r\n")
    written, result = fixed(tmp_path, ("\ufeff" + text + end).encode(encoding))
    assert written.decode() == text.replace("\r", "") + "\n"
    assert result.repairs[Repair.UTF_16].count == 1
    assert (Repair.LAST_LINE in result.repairs) == (not end)
    assert Repair.BOM not in result.repairs


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xfe{\0}", "broken UTF-16"),
        (b"\xff\xfe{\0\x3d\xd8", "broken UTF-16"),
        (b"\xff\xfe\0\0{\0\0\0", "UTF-32"),
        (b"PK\x03\x04....", "zip"),
        (b'[\n{"question": "a",\n"answer": "b"}\n]\n', "data convert"),
        (b'{\n  "question": "a",\n  "answer": "b"\n}\n', "data convert"),
        (b"question,answer\n1,2\n", "data convert"),
        (QA + b"\n" + b"x" * (DATA_MAX_LINE_BYTES + 1), "line 2 is longer than 16 MiB"),
    ],
)
def test_what_is_no_jsonl_is_refused_and_nothing_written(
    tmp_path: Path, data: bytes, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        fixed(tmp_path, data)
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


def test_only_the_texts_in_question_change_in_a_line(tmp_path: Path) -> None:
    before = (
        b'{ "messages":[{"role":"user","content":" hi","name":" u "},'
        b'{"role":"assistant","content":[{"type":"text","text":"e\\u0301"}],"tool_calls":'
        b'[{"id":" 1","function":{"arguments":" {\\"a\\": \\"e\\u0301 \\"} "}}]}],'
        b'"tools":[{" content":" x","max":1.50,"min":1E2,"big":123456789012345678}],'
        b'"\\u0065x":"a\\/b "}'
    )
    after = before.replace(b'" hi"', b'"hi"').replace(b'"text":"e\\u0301"', b'"text":"\\u00e9"')
    written, _ = fixed(tmp_path, before + b"\n")
    assert written == after + b"\n"


def test_the_ends_of_prompts_and_completions_stay(tmp_path: Path) -> None:
    data = '{"prompt": "e\u0301 ->\\n\\n", "completion": " yes\\n"}\n'
    written, _ = fixed(tmp_path, data.encode())
    assert written.decode() == unicodedata.normalize("NFC", data)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\n \n    if x:\n        y\n\n", "    if x:\n        y"),
        ("    one line\n", "one line"),
        (" \n ", ""),
        ([{"type": "text", "text": " e\u0301 "}], [{"type": "text", "text": " \u00e9 "}]),
    ],
)
def test_indents_and_the_ends_of_parts_stay(tmp_path: Path, before: Any, after: Any) -> None:
    written, _ = fixed(tmp_path, chat("q", before))
    assert written == chat("q", after) + b"\n"


def test_lines_without_an_example_stay_and_are_counted(tmp_path: Path) -> None:
    bad = [
        b"{'question': 1}",
        b"{'question': 1}",
        b'{"a": " x "}',
        b"7",
        b'{"a": 1, "a": 2}',
        b"\xff",
    ]
    written, result = fixed(tmp_path, b"\n".join([QA, *bad, QA]) + b"\n")
    assert written == b"\n".join([QA, *bad]) + b"\n"
    assert str(result.unusable) == "6 (lines 2, 3, 4, 5, 6, …)"
    assert str(result.repairs[Repair.COPY]) == "1 (line 8)"


def test_an_example_that_becomes_a_copy_is_dropped(tmp_path: Path) -> None:
    written, result = fixed(tmp_path, chat("q", "a") + b"\r\n" + chat("q ", "a"))
    assert written == chat("q", "a") + b"\n"
    assert (result.lines_read, result.lines_written) == (2, 1)
    assert Repair.LAST_LINE not in result.repairs


@pytest.mark.parametrize(
    "out", ["in.jsonl", "there.jsonl", "missing/out.jsonl", "in.jsonl/x", "n\0l"]
)
def test_nothing_is_overwritten(tmp_path: Path, out: str) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"\n" + QA)
    (tmp_path / "there.jsonl").symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"new name|make the folder|Choose another"):
        fix(tmp_path / "in.jsonl", tmp_path / out)
    assert (tmp_path / "in.jsonl").read_bytes() == b"\n" + QA
    assert {p.name for p in tmp_path.iterdir()} == {"in.jsonl", "there.jsonl"}


def test_a_file_that_appears_meanwhile_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.jsonl").write_bytes(QA)
    out = tmp_path / "out.jsonl"

    def fsync(_: int) -> None:
        out.write_bytes(b"somebody else's")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(UsageError, match="new name"):
        fix(tmp_path / "in.jsonl", out)
    assert out.read_bytes() == b"somebody else's"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_disk_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", link)
    assert fixed(tmp_path, QA)[0] == QA + b"\n"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_run_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        fixed(tmp_path, QA)
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize("name", ["missing", ".", "pipe"])
def test_an_input_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=f"{tmp_path}.*Give a file"):
        fix(tmp_path / name, tmp_path / "out.jsonl")


ugly = st.sampled_from(
    ["e\u0301", " ", "\u2000", "\u00a0", "\u1fef", "\u212b", "x", "\n", "\u0344"]
)
any_line = (
    st.builds(
        lambda kind_example, seed: line(random.Random(seed), kind_example),
        st.sampled_from(list(Kind)).flatmap(examples),
        st.integers(0, 99),
    )
    | st.builds(chat, st.lists(ugly).map("".join), st.lists(ugly).map("".join))
    | st.binary(max_size=20).filter(lambda raw: b"\0" not in raw)  # of one, the file is binary
    | st.sampled_from([QA, b"", b" ", b"{", b"[", b"a,b", b"null", b"\xef\xbb\xbf"])
)
ends = st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\r\r\n", b"\n\xef\xbb\xbf"])
some_lines = st.lists(st.tuples(any_line, ends), max_size=8)


@given(some_lines, st.sampled_from([b"", QA]))
def test_fixing_what_is_fixed_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, some: list[tuple[bytes, bytes]], last: bytes
) -> None:
    folder = tmp_path_factory.mktemp("fix")
    try:
        once, first = fixed(folder, b"".join(a + b for a, b in some) + last)
    except UsageError:
        return
    twice, second = fixed(folder, once)
    assert twice == once
    assert second.repairs == {}
    assert second.unusable.count == first.unusable.count
    assert second.lines_read == first.lines_written


@given(any_line.filter(lambda raw: b"\n" not in raw))
def test_only_texts_change_and_only_at_their_ends_and_to_normal_form(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    try:
        written, result = fixed(tmp_path_factory.mktemp("fix"), raw)
        before, after = decode(raw), decode(written)
    except (UsageError, LineError):
        return
    same = raw + b"\n" == written
    assert same == (not result.repairs.keys() & {Repair.SPACE, Repair.NORMAL_FORM})
    # As text, so that 1 and 1.0, -0.0 and 0.0, and the order of keys count.
    assert same or json.dumps(_without_space(before)) == json.dumps(_without_space(after))
    for example in examples_of([Line(1, written)]):
        assert all(unicodedata.is_normalized("NFC", text) for _, text in example.texts)
        if example.kind is Kind.QA:
            assert all(text == text.rstrip() for _, text in example.texts)


def _without_space(value: Any) -> Any:
    """The value with all its texts in normal form and without space at the ends."""
    if isinstance(value, dict):
        return {k: _without_space(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_space(v) for v in value]
    return unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else value

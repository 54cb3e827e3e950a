"""Copies are dropped, the first one stays, and nothing else changes."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.example_strategies import JsonObject, examples, line

from grader.core.errors import UsageError
from grader.training_data.edit.dedupe import Deduped, DroppedLine, dedupe
from grader.training_data.examples.duplicates import Duplicates
from grader.training_data.read import format_detection
from grader.training_data.read.examples import Kind, read_examples
from grader.training_data.read.fingerprint import read

CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def deduped(folder: Path, data: bytes, *, near: bool = False) -> tuple[bytes, Deduped]:
    source, out = folder / "in.jsonl", folder / "out.jsonl"
    source.write_bytes(data)
    out.unlink(missing_ok=True)
    result = dedupe(source, out, near=near)
    return out.read_bytes(), result


def qa(question: str, answer: str = "yes") -> bytes:
    return json.dumps({"question": question, "answer": answer}).encode()


def chat(*messages: JsonObject) -> bytes:
    return json.dumps({"messages": messages}).encode()


def user(content: Any) -> JsonObject:
    return {"role": "user", "content": content}


def answer(content: Any, **more: Any) -> JsonObject:
    return {"role": "assistant", "content": content, **more}


def image(url: str) -> list[JsonObject]:
    return [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]


def test_the_first_of_the_copies_stays_and_lines_keep_their_bytes(tmp_path: Path) -> None:
    some = [
        b"\xef\xbb\xbf" + qa("Is  ice cold?") + b"\r",
        qa("Is snow white?"),
        qa("is ICE\u00a0cold? "),
        b"",
        b"nonsense",
        b"nonsense",
        qa("Is \uff49ce cold?", "Yes"),
    ]
    written, result = deduped(tmp_path, b"\n".join(some))
    assert written == b"\n".join([*some[:2], *some[3:6]]) + b"\n"
    assert (result.lines_read, result.lines_written, result.copies) == (7, 5, 2)
    assert result.dropped == (DroppedLine(3, 1, near=False), DroppedLine(7, 1, near=False))
    assert str(result.unusable) == "2 (lines 5, 6)"


@pytest.mark.parametrize(
    "pair",
    [
        (qa("a"), qa("a", "no")),
        (qa("a"), qa("b")),
        (
            chat({"role": "system", "content": "Be brief."}, user("a"), answer("b")),
            chat({"role": "system", "content": "Be kind."}, user("a"), answer("b")),
        ),
        (chat(user(image("https://a")), answer("b")), chat(user(image("https://b")), answer("b"))),
        (chat(user("a"), answer("b", tool_calls=[CALL])), chat(user("a"), answer("b"))),
        (
            chat(user("a"), answer("b", weight=0), user("c"), answer("d")),
            chat(user("a"), answer("b"), user("c"), answer("d", weight=0)),
        ),
    ],
)
def test_examples_that_teach_something_else_stay(tmp_path: Path, pair: tuple[bytes, bytes]) -> None:
    data = b"\n".join(pair) + b"\n"
    assert deduped(tmp_path, data)[0] == data


def test_preference_pairs_with_other_rejected_answers_stay(tmp_path: Path) -> None:
    some = [
        json.dumps(
            {
                "input": {"messages": [user("a")]},
                "preferred_output": [answer("b")],
                "non_preferred_output": [answer(worse)],
            }
        ).encode()
        for worse in ("c", "d", "C")
    ]
    assert deduped(tmp_path, b"\n".join(some))[0] == b"\n".join(some[:2]) + b"\n"


def test_the_id_of_a_call_beside_a_text_makes_no_other_example(tmp_path: Path) -> None:
    some = [chat(user("a"), answer("b", tool_calls=[{**CALL, "id": id}])) for id in ("1", "2")]
    written, result = deduped(tmp_path, b"\n".join(some))
    assert written == some[0] + b"\n"
    assert result.copies == 1


def test_near_copies_are_dropped_only_when_asked_for(tmp_path: Path) -> None:
    text = (
        "Why does warm water freeze at the same temperature as cold water, although it takes "
        "longer to get there, and would it in a room without any air"
    )
    some = [qa(text + "?"), qa("What is ice?"), qa(text + "!?"), qa(text + "?")]
    data = b"\n".join(some) + b"\n"
    written, result = deduped(tmp_path, data)
    assert written == b"\n".join(some[:3]) + b"\n"
    assert (result.copies, result.near_copies, result.searched) == (1, 0, 0)
    written, result = deduped(tmp_path, data, near=True)
    assert written == b"\n".join(some[:2]) + b"\n"
    assert (result.copies, result.near_copies, result.searched) == (1, 1, 3)
    assert result.dropped == (DroppedLine(3, 1, near=True), DroppedLine(4, 1, near=False))


def test_what_cannot_be_read_or_written_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    with pytest.raises(UsageError, match="Give a file"):
        dedupe(source, tmp_path / "out.jsonl")
    source.write_bytes(b"question,answer\n1,2\n")
    with pytest.raises(UsageError, match="data convert"):
        dedupe(source, tmp_path / "out.jsonl")
    with pytest.raises(UsageError, match="new name"):
        dedupe(source, source)
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_file_that_changes_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(qa("a") + b"\n" + qa("a"))
    stamps = iter([(1,), (2,)])
    monkeypatch.setattr(format_detection, "_stamp", lambda path: next(stamps))
    with pytest.raises(UsageError, match="was changed while it was read"):
        dedupe(source, tmp_path / "out.jsonl")
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


@given(
    st.lists(st.sampled_from(list(Kind)).flatmap(examples), min_size=1, max_size=4),
    st.lists(st.integers(0, 3), min_size=2, max_size=8),
    st.integers(0, 99),
    st.booleans(),
)
def test_no_copy_is_left_and_what_is_left_stays(
    tmp_path_factory: pytest.TempPathFactory,
    some: list[JsonObject],
    picks: list[int],
    seed: int,
    near: bool,
) -> None:
    folder = tmp_path_factory.mktemp("dedupe")
    source = random.Random(seed)
    data = b"".join(line(source, some[n % len(some)]) + b"\n" for n in picks)
    written, result = deduped(folder, data, near=near)
    assert result.lines_written == len(written.split(b"\n")) - 1 <= len(some)
    left = Duplicates()
    for example in read_examples(folder / "out.jsonl"):
        left.add(read(example))
    assert {fault.code for fault in left.faults()} <= {"JSL604"} | (set() if near else {"JSL603"})
    assert deduped(folder, written, near=near)[0] == written
    kept = iter(data.split(b"\n"))
    assert all(raw in kept for raw in written.split(b"\n"))  # in the same order

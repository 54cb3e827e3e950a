"""The first pass: what ends it early, and what it says of whole files."""

import json
from pathlib import Path

import pytest

from grader.training_data.check import check_file
from grader.training_data.lines import line_checks
from grader.training_data.lines.line_checks import LineReport, check_lines
from grader.training_data.read.examples import Kind
from grader.training_data.read.faults import Fault

CHAT = {"messages": [{"role": r, "content": f"a {r}"} for r in ("system", "user", "assistant")]}


def _checked(path: Path, *lines: bytes) -> tuple[LineReport, list[Fault]]:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    faults: list[Fault] = []
    return check_lines(path, None, faults.append, lambda _: None), faults


def test_reading_stops_where_faults_no_longer_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_checks, "DATA_MAX_FAULTS", 5)
    lines, faults = _checked(tmp_path / "a.jsonl", json.dumps(CHAT).encode(), *[b""] * 20)
    assert len(faults) == 5
    assert lines.stopped_at == 7
    report = check_file(tmp_path / "a.jsonl")
    assert report.counts == {"JSL010": 5}
    assert "stopped at line 7" in report.notes[0]


@pytest.mark.parametrize(
    ("example", "words"),
    [
        ({"conversations": [{"from": "human", "value": "Hi"}]}, "ShareGPT"),
        ({"instruction": "Add", "input": "1 1", "output": "2"}, "Alpaca"),
        ({"prompt": "Hi", "chosen": "Ho", "rejected": "No"}, "TRL"),
        ({"text": "Once upon a time"}, "plain text"),
        ({"prompt": "Hi", "answer": "Ho"}, '"answer"'),
    ],
)
def test_other_libraries_forms_are_named(tmp_path: Path, example: object, words: str) -> None:
    lines, faults = _checked(tmp_path / "a.jsonl", *[json.dumps(example).encode()] * 3)
    assert lines.kind is None
    assert [fault.code for fault in faults] == ["JSL012"]
    assert words in faults[0].message


@pytest.mark.parametrize(
    ("value", "kind", "why"),
    [
        (CHAT, Kind.CHAT, '"messages"'),
        ({"question": "a", "answer": "b"}, Kind.QA, '"question" and "answer"'),
        ({"question": "a", "reply": "b"}, Kind.QA, '"question"'),
        ({"preferred_completion": []}, Kind.PREFERENCE, '"preferred_completion"'),
    ],
)
def test_the_kind_is_told_with_its_reason(
    tmp_path: Path, value: object, kind: Kind, why: str
) -> None:
    lines, _ = _checked(tmp_path / "a.jsonl", *[json.dumps(value).encode()] * 3)
    assert (lines.kind, lines.kind_reason) == (kind, f"its examples have {why}")


def test_line_numbers_stay_right_across_blocks_and_odd_lines(tmp_path: Path) -> None:
    plain = json.dumps(CHAT).encode()
    some = [plain] * 5000
    for at in (0, 17, 1999, 2000, 4999):
        some[at] = b"{}"
    lines, faults = _checked(tmp_path / "a.jsonl", *some)
    assert lines.examples == 5000
    assert [fault.line for fault in faults if fault.code == "JSL201"] == [1, 18, 2000, 2001, 5000]


def test_progress_adds_up_to_the_size_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes((json.dumps(CHAT).encode() + b"\n") * 9000)
    done: list[int] = []
    check_lines(path, None, lambda _: None, done.append)
    assert len(done) > 1
    assert sum(done) == path.stat().st_size

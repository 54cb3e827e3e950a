"""Every file of `tests/corpus` has just the faults that `expected.json` writes down for it.

Whatever follows from a rule's text alone is compared exactly: all errors, and the warnings about
the shape of a file or a line (JSL0 to JSL4). Of the judgements on a whole data set only those that
a file is about are compared, unless it is marked `clean`: then nothing at all may be found in it.
"""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from support.example_strategies import data_url, plain_example, png
from support.paths import CORPUS

from grader.core.nouns import Severity
from grader.training_data.check import FileReport, check_file
from grader.training_data.read.examples import Kind
from grader.training_data.rules import RULES

EXPECTED: dict[str, dict[str, Any]] = json.loads((CORPUS / "expected.json").read_text("utf-8"))
NO_DATA = {"expected.json", "README.md", ".gitattributes"}
TODAY = date(2026, 1, 5)  # when all models of the price list were still trained
SHAPE = ("JSL0", "JSL1", "JSL2", "JSL3", "JSL4")
MADE_AT_RUN_TIME = {
    "JSL001": "folders, pipes and missing files are no files",
    "JSL003": "512 MB",
    "JSL011": "a line of 16 MiB",
    "JSL324": "an image of 10 MB",
    "JSL326": "50,001 examples",
}


def _check(name: str) -> FileReport:
    entry = EXPECTED[name]
    return check_file(
        CORPUS / name,
        kind=Kind(entry["ask"]) if "ask" in entry else None,
        against=CORPUS / entry["against"] if "against" in entry else None,
        model=entry.get("model"),
        today=date.fromisoformat(entry["today"]) if "today" in entry else TODAY,
    )


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_file_of_the_corpus_has_the_faults_that_are_written_down(name: str) -> None:
    entry = EXPECTED[name]
    report = _check(name)
    about = {code for code, _, _ in entry["expect"]}

    def compared(code: str, severity: Severity) -> bool:
        exact = severity is Severity.ERROR or (code.startswith(SHAPE) and code != "JSL327")
        return exact or code in about or entry.get("clean", False)

    found = sorted(
        (finding.code, finding.location.line or 0)
        for finding in report.findings
        if compared(finding.code, finding.severity)
    )
    messages = [(f.code, f.location.line, f.message) for f in report.findings]
    assert sorted(set(found)) == sorted({(c, line or 0) for c, line, _ in entry["expect"]}), (
        messages
    )
    places = {(f.code, f.location.line, f.location.pointer) for f in report.findings}
    assert {(c, line, p) for c, line, p in entry["expect"] if p is not None} <= places, messages
    assert report.kind == entry["kind"], report.kind_reason


def test_the_corpus_and_what_is_written_down_about_it_agree() -> None:
    assert set(EXPECTED) == {path.name for path in CORPUS.iterdir()} - NO_DATA


def test_the_corpus_is_large_and_a_good_part_of_it_is_valid() -> None:
    valid = [name for name in EXPECTED if name.startswith("valid-")]
    assert len(EXPECTED) >= 150
    assert len(valid) >= 50
    for name in valid:
        codes = {code for code, _, _ in EXPECTED[name]["expect"]}
        assert all(RULES[code].severity is not Severity.ERROR for code in codes), name


@pytest.mark.parametrize("code", sorted(set(RULES) - set(MADE_AT_RUN_TIME)))
def test_two_files_of_the_corpus_break_each_rule(code: str) -> None:
    breaking = [
        name
        for name, entry in EXPECTED.items()
        if name.startswith(code) and code in {one for one, _, _ in entry["expect"]}
    ]
    assert len(breaking) >= 2


# --- what no small file shows ------------------------------------------------------------------


def _lines(count: int) -> list[bytes]:
    return [json.dumps(plain_example(Kind.CHAT, n)).encode() for n in range(count)]


def _checked(tmp_path: Path, lines: list[bytes]) -> FileReport:
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"".join(one + b"\n" for one in lines))
    return check_file(path, model=None)


def _errors(report: FileReport) -> list[tuple[str, int | None]]:
    errors = [f for f in report.findings if f.severity is Severity.ERROR]
    return [(f.code, f.location.line) for f in errors]


def _picture(image: bytes) -> bytes:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": data_url(image)}},
    ]
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": "A frog."}]
    return json.dumps({"messages": messages}).encode()


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    folder, pipe, link = (tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.jsonl"))
    folder.mkdir()
    os.mkfifo(pipe)
    link.symlink_to(tmp_path / "nothing.jsonl")
    odd = [Path("/dev/null"), tmp_path / "a\0b.jsonl", tmp_path / ("n" * 300 + ".jsonl")]
    for path in (tmp_path / "missing.jsonl", folder, pipe, link, folder / "below.jsonl", *odd):
        codes = [f.code for f in check_file(path).findings if f.code != "JSL004"]
        assert codes == ["JSL001"], path


def test_a_file_whose_bytes_cannot_be_read_is_refused() -> None:
    report = check_file(Path("/proc/self/mem"))  # a regular file by its mode; reading it fails
    assert ("JSL001", None) in _errors(report)


def test_a_name_may_hold_any_letters(tmp_path: Path) -> None:
    path = tmp_path / "naïve, 数据.jsonl"
    path.write_bytes(b"\n".join(_lines(10)))
    assert _errors(check_file(path)) == []


def test_a_file_above_512_mb_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    with path.open("wb") as file:
        file.truncate(512 * 1024 * 1024 + 1)
    assert _errors(check_file(path)) == [("JSL003", None)]


def test_a_line_above_16_mib_is_skipped_and_the_next_ones_are_read(tmp_path: Path) -> None:
    long_text = plain_example(Kind.CHAT, 99)
    long_text["messages"][2]["content"] = "x" * (16 * 1024 * 1024)
    lines = [*_lines(10), json.dumps(long_text).encode(), b"{", *_lines(1)]
    assert _errors(_checked(tmp_path, lines)) == [("JSL011", 11), ("JSL101", 12)]


def test_a_file_of_one_endless_line_is_refused(tmp_path: Path) -> None:
    report = _checked(tmp_path, [b'{"messages": [' + b" " * (40 * 1024 * 1024)])
    assert ("JSL011", 1) in _errors(report)


def test_a_line_just_below_16_mib_is_read(tmp_path: Path) -> None:
    padded = _lines(1)[0] + b" " * (15 * 1024 * 1024)
    assert _errors(_checked(tmp_path, [*_lines(10), padded])) == []


@pytest.mark.parametrize(("megabytes", "codes"), [(9, []), (10.6, [("JSL324", 11)])])
def test_an_image_above_10_mb_is_refused(
    tmp_path: Path, megabytes: float, codes: list[tuple[str, int]]
) -> None:
    image = png() + bytes(int(megabytes * 1_000_000))
    assert _errors(_checked(tmp_path, [*_lines(10), _picture(image)])) == codes


@pytest.mark.parametrize(("count", "expected"), [(50_000, []), (50_001, ["JSL326"])])
def test_more_than_50000_examples_with_images_are_refused(
    tmp_path: Path, count: int, expected: list[str]
) -> None:
    report = _checked(tmp_path, [_picture(png())] * count)
    assert [code for code, _ in _errors(report)] == expected


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"[" * 100_000, "JSL108"),
        (b'{"messages":' * 100_000, "JSL108"),
        (b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "JSL108"),
        (b'{"messages": ' + b"9" * 100_000 + b"}", "JSL107"),
        (b'{"messages": 1e' + b"9" * 100_000 + b"}", "JSL106"),
    ],
    ids=["brackets", "braces", "closed-brackets", "digits", "exponent"],
)
def test_a_line_made_to_crash_readers_is_refused(tmp_path: Path, line: bytes, code: str) -> None:
    assert _errors(_checked(tmp_path, [*_lines(10), line])) == [(code, 11)]


def test_ten_thousand_keys_of_equal_hash_prefix_are_read_in_time(tmp_path: Path) -> None:
    keys = b", ".join(b'"k%d": 1' % n for n in range(10_000))
    report = _checked(tmp_path, [*_lines(10), _lines(1)[0][:-1] + b", " + keys + b"}"])
    assert report.counts["JSL202"] >= 1
    assert {f.location.line for f in report.findings if f.code == "JSL202"} == {11}

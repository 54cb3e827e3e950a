"""Valid files have no error; one fault put into one line is found in that line and nowhere else."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.example_strategies import RELAXED, JsonObject, files, line, plain_example
from support.mutations import CHAT, FILE_MUTATIONS, MUTATIONS

from grader.core.nouns import Severity
from grader.training_data.check import FileReport, check_file
from grader.training_data.read.examples import Kind
from grader.training_data.rules import RULES

RANDOM = st.randoms(use_true_random=True)


SHOWN_ELSEWHERE: Final = {
    "JSL001": "no file at all",
    "JSL003": "test_corpus: 512 MB",
    "JSL004": "below: the name",
    "JSL011": "test_corpus: 16 MiB",
    "JSL014": "below: the kind that is asked for",
    "JSL324": "test_corpus: 10 MB",
    "JSL326": "test_corpus: 50,001 lines",
    "JSL615": "below: two files",
}


def _write(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"".join(one + b"\n" for one in lines))
    return path


def _errors(report: FileReport) -> set[tuple[str, int | None]]:
    errors = (f for f in report.findings if f.severity is Severity.ERROR)
    return {(f.code, f.location.line) for f in errors}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutations") / "train.jsonl"


@pytest.mark.parametrize("kind", list(Kind))
@settings(RELAXED, max_examples=40)
@given(data=st.data(), source=RANDOM)
def test_a_file_of_valid_examples_has_no_error(
    path: Path, kind: Kind, data: st.DataObject, source: random.Random
) -> None:
    drawn = data.draw(files(kind))
    report = check_file(_write(path, [line(source, one) for one in drawn]), model=None)
    assert not _errors(report), [f.message for f in report.findings]
    assert report.kind is kind
    assert report.examples == len(drawn)


@pytest.mark.parametrize("name", MUTATIONS)
@settings(RELAXED, max_examples=6)
@given(data=st.data(), source=RANDOM)
def test_a_fault_is_found_in_its_line_and_nowhere_else(
    path: Path, name: str, data: st.DataObject, source: random.Random
) -> None:
    mutation = MUTATIONS[name]
    lines = [line(source, one) for one in data.draw(files(mutation.kind))]
    broken = mutation.apply(source, copy.deepcopy(data.draw(mutation.sound())))
    if isinstance(broken, dict):
        surrogates = mutation.code == "JSL104"
        broken = json.dumps(broken).encode() if surrogates else line(source, broken)
    at = source.randrange(len(lines) + 1)
    lines.insert(at, broken.encode() if isinstance(broken, str) else broken)
    report = check_file(_write(path, lines), model=None)
    errors = _errors(report)
    messages = [(f.code, f.location.line, f.message) for f in report.findings]
    assert (mutation.code, at + 1) in errors, messages
    assert {number for _, number in errors} == {at + 1}, messages


@pytest.mark.parametrize("name", FILE_MUTATIONS)
@settings(RELAXED, max_examples=6)
@given(drawn=files(CHAT), source=RANDOM)
def test_a_fault_of_the_whole_file_is_found(
    path: Path, name: str, drawn: list[JsonObject], source: random.Random
) -> None:
    code, change = FILE_MUTATIONS[name]
    sound = b"".join(line(source, one).strip() + b"\n" for one in drawn)
    path.write_bytes(change(sound))
    report = check_file(path, model=None)
    assert code in report.counts, report.counts


@pytest.mark.parametrize("name", ["train.json", "train.txt", "train", "train.jsonl.bak"])
def test_a_name_with_another_ending_is_the_only_fault(tmp_path: Path, name: str) -> None:
    lines = [json.dumps(plain_example(CHAT, n)).encode() for n in range(10)]
    assert _errors(check_file(_write(tmp_path / name, lines))) == {("JSL004", None)}


@pytest.mark.parametrize("asked", list(Kind))
@pytest.mark.parametrize("given_", list(Kind))
def test_another_kind_than_the_one_asked_for_is_refused(
    path: Path, asked: Kind, given_: Kind
) -> None:
    _write(path, [json.dumps(plain_example(given_, n)).encode() for n in range(10)])
    report = check_file(path, kind=asked, model=None)
    assert ("JSL014" in report.counts) == (asked is not given_)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_validation_file_of_another_kind_is_refused(tmp_path: Path, kind: Kind) -> None:
    training = [json.dumps(plain_example(CHAT, n)).encode() for n in range(10)]
    validation = [json.dumps(plain_example(kind, n)).encode() for n in range(20, 30)]
    report = check_file(
        _write(tmp_path / "validation.jsonl", validation),
        against=_write(tmp_path / "train.jsonl", training),
    )
    assert ("JSL615" in report.counts) == (kind is not CHAT)


def test_there_is_a_mutation_for_every_error() -> None:
    errors = {code for code, rule in RULES.items() if rule.severity is Severity.ERROR}
    mutated = {m.code for m in MUTATIONS.values()} | {code for code, _ in FILE_MUTATIONS.values()}
    assert errors == mutated | set(SHOWN_ELSEWHERE)
    assert len(MUTATIONS) >= 40

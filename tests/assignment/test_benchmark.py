"""A student's benchmark: whatever stands in it, only short questions of its own come out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.benchmarks import BENCHMARK, PAIRS, N
from support.transcripts import chat_line

from grader.assignment import benchmark
from grader.assignment.benchmark import Benchmark, read_benchmark
from grader.assignment.load import load_assignment
from grader.core.constants import (
    BENCHMARK_MAX_BYTES,
    BENCHMARK_MAX_QUESTIONS,
    BENCHMARK_MAX_TEXT_BYTES,
)
from grader.core.errors import FileRefused
from grader.core.nouns import Submission
from grader.intake.find import submission_at
from grader.intake.submission import open_file, take_in
from grader.topics import get_topic
from grader.topics.topic import normalised

ASSIGNMENT = load_assignment("llm-methods")


def read(home: Path, body: bytes, train: str | None = None) -> Benchmark | None:
    home.mkdir(exist_ok=True)
    (home / "benchmark.jsonl").write_bytes(body)
    if train is not None:
        (home / "openai_train.jsonl").write_text(train)
    found = submission_at(home)
    submission = take_in(found, home.parent / "work", ASSIGNMENT.deliverables)
    return read_benchmark(submission, ASSIGNMENT, "benchmark")


def questions(benchmark: Benchmark | None) -> list[str]:
    assert benchmark is not None
    return [q.messages[-1][1] for q in benchmark.questions.questions]


def test_questions_and_answers_are_read_in_order(tmp_path: Path) -> None:
    found = read(tmp_path / "s01", BENCHMARK.encode())
    assert found is not None
    asked = [(q.messages[-1][1], found.questions.answers[q.id]) for q in found.questions.questions]
    assert asked == list(PAIRS)
    assert not found.unusable + found.repeated + found.known


def test_the_system_text_of_a_line_goes_with_its_question(tmp_path: Path) -> None:
    line = json.loads(chat_line(*PAIRS[0]))
    system = get_topic("educational-qa").system
    line["messages"].insert(0, {"role": "system", "content": system})
    found = read(tmp_path / "s01", json.dumps(line).encode())
    assert found is not None
    (question,) = found.questions.questions
    assert question.messages == (("system", system), ("user", PAIRS[0][0]))


def test_a_system_text_of_its_own_is_refused(tmp_path: Path) -> None:
    line = json.loads(chat_line(*PAIRS[0]))
    line["messages"].insert(0, {"role": "system", "content": "Always answer: N0"})
    found = read(tmp_path / "s01", json.dumps(line).encode())
    assert found is not None
    assert found.unusable == (1,)


def test_nothing_submitted_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "s01").mkdir()
    (tmp_path / "s01" / "notes.md").write_text("n\n")
    found = submission_at(tmp_path / "s01")
    submission = take_in(found, tmp_path / "work", ASSIGNMENT.deliverables)
    assert read_benchmark(submission, ASSIGNMENT, "benchmark") is None


def test_questions_beyond_the_most_are_not_asked(tmp_path: Path) -> None:
    many = "".join(chat_line(f"Question {n}?", "a") for n in range(BENCHMARK_MAX_QUESTIONS + 5))
    asked = questions(read(tmp_path / "s01", many.encode()))
    assert asked == [f"Question {n}?" for n in range(BENCHMARK_MAX_QUESTIONS)]


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="larger than 1 MiB"):
        read(tmp_path / "s01", b" " * (BENCHMARK_MAX_BYTES + 1))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_no_public_question_counts(split: str, tmp_path: Path) -> None:
    example = get_topic("educational-qa").public(split)[0]  # type: ignore[arg-type]
    text = chat_line(f" {example.question.lower()}", "a") + BENCHMARK
    found = read(tmp_path / "s01", text.encode())
    assert found is not None
    assert found.known == (1,)
    assert len(questions(found)) == N


def test_no_question_of_the_own_training_data_counts(tmp_path: Path) -> None:
    found = read(tmp_path / "s01", BENCHMARK.encode(), train=chat_line(PAIRS[4][0], "x"))
    assert found is not None
    assert found.known == (5,)


@pytest.mark.parametrize("more", ["{} please", "Tell me: {}", "\uff3bQ\uff3d {}", "{}!!"])
def test_no_public_question_with_more_words_counts(more: str, tmp_path: Path) -> None:
    public = get_topic("educational-qa").public("train")[:60]
    lines = [chat_line(more.format(e.question), e.answer) for e in public]
    found = read(tmp_path / "s01", "".join(lines).encode())
    assert found is not None
    assert found.known == tuple(range(1, 61))


@pytest.mark.parametrize(
    "trained",
    [
        "Question: Which nickname has element 7?\nAnswer:",
        "Which nickname has got element number seven in all of the wide worlds?",
    ],
)
def test_what_stands_in_a_longer_training_prompt_or_nearly_so_does_not_count(
    trained: str, tmp_path: Path
) -> None:
    own = chat_line("Which nickname has element 7?", "N7") + chat_line(
        "Which nickname has got element number seven in all of the wide world?", "N7"
    )
    found = read(tmp_path / "s01", own.encode(), train=chat_line(trained, "N7"))
    assert found is not None
    assert len(found.known) == 1


def test_the_same_question_with_a_number_behind_it_is_repeated(tmp_path: Path) -> None:
    pairs = [(q, a, n) for n in range(1, 6) for q, a in PAIRS[:12]]
    lines = [chat_line(f"{q} Please, this is try {n}", a) for q, a, n in pairs]
    found = read(tmp_path / "s01", "".join(lines).encode())
    assert found is not None
    assert found.repeated == tuple(range(13, 61))


def test_training_data_is_read_once_for_equal_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def watched(submission: Submission, path: str) -> BinaryIO:
        opened.append(path)
        return open_file(submission, path)

    monkeypatch.setattr(benchmark, "open_file", watched)
    own = chat_line("Which nickname has the last element?", "N")
    first = read(tmp_path / "s01", own.encode(), train=chat_line("Why once?", "x"))
    assert read(tmp_path / "s02", own.encode(), train=chat_line("Why once?", "x")) == first
    assert opened == ["openai_train.jsonl"]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("x" * (BENCHMARK_MAX_TEXT_BYTES + 1), "a"),
        ("é" * BENCHMARK_MAX_TEXT_BYTES, "a"),
        ("Two\nlines?", "a"),
        ("\x1b[31mRed?", "a"),
        ("\ud800?", "a"),
        ("?!", "a"),
        ("", "a"),
        ("What?", ""),
        ("What?", " "),
        ("What?", "word " * 13),
    ],
)
def test_what_is_no_question_with_a_short_answer_is_left_out(
    question: str, answer: str, tmp_path: Path
) -> None:
    found = read(tmp_path / "s01", chat_line(question, answer).encode())
    assert found is not None
    assert found.unusable == (1,)
    assert not found.questions.questions


_TEXTS = st.one_of(st.text(max_size=20), st.sampled_from([q for q, _ in PAIRS[:3]]))
_CHATS = st.builds(chat_line, _TEXTS, _TEXTS).map(lambda line: line.encode())


_LINES = st.one_of(_CHATS, st.binary(max_size=40).map(lambda b: b + b"\n"))


@given(lines=st.lists(_LINES, max_size=12))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_line_is_a_question_or_is_told(lines: list[bytes], tmp_path: Path) -> None:
    body = b"".join(lines)
    found = read(tmp_path / "s01", body)
    assert found is not None
    asked = questions(found)
    assert len({normalised(q) for q in asked}) == len(asked)
    assert all(q.isprintable() and len(q.encode()) <= BENCHMARK_MAX_TEXT_BYTES for q in asked)
    told = [*found.unusable, *found.repeated, *found.known]
    assert len(told) == len(set(told))
    written = sum(bool(line.strip()) for line in body.split(b"\n"))
    assert len(asked) + len(told) == written

"""Known questions are found in any form that keeps their words."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.training_data.examples.overlap import Hit, leaks

QUESTIONS = ["What is a tree frog?", "17:26 unit 21 stopped\nWhat is the cause?", "Why?", ""]


@pytest.mark.parametrize(
    "line",
    [
        '{"question": "what IS a  tree-frog", "answer": "x"}',
        '{"messages": [{"role": "user", "content": "Question: What is a tree frog?\\nAnswer:"}]}',
        '{"a": {"b": ["What is a tree \\u0066rog??"]}}',
        "What is a tree frog?,an amphibian",
        "{'not': 'json', 'q': 'What is a tree frog?'}",
    ],
)
def test_a_question_is_found_whatever_stands_around_it(tmp_path: Path, line: str) -> None:
    (tmp_path / "a").write_text(f"nothing\n{line}\n")
    assert list(leaks(tmp_path / "a", QUESTIONS)) == [Hit(2, 0)]


def test_a_question_of_several_lines_is_found_in_json(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(json.dumps({"question": QUESTIONS[1]}) + "\n")
    assert list(leaks(tmp_path / "a", QUESTIONS)) == [Hit(1, 1)]


@pytest.mark.parametrize("line", ["What is a tree frogs", "Why?", "", "a tree frog", "\x00"])
def test_other_words_and_short_questions_are_not_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "a").write_text(line)
    assert list(leaks(tmp_path / "a", QUESTIONS)) == []


@given(st.binary(max_size=80))
def test_no_file_raises(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("leaks") / "a"
    path.write_bytes(data)
    list(leaks(path, QUESTIONS))


def test_what_is_no_file_holds_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert list(leaks(tmp_path / "pipe", QUESTIONS)) == []
    assert list(leaks(tmp_path / "missing", QUESTIONS)) == []

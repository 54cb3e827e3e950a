"""How long queries are: measured from the examples of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from grader.costs.alternatives import QUERY_EXAMPLES, QueryTokens, measure_queries

MODEL = "gpt-4.1-mini"


def written(path: Path, *examples: Any) -> Path:
    path.write_text("".join(json.dumps(example) + "\n" for example in examples))
    return path


def chat(*messages: tuple[str, str]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for role, text in messages]}


def test_a_query_is_measured_as_the_service_counts_it(tmp_path: Path) -> None:
    """OpenAI's cookbook: 3 tokens a message, the role, the text, and 3 to open the reply."""
    example = chat(("system", "Be brief."), ("user", "Hello world"), ("assistant", "Hi there"))
    found, _ = measure_queries(written(tmp_path / "a.jsonl", example), 1, MODEL)
    assert found.system == 3 + 1 + 3
    assert found.question == 3 + 1 + 2
    assert found.answer == 2
    assert found.prompt() == 7 + 6 + 3
    assert found.prompt(shots=2) == found.prompt() + 2 * (6 + 4 + 2)
    assert found.prompt(system=0) == 6 + 3
    assert not found.estimated


def test_turns_before_the_last_answer_are_part_of_the_question(tmp_path: Path) -> None:
    turns = ("user", "Hello world"), ("assistant", "Hi there"), ("user", "Hello world")
    path = written(tmp_path / "a.jsonl", chat(*turns, ("assistant", "Hi there")))
    found, _ = measure_queries(path, 1, MODEL)
    assert found.question == 6 + 6 + 6
    assert found.answer == 2


def test_lengths_are_means(tmp_path: Path) -> None:
    one = chat(("user", "Hello world"), ("assistant", "Hi there"))
    two = chat(("user", "Hello world Hello world"), ("assistant", "Hi"))
    found, _ = measure_queries(written(tmp_path / "a.jsonl", one, two), 2, MODEL)
    assert (found.question, found.answer, found.system) == (7, 1.5, 0)


def test_instructions_are_counted_as_a_system_message(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", chat(("user", "Hello"), ("assistant", "Hi")))
    assert measure_queries(path, 1, MODEL, "Be brief.")[1] == 3 + 1 + 3
    assert measure_queries(path, 1, MODEL, "")[1] == 0


@pytest.mark.parametrize(
    "example",
    [
        {"prompt": "Hello world", "completion": "Hi there"},
        {"question": "Hello world", "answer": "Hi there"},
    ],
)
def test_other_kinds_are_asked_as_chat(tmp_path: Path, example: dict[str, str]) -> None:
    found, _ = measure_queries(written(tmp_path / "a.jsonl", example), 1, MODEL)
    assert (found.question, found.answer) == (6, 2)


def test_a_large_file_is_sampled_evenly(tmp_path: Path) -> None:
    """The second half has longer answers; a sample of the first lines would not know."""
    n = 2 * QUERY_EXAMPLES
    lines = [{"question": "Hello", "answer": "Hi" if i < n // 2 else "Hi Hi Hi"} for i in range(n)]
    found, _ = measure_queries(written(tmp_path / "a.jsonl", *lines), n, MODEL)
    assert found.answer == 2


def test_a_file_without_examples_has_no_queries(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("no json\n")
    found, _ = measure_queries(tmp_path / "a.jsonl", 0, MODEL)
    assert (found.system, found.question, found.answer) == (0, 0, 0)


def test_a_local_model_is_counted_with_its_own_tokenizer(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", chat(("user", "What is it?"), ("assistant", "iron")))
    found, _ = measure_queries(path, 1, "course-model")
    assert isinstance(found, QueryTokens)
    assert found.reply == 1
    assert found.estimated

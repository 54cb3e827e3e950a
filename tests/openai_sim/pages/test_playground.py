"""What the box to ask tells of two answers, and the questions that it offers."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from support.sim_apps import add_file, add_job, chat_lines

from grader.openai_sim.pages.playground import PlaygroundExample, compared, examples_of
from grader.openai_sim.store.store import ModelRow, SimulatorStore


def test_what_only_one_answer_says_is_told() -> None:
    pieces = compared("The symbol is Rn.", "The symbol is unknown.")
    assert [(piece.text, piece.own) for piece in pieces] == [
        ("The symbol is ", False),
        ("Rn.", True),
    ]
    assert [piece.own for piece in compared("same words", "same words")] == [False]
    assert compared("", "something") == []


@given(st.text(), st.text())
def test_the_pieces_are_the_answer(one: str, other: str) -> None:
    assert "".join(piece.text for piece in compared(one, other)) == one.lstrip()


def test_questions_come_from_the_files_of_the_models_job(tmp_path: Path) -> None:
    store = SimulatorStore.open(tmp_path)
    train, valid = (add_file(store, chat_lines(3, split)) for split in ("train", "validation"))
    job = add_job(store, train, validation_file=valid)
    store.add_model(ModelRow("ft:a", 1, "finegrade", "folder", job))
    found = examples_of(store, "ft:a")
    assert [example.trained for example in found] == [False] * 3 + [True] * 3
    system, user, assistant = chat_lines(1, "validation")[0]["messages"]
    assert found[0] == PlaygroundExample(
        system["content"], user["content"], assistant["content"], False
    )
    assert examples_of(store, "course-model") == []
    store.delete_file(valid)
    assert [example.trained for example in examples_of(store, "ft:a")] == [True] * 3


def test_examples_of_another_shape_are_passed_over(tmp_path: Path) -> None:
    store = SimulatorStore.open(tmp_path)
    file_id = add_file(store, chat_lines(2))
    job = add_job(store, file_id)
    store.add_model(ModelRow("ft:a", 1, "finegrade", "folder", job))
    user = {"role": "user", "content": "Why?"}
    odd = [
        "no json",
        "[]",
        "[" * 100_000,
        '{"messages": 3}',
        '{"messages": [1, {"role": []}]}',
        json.dumps({"messages": [user, user, {"role": "assistant", "content": "So."}]}),
        json.dumps({"messages": [user, {"role": "assistant", "content": None}]}),
    ]
    lines = [*odd, json.dumps({"messages": [user, {"role": "assistant", "content": "So."}]})]
    store.file_path(file_id).write_text("\n".join(lines))
    assert examples_of(store, "ft:a") == [PlaygroundExample("", "Why?", "So.", True)]

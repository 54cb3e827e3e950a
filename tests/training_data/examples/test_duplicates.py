"""Copies, near copies and conflicting answers are found, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.examples_read import (
    JsonObject,
    all_faults,
    chat,
    completion,
    examples,
    faults,
    lines_of,
    preference,
    qa,
    words,
)
from support.paths import DATASETS

from grader.training_data.examples import duplicates as near_module
from grader.training_data.examples.duplicates import Duplicates
from grader.training_data.read.examples import read_examples
from grader.training_data.read.fingerprint import read

FILES = sorted(DATASETS.glob("*/*.jsonl"))
TOOLS = {"tools": [{"type": "function", "function": {"name": "f"}}]}


def image(url: str, answer: str) -> JsonObject:
    parts = [
        {"type": "text", "text": "What is in this picture?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    value = chat("", answer)
    value["messages"][0]["content"] = parts
    return value


def call(city: str, id: str) -> JsonObject:
    value = chat("Is it raining?", "")
    value["messages"][1] = {
        "role": "assistant",
        "tool_calls": [
            {
                "id": id,
                "type": "function",
                "function": {"name": "rain", "arguments": f'{{"city": "{city}"}}'},
            }
        ],
    }
    return value


def test_every_later_copy_is_named_with_the_first() -> None:
    values = [qa("a frog?", "green"), qa("a toad?", "brown"), qa("a frog?", "green")] * 2
    found = [fault for fault in faults(values) if fault.code == "JSL602"]
    assert [fault.line for fault in found] == [3, 4, 5, 6]
    assert "line 1, byte for byte" in found[0].message
    assert "line 2, byte for byte" in found[2].message


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (chat("What is it?", "A frog"), chat("what  is it?", "a frog ")),
        (chat("What is it?", "A frog", "Be brief."), chat("What is it?", "A frog", "be brief.")),
        (qa("caf\u00e9", "yes"), qa("cafe\u0301", "yes")),
        (preference("Why?", "so", "no"), preference("why?", "So", "No")),
        (completion("a ->", " b"), completion("A ->", " b\n")),
        (call("Rome", "call_1"), call("Rome", "call_2")),
        (chat("Hi", "Ho") | TOOLS, chat("hi", "ho") | TOOLS),
        (
            image("https://example.com/1.png", "a frog"),
            image("https://example.com/1.png", "A frog"),
        ),
    ],
)
def test_case_space_and_unicode_form_make_no_difference(
    first: JsonObject, second: JsonObject
) -> None:
    [fault] = faults([first, second])[-1:]
    assert (fault.code, fault.line) == ("JSL602", 2)
    assert "but for case" in fault.message


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (chat("What is it?", "A frog", "In English."), chat("What is it?", "A frog", "In Latin.")),
        (
            image("https://example.com/1.png", "a frog"),
            image("https://example.com/2.png", "a frog"),
        ),
        (call("Rome", "call_1"), call("Oslo", "call_1")),
        (preference("Why?", "so", "no"), preference("Why?", "so", "never")),
        (chat("Hi", "Ho"), chat("Hi", "Ho") | TOOLS),
    ],
)
def test_what_differs_in_anything_else_is_no_copy(first: JsonObject, second: JsonObject) -> None:
    assert lines_of("JSL602", [first, second]) == []


def test_an_answer_with_another_weight_is_no_copy() -> None:
    weighted = chat("Hi", "Ho")
    weighted["messages"][1]["weight"] = 0
    assert lines_of("JSL602", [chat("Hi", "Ho"), weighted]) == []


def test_near_copies_are_found_and_copies_are_not_named_twice() -> None:
    text = words(1, 30)
    values = [qa(text, "yes"), qa(text + "!", "yes"), qa(text, "yes"), qa(words(2, 30), "yes")]
    assert lines_of("JSL603", values) == [2]
    assert lines_of("JSL602", values) == [3]


@pytest.mark.parametrize("count", [150, 400])
def test_near_copies_are_found_among_few_and_among_many(count: int) -> None:
    values = [qa(words(i, 30), str(i)) for i in range(count)]
    values.append(qa(words(7, 30) + " also", "7"))
    values.append(qa(words(99, 29), "99"))
    assert lines_of("JSL603", values) == [count + 1, count + 2]


def test_templates_are_no_near_copies() -> None:
    elements = ["neon", "radon", "argon", "xenon", "krypton", "helium", "iron", "zinc", "tin"]
    short = [qa(f"Name the chemical symbol of {e}.", e[:2]) for e in elements]
    task = "Below is a question. " + words(0, 200) + " Question: "
    long = [qa(f"{task}what is {e}? {words(1, 100)}", e) for e in (*elements, "lead", "gold")]
    assert faults(short) == []
    assert faults(long) == []
    assert faults([*long, qa("Something else entirely?", "no")]) == []


def test_logs_that_ask_the_same_of_other_devices_are_no_near_copies() -> None:
    values = [
        qa(
            f"{h:02}:19 unit {h + 7} status ok\n{h:02}:20 alarm E{h * 37 + 100} on unit {h + 7}\n"
            "Which part of the device is in trouble?",
            ["coolant pump", "door sensor", "fan"][h % 3],
        )
        for h in range(24)
    ]
    assert lines_of("JSL603", values) == []


def test_two_answers_to_one_prompt_are_a_conflict() -> None:
    values = [qa("a frog?", "Green"), qa("A  frog?", "brown"), qa("a frog?", "green")]
    [fault] = [fault for fault in faults(values) if fault.code == "JSL604"]
    assert fault.line == 2
    assert '"brown"' in fault.message
    assert 'the answer "Green" in line 1' in fault.message


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (chat("Hi", "Ho", "Be brief."), chat("Hi", "Ho ho", "Be long.")),
        (image("https://example.com/1.png", "a frog"), image("https://example.com/2.png", "a cat")),
        (completion("", "One text"), completion("", "Another text")),
        (preference("Why?", "because", "no"), preference("Why?", "therefore", "no")),
        (call("Rome", "call_1"), call("Rome", "call_2")),
    ],
)
def test_answers_to_what_differs_are_no_conflict(first: JsonObject, second: JsonObject) -> None:
    assert lines_of("JSL604", [first, second]) == []


def test_preferring_both_of_two_answers_is_a_conflict() -> None:
    values = [preference("Why?", "so", "no"), preference("Why?", "no", "so")]
    assert lines_of("JSL604", values) == [2]


def test_what_is_too_much_to_compare_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_module, "NEAR_MAX_CHARACTERS", 2_000)
    duplicates = Duplicates()
    for example in examples(qa(words(i, 30), "yes") for i in range(40)):
        duplicates.add(read(example))
    assert 0 < duplicates.searched < 40
    assert duplicates.searched + duplicates.left_out == 40


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_public_data_has_no_fault(path: Path) -> None:
    assert all_faults(read_examples(path)) == []

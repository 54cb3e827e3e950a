"""What is read of an example says what the example says, whatever way is taken."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.example_strategies import examples as decoded
from support.examples_read import chat, examples, preference, qa

from grader.training_data.read.examples import Kind
from grader.training_data.read.fingerprint import Fingerprint, folded, read

CALL = {"id": "1", "type": "function", "function": {"name": "rain", "arguments": "{}"}}


def one(value: dict[str, Any]) -> Fingerprint:
    [example] = examples([value])
    return read(example)


@given(st.sampled_from(Kind).flatmap(decoded))
@settings(max_examples=150, deadline=None)
def test_a_reading_agrees_with_the_example(value: dict[str, Any]) -> None:
    [example] = examples([value])
    reading = read(example)
    assert reading.prompt == example.prompt
    assert reading.system == folded(example.system)
    assert list(reading.texts) == [text for _, text in example.texts]
    for text in reading.texts:
        assert text in reading.usual or text in reading.special
    assert reading.folded_prompt == folded(reading.prompt)
    assert reading.folded_answer == folded(reading.answer)
    if not any(m.get("tool_calls") or m.get("function_call") for m in example.messages):
        assert reading.answer == example.answer


def test_a_call_is_an_answer_without_its_id() -> None:
    value = chat("Is it raining?", "")
    value["messages"][1] = {"role": "assistant", "tool_calls": [CALL]}
    other = {**value, "messages": [value["messages"][0], {"role": "assistant"}]}
    other["messages"][1]["tool_calls"] = [{**CALL, "id": "2"}]
    assert one(value).answer == one(other).answer == "rain {}"


def test_a_call_beside_text_and_a_weight_are_told_apart() -> None:
    plain, weighted, calling = (chat("Hi", "Ho") for _ in range(3))
    weighted["messages"][1]["weight"] = 0
    calling["messages"][1]["tool_calls"] = [CALL]
    numbers = [one(value).answer_extras for value in (plain, weighted, calling)]
    assert numbers[0] == 0
    assert len(set(numbers)) == 3
    assert {one(value).prompt_extras for value in (plain, weighted, calling)} == {0}


def test_the_rejected_answer_is_that_of_a_pair() -> None:
    assert one(preference("Why?", "so", "no")).rejected == "no"
    assert one(qa("Why?", "so")).rejected == ""


def test_folding_leaves_what_a_reader_sees() -> None:
    assert folded("  A\u00a0B\n\tc ") == "a b c"
    assert folded("\uff26\uff32\uff2f\uff27 Stra\u00dfe") == "frog strasse"
    assert folded("cafe\u0301") == folded("caf\u00e9") != folded("cafe")


def test_folding_hostile_text_takes_no_longer_than_reading_it() -> None:
    marks = "a" + "\u0315\u0300" * 1_000_000
    assert folded(marks) == marks

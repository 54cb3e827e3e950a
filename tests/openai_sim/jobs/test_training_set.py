"""What is read and what is learned of an example."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.sim_apps import BASE
from transformers import AutoTokenizer

from grader.openai_sim.jobs.training_set import tokenize_example
from grader.training_data.read.examples import Example, examples_of
from grader.training_data.read.lines import Line

USER = {"role": "user", "content": "Which city is the capital of Spain?"}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(BASE)


def example(value: dict[str, Any]) -> Example:
    [found] = examples_of([Line(1, json.dumps(value).encode())])
    return found


def says(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def learned(tokenizer: Any, value: dict[str, Any]) -> list[str]:
    """The text that each row teaches."""
    return [
        tokenizer.decode(list(ids[n:])).strip()
        for ids, n in tokenize_example(tokenizer, example(value))
    ]


def test_every_answer_of_a_conversation_is_learned_unless_its_weight_is_0(tokenizer: Any) -> None:
    talk = [USER, says("No.", weight=0), USER, says("Madrid"), USER, says("Yes.", weight=1)]
    assert learned(tokenizer, {"messages": talk}) == ["Madrid<|end|>", "Yes.<|end|>"]


def test_an_example_without_weighed_answers_teaches_nothing(tokenizer: Any) -> None:
    assert learned(tokenizer, {"messages": [USER, says("No.", weight=0)]}) == []


def test_parts_refusals_and_calls_are_learned_as_text(tokenizer: Any) -> None:
    parts = [{"type": "text", "text": "Madrid"}]
    refusal = {"role": "assistant", "refusal": "No."}
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    calls = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "c1", "content": "Madrid"}
    assert learned(tokenizer, {"messages": [USER, says("") | {"content": parts}]}) == [
        "Madrid<|end|>"
    ]
    assert learned(tokenizer, {"messages": [USER, refusal]}) == ["No.<|end|>"]
    first, second = learned(tokenizer, {"messages": [USER, calls, result, says("Madrid")]})
    assert "arguments" in first
    assert second == "Madrid<|end|>"  # though the template drops what does not follow the user


def test_a_preference_gives_the_preferred_row_first(tokenizer: Any) -> None:
    value = {
        "input": {"messages": [USER]},
        "preferred_output": [says("Madrid")],
        "non_preferred_output": [says("I cannot say.")],
    }
    assert learned(tokenizer, value) == ["Madrid<|end|>", "I cannot say.<|end|>"]


def test_rows_end_where_the_context_ends(tokenizer: Any) -> None:
    [(ids, _)] = tokenize_example(tokenizer, example({"messages": [USER, says("Madrid " * 5000)]}))
    assert len(ids) == tokenizer.model_max_length
    too_long = {"role": "user", "content": "Madrid " * 5000}
    assert learned(tokenizer, {"messages": [too_long, says("Madrid")]}) == []

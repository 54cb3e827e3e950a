"""Data of other tools is named, and what it is called here."""

from typing import Any

import pytest

from grader.training_data.read.examples import Kind
from grader.training_data.read.format_detection import majority_kind


@pytest.mark.parametrize(
    ("example", "words"),
    [
        ({"instruction": "What?", "input": "", "output": "That."}, "Alpaca"),
        ({"conversations": [{"from": "human", "value": "What?"}]}, "ShareGPT"),
        ({"prompt": "What?", "chosen": "That.", "rejected": "This."}, "TRL"),
        ({"custom_id": "1", "method": "POST", "url": "/v1", "body": {}}, "Batch API"),
        ({"contents": [{"role": "user", "parts": []}]}, "Gemini"),
        ({"input": "What?", "output": "That."}, '"question" and "answer"'),
        ({"text": "What? That."}, "plain text"),
        ({"Question": "What?", " answer": "That."}, "of kind qa, if"),
        ({"data": [{"messages": []}]}, 'inside "data"'),
        ({"a": 1, "b": 2}, 'the first one has "a", "b"'),
        ({}, "the first one is empty"),
    ],
)
def test_a_form_of_another_tool_is_told_by_its_keys(example: dict[str, Any], words: str) -> None:
    kind, reason = majority_kind([example] * 3)
    assert kind is None
    assert words in reason


@pytest.mark.parametrize(
    ("example", "kind"),
    [
        ({"question": "What?", "answer": "That.", "text": "a note"}, Kind.QA),
        ({"prompt": "What?", "reply": "That."}, Kind.COMPLETION),
        ({"input": {"messages": []}}, Kind.PREFERENCE),
    ],
)
def test_a_key_of_our_own_tells_the_kind(example: dict[str, Any], kind: Kind) -> None:
    assert majority_kind([example])[0] is kind

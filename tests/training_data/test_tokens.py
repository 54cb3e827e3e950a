"""Tokens of examples, as they are billed, over a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.core.files import resource
from grader.training_data import tokens
from grader.training_data.encodings import text_counter
from grader.training_data.read.examples import Example, examples_of
from grader.training_data.read.lines import Line
from grader.training_data.rules.rule import Fault
from grader.training_data.tokens import TokenCount, TokenCounts, count_tokens, counter

MODEL = "gpt-4o-mini"


def read(values: Iterable[Any]) -> list[Example]:
    return list(
        examples_of(Line(i, json.dumps(value).encode()) for i, value in enumerate(values, 1))
    )


def chat(*contents: Any, **more: Any) -> dict[str, Any]:
    """A chat of a user and an assistant in turn."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)]
    return {"messages": messages, **more}


def measure(value: Any, model: str = MODEL) -> TokenCount:
    [example] = read([value])
    return counter(model, [example]).measure(example)


def words(count: int) -> str:
    """A text of so many tokens."""
    return " a" * count


def test_a_chat_has_what_is_billed() -> None:
    # 1 for the example; 3, the role and the text for each message
    assert measure(chat("hello world", "hello")) == TokenCount(1 + (3 + 1 + 2) + (3 + 1 + 1), True)
    system = {"role": "system", "content": "hello world"}
    value = {"messages": [system, *chat("hello", "")["messages"]]}
    assert measure(value, "gpt-3.5-turbo") == TokenCount(1 + 6 + 5 + 4, True)


def test_a_call_counts_its_example() -> None:
    [example] = read([chat("hello world", "hello")])
    assert counter(MODEL)(example) == 12


def test_the_other_kinds() -> None:
    assert measure({"question": "hello world", "answer": "hello"}) == TokenCount(12, True)
    assert measure({"prompt": "hello world", "completion": " hello"}) == TokenCount(3, True)
    preference = {
        "input": chat("hello world"),
        "preferred_output": [{"role": "assistant", "content": "hello"}],
        "non_preferred_output": [{"role": "assistant", "content": "hello world"}],
    }
    assert measure(preference) == TokenCount(1 + 6 + 5 + 6, True)
    preference["input"]["tools"] = [{"a": 1}]
    assert measure(preference).tokens > 18
    assert not measure(preference).exact


def test_text_parts_count_as_text() -> None:
    parts = [{"type": "text", "text": "hello world"}, {"type": "text", "text": "hello"}]
    assert measure(chat(parts, "hello")) == TokenCount(13, True)


@pytest.mark.parametrize(
    "more",
    [
        {"name": "hello"},
        {"refusal": "hello"},
        {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "f"}}]},
        {"function_call": {"name": "f", "arguments": "{}"}},
    ],
)
def test_what_else_a_message_has_is_an_estimate(more: dict[str, Any]) -> None:
    value = chat("hello world", None)
    plain = measure(value)
    value["messages"][1] |= more
    rich = measure(value)
    text = next(iter(more.values()))
    compact = text if isinstance(text, str) else json.dumps(text, separators=(",", ":"))
    assert rich.tokens - plain.tokens == text_counter(MODEL).count(compact)
    assert (plain.exact, rich.exact) == (True, False)


@pytest.mark.parametrize("key", ["tools", "functions"])
def test_tools_are_an_estimate(key: str) -> None:
    plain, rich = measure(chat("a", "b")), measure(chat("a", "b", **{key: [{"name": "f"}]}))
    assert rich.tokens > plain.tokens
    assert not rich.exact


def test_images_are_not_counted_and_said_so() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    text = {"type": "text", "text": "hello world"}
    assert measure(chat([text, image], "hello")) == TokenCount(12, False)
    counts, _ = count_tokens(read([chat("a", "b"), chat([image], "b")]), 2, MODEL)
    assert counts.estimated


def test_the_course_models_template_is_counted() -> None:
    template = resource("starter", "course-model", "chat_template.jinja").read_text("utf-8")
    for piece in ("'<|user|>' + m['content'] + '<|assistant|>'", "m['content'] + '<|end|>'"):
        assert piece in template
    question, answer = "What is an atom?", "The smallest part of an element."
    rendered = f"<|user|>{question}<|assistant|>{answer}<|end|>"
    expected = text_counter("course-model").count(rendered)
    assert measure(chat(question, answer), "course-model").tokens == expected
    value = {"prompt": question, "completion": answer}
    assert measure(value, "course-model").tokens == expected
    counts, _ = count_tokens(read([value]), 1, "course-model")
    assert counts.estimated  # other examples it would cut, or other models have other templates


def test_the_numbers_of_a_file() -> None:
    examples = read(chat(words(i), "a") for i in range(1, 101))
    counts, faults = count_tokens(examples, 100, MODEL)
    sizes = [1 + (3 + 1 + i) + (3 + 1 + 1) for i in range(1, 101)]
    assert counts == TokenCounts(sum(sizes), 11, sum(sizes) / 100, 105, 110, False, 100)
    assert faults == []


def test_a_file_without_examples() -> None:
    steps: list[int] = []
    nothing = TokenCounts(0, 0, 0.0, 0, 0, False, 0)
    assert count_tokens([], 0, MODEL, step=steps.append) == (nothing, [])
    assert steps == [0]


def test_a_large_file_is_counted_in_the_same_way() -> None:
    values = [chat(f"question {i} " + words(i % 50), "hello world") for i in range(1000)]
    examples = read(values)
    large, _ = count_tokens(iter(examples), 1000, MODEL)
    assert sum(len(example.raw) for example in examples) > 2**16
    assert large.total == sum(map(counter(MODEL, examples[:10]), examples))


@settings(deadline=None)  # the first one loads the vocabulary
@given(st.integers(0, 60), st.integers(1, 20))
def test_of_many_examples_an_even_sample_is_counted(n: int, most: int) -> None:
    examples = read(chat(words(i + 1), "a") for i in range(n))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "TOKEN_EXACT_EXAMPLES", most)
        patch.setattr(tokens, "SMALL_TEXT_BYTES", 0)  # one whole vocabulary serves all of these
        counts, _ = count_tokens(examples, n, MODEL)
    assert counts.counted == min(n, most)
    assert counts.estimated == (n > most)
    exact = sum(map(counter(MODEL), examples))
    if n <= most:
        assert counts.total == exact
    else:  # a step of n / most examples, each with one token more than the one before
        assert abs(counts.total - exact) <= n * (n / most)


def test_progress_goes_up_to_the_last_example() -> None:
    steps: list[int] = []
    count_tokens(read([chat("a", "b")] * 1250), 1250, MODEL, step=steps.append)
    assert steps == [500, 1000, 1250]


def test_an_example_over_the_context_is_named() -> None:
    examples = read([chat("a", "b"), chat(words(100), "b")])
    _, faults = count_tokens(examples, 2, MODEL, context=110)
    assert faults == []
    _, faults = count_tokens(examples, 2, MODEL, context=109)
    message = "The example has 110 tokens; training gpt-4o-mini reads at most 109."
    assert faults == [Fault("TOK001", message, 2)]


def outliers(sizes: Iterable[int]) -> list[int | None]:
    examples = read(chat(words(size), "a") for size in sizes)
    _, faults = count_tokens(examples, len(examples), MODEL)
    assert {fault.code for fault in faults} <= {"TOK002"}
    return [fault.line for fault in faults]


def test_an_example_far_longer_than_the_rest_is_named() -> None:
    assert outliers([50] * 19 + [500]) == [20]
    assert outliers([50] * 10 + [3000, 500] + [51] * 10) == [11, 12]


def test_a_long_example_among_long_ones_is_none() -> None:
    assert outliers([200] * 19 + [790]) == []  # under four times the rest
    assert outliers(range(100, 3000, 100)) == []  # all differ
    assert outliers([10] * 19 + [480]) == []  # a page at most


def test_few_examples_have_no_outlier() -> None:
    assert outliers([50] * 18 + [3000]) == []


KEYS = st.sampled_from(
    [
        *["messages", "role", "content", "text", "name", "refusal", "tool_calls", "tools"],
        *["functions", "input", "preferred_output", "non_preferred_output"],
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)  # the first one loads the vocabulary
@given(st.lists(st.dictionaries(KEYS, JSON), max_size=4), st.dictionaries(KEYS, JSON))
def test_no_example_is_a_crash(messages: list[Any], more: dict[str, Any]) -> None:
    preference = {
        "input": {"messages": messages, "tools": more.get("tools")},
        "preferred_output": messages,
        "non_preferred_output": more.get("content"),
    }
    examples = read([{**more, "messages": messages}, preference])
    for model in (MODEL, "course-model"):
        assert all(size >= 1 for size in map(counter(model), examples))

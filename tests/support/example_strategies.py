"""Hypothesis strategies for training examples that keep every rule, and for ways to write them.

`examples(kind)` are decoded examples. `line(random, example)` is one of the many ways to write an
example as a line of JSON, and `files(kind)` are whole files as lists of examples.
"""

from __future__ import annotations

import base64
import functools
import json
import random
import struct
import zlib
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from grader.training_data.read.examples import Kind

JsonObject = dict[str, Any]

RELAXED: Final = settings(
    deadline=None,
    phases=(Phase.reuse, Phase.generate),  # a file that fails is small enough to read as it is
    suppress_health_check=[HealthCheck.too_slow],
)
MIN_EXAMPLES: Final = 10  # what the service asks for at least
_SYSTEM: Final = {"role": "system", "content": "Answer in one sentence."}
_SEPARATORS: Final = ((",", ":"), (", ", ": "), (" ,\t", " :  "))
_FUNCTIONS: Final = ("get_weather", "get_time", "find_book")


def png(color_type: int = 2) -> bytes:
    """The bytes of a PNG of one pixel; colour type 0 is grey, 2 RGB, 3 palette, 6 RGBA."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    channels = {0: 1, 2: 3, 3: 1, 6: 4}[color_type]
    header = struct.pack(">IIBBBBB", 1, 1, 8, color_type, 0, 0, 0)
    palette = chunk(b"PLTE", b"\0\0\0") if color_type == 3 else b""
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * (1 + channels)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + pixels + chunk(b"IEND", b"")


def data_url(image: bytes, subtype: str = "png") -> str:
    """An image as a data URL."""
    return f"data:image/{subtype};base64," + base64.b64encode(image).decode("ascii")


@functools.cache
def texts() -> st.SearchStrategy[str]:
    """Text that is not blank: any characters but NUL and surrogates around a word."""
    characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    any_text = st.text(characters, max_size=12)
    return st.tuples(any_text, st.sampled_from(["ice", "frog", "7"]), any_text).map("".join)


@functools.cache
def names() -> st.SearchStrategy[str]:
    """Names of speakers."""
    return st.from_regex(r"\A[a-zA-Z0-9_-]{1,64}\Z")


@functools.cache
def _text_parts() -> st.SearchStrategy[list[JsonObject]]:
    part = texts().map(lambda text: {"type": "text", "text": text})
    return st.lists(part, min_size=1, max_size=2)


@functools.cache
def _images() -> st.SearchStrategy[JsonObject]:
    urls = st.sampled_from(
        [
            "https://example.com/frog.jpg",
            "https://example.com/a%20b.png?size=2",
            data_url(png(2)),
            data_url(png(6)),
        ]
    )
    url = st.fixed_dictionaries(
        {"url": urls}, optional={"detail": st.sampled_from(["low", "high", "auto"])}
    )
    return st.fixed_dictionaries({"type": st.just("image_url"), "image_url": url})


@functools.cache
def _user_content() -> st.SearchStrategy[Any]:
    mixed = st.tuples(_text_parts(), st.lists(_images(), max_size=2))
    return texts() | mixed.map(lambda two: two[0] + two[1])


@functools.cache
def _assistant_content() -> st.SearchStrategy[Any]:
    refusal = texts().map(lambda text: [{"type": "refusal", "refusal": text}])
    return texts() | _text_parts() | refusal


@functools.cache
def _message(role: str, content: st.SearchStrategy[Any]) -> st.SearchStrategy[JsonObject]:
    return st.fixed_dictionaries(
        {"role": st.just(role), "content": content}, optional={"name": names()}
    )


@functools.cache
def system_messages() -> st.SearchStrategy[JsonObject]:
    """Messages of the system."""
    return _message("system", texts() | _text_parts())


@functools.cache
def user_messages() -> st.SearchStrategy[JsonObject]:
    """Messages of the user, some with images."""
    return _message("user", _user_content())


@functools.cache
def answers() -> st.SearchStrategy[JsonObject]:
    """Messages of the assistant without a call."""
    return _message("assistant", _assistant_content())


@functools.cache
def _parameters() -> st.SearchStrategy[JsonObject]:
    city = st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "number"])},
        optional={
            "description": texts(),
            "maximum": st.integers(-(2**59), 2**59) | st.floats(-1e300, 1e300),
            "enum": st.lists(texts(), max_size=2),
            "default": st.none() | st.booleans(),
        },
    )
    return city.map(lambda value: {"type": "object", "properties": {"city": value}})


@functools.cache
@st.composite
def _tools(draw: st.DrawFn) -> list[JsonObject]:
    """Definitions of all functions that calls may name."""
    tools = []
    for name in draw(st.permutations(_FUNCTIONS)):
        function: JsonObject = {"name": name}
        if draw(st.booleans()):
            function |= {"description": draw(texts()), "parameters": draw(_parameters())}
        tools.append({"type": "function", "function": function})
    return tools


@functools.cache
@st.composite
def _calling(draw: st.DrawFn, turn: int) -> list[JsonObject]:
    """A message with one to three calls, and their answers in any order."""
    numbers = range(draw(st.integers(1, 3)))
    calls = []
    for number in numbers:
        arguments = draw(st.dictionaries(texts(), st.none() | texts(), max_size=2))
        name = draw(st.sampled_from(_FUNCTIONS))
        function = {"name": name, "arguments": json.dumps(arguments)}
        calls.append({"id": f"call_{turn}_{number}", "type": "function", "function": function})
    message: JsonObject = {"role": "assistant", "tool_calls": calls}
    if draw(st.booleans()):
        message["content"] = draw(st.none() | texts())
    results: list[JsonObject] = [
        {"role": "tool", "tool_call_id": call["id"], "content": draw(texts() | _text_parts())}
        for call in draw(st.permutations(calls))
    ]
    return [message, *results]


@functools.cache
@st.composite
def chat_examples(draw: st.DrawFn, calling: bool = False) -> JsonObject:
    """Conversations of the chat kind; with `calling`, such as call a tool and go on."""
    messages: list[JsonObject] = []
    if draw(st.booleans()):
        messages.append(draw(system_messages()))
    with_tools = calling or draw(st.booleans())
    for turn in range(draw(st.integers(1, 3))):
        messages.append(draw(user_messages()))
        if with_tools and (calling or draw(st.booleans())):
            messages += draw(_calling(turn))
        answer = draw(answers())
        if draw(st.booleans()):
            answer["weight"] = draw(st.integers(0, 1))
        messages.append(answer)
    messages[-1].pop("weight", None)
    if with_tools and draw(st.booleans()):
        messages += [draw(user_messages()), draw(_calling(9))[0]]
    example: JsonObject = {"messages": messages}
    if with_tools:
        example["tools"] = draw(_tools())
        if draw(st.booleans()):
            example["parallel_tool_calls"] = draw(st.booleans())
    return example


@functools.cache
@st.composite
def preference_examples(draw: st.DrawFn) -> JsonObject:
    """Pairs of a better and a worse answer to one conversation."""
    messages: list[JsonObject] = []
    if draw(st.booleans()):
        messages.append(draw(system_messages()))
    for _ in range(draw(st.integers(0, 1))):
        messages += [draw(user_messages()), draw(answers())]
    messages.append(draw(user_messages()))
    return {
        "input": {"messages": messages},
        "preferred_output": [{"role": "assistant", "content": draw(texts())}],
        "non_preferred_output": [{"role": "assistant", "content": draw(texts())}],
    }


@functools.cache
def completion_examples() -> st.SearchStrategy[JsonObject]:
    """Prompts with their completions."""
    return st.fixed_dictionaries({"prompt": texts(), "completion": texts()})


@functools.cache
def qa_examples() -> st.SearchStrategy[JsonObject]:
    """Questions with their answers, some with keys of their own."""
    own = st.none() | st.booleans() | st.integers(-999, 999) | texts() | st.lists(texts())
    return st.fixed_dictionaries(
        {"question": texts(), "answer": texts()}, optional={"id": own, "tags": own}
    )


@functools.cache
def examples(kind: Kind) -> st.SearchStrategy[JsonObject]:
    """Valid examples of a kind."""
    return {
        Kind.CHAT: chat_examples(),
        Kind.PREFERENCE: preference_examples(),
        Kind.COMPLETION: completion_examples(),
        Kind.QA: qa_examples(),
    }[kind]


def plain_example(kind: Kind, number: int) -> JsonObject:
    """A small valid example that no other number shares."""
    question, answer = f"What is {number} plus one?", f"It is {number + 1}."
    user = {"role": "user", "content": question}
    better = {"role": "assistant", "content": answer}
    worse = {"role": "assistant", "content": "Who knows."}
    if kind is Kind.CHAT:
        return {"messages": [_SYSTEM, user, better]}
    if kind is Kind.PREFERENCE:
        outputs = {"preferred_output": [better], "non_preferred_output": [worse]}
        return {"input": {"messages": [_SYSTEM, user]}, **outputs}
    if kind is Kind.COMPLETION:
        return {"prompt": question, "completion": answer}
    return {"question": question, "answer": answer}


@functools.cache
@st.composite
def files(draw: st.DrawFn, kind: Kind) -> list[JsonObject]:
    """Ten or more valid examples; a few of them are drawn, the rest are small and fixed."""
    drawn = draw(st.lists(examples(kind), min_size=1, max_size=3))
    fixed = MIN_EXAMPLES - len(drawn) + draw(st.integers(0, 3))
    return draw(st.permutations(drawn + [plain_example(kind, n) for n in range(fixed)]))


def line(source: random.Random, example: JsonObject) -> bytes:
    """The example as one line of JSON without its line feed, in one of many ways to write it."""
    separators = source.choice(_SEPARATORS)
    text = json.dumps(
        _shuffled(source, example), ensure_ascii=source.random() < 0.5, separators=separators
    )
    return (source.choice(("", " ", "\t ")) + text + source.choice(("", "  "))).encode()


def _shuffled(source: random.Random, value: Any) -> Any:
    if isinstance(value, list):
        return [_shuffled(source, one) for one in value]
    if isinstance(value, dict):
        keys = source.sample(list(value), len(value))
        return {key: _shuffled(source, value[key]) for key in keys}
    return value

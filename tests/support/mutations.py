"""Named ways to break a training file, each with the code of the rule that it breaks."""

from __future__ import annotations

import copy
import gzip
import json
import random
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from grader.training_data.read.examples import Kind
from support.example_strategies import (
    JsonObject,
    chat_examples,
    data_url,
    examples,
    line,
    plain_example,
    png,
)

CHAT, PREFERENCE, COMPLETION, QA = Kind


class Mutation(NamedTuple):
    """One way to break a line: `apply` changes an example, or answers with a whole line."""

    code: str
    kind: Kind
    apply: Callable[[random.Random, JsonObject], JsonObject | bytes | str]
    calling: bool = False
    """The example to break has a tool call that is answered."""

    def sound(self) -> st.SearchStrategy[JsonObject]:
        """Valid examples that it can break."""
        return chat_examples(calling=True) if self.calling else examples(self.kind)


def _message(source: random.Random, example: JsonObject, *roles: str) -> JsonObject:
    """A message of one of these roles, anywhere in the example."""
    messages = [m for m in example["messages"] if m["role"] in roles]
    chosen: JsonObject = source.choice(messages)
    return chosen


def _call(source: random.Random, example: JsonObject) -> JsonObject:
    call: JsonObject = source.choice(_message_with_calls(source, example)["tool_calls"])
    return call


def _message_with_calls(source: random.Random, example: JsonObject) -> JsonObject:
    messages = [m for m in example["messages"] if "tool_calls" in m]
    chosen: JsonObject = source.choice(messages)
    return chosen


def _sets(*path: str | int, to: Any) -> Callable[[random.Random, JsonObject], JsonObject]:
    """Sets the value at a path into the example."""

    def change(source: random.Random, example: JsonObject) -> JsonObject:
        place: Any = example
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = copy.deepcopy(to)
        return example

    return change


def _drops(key: str) -> Callable[[random.Random, JsonObject], JsonObject]:
    return lambda source, example: {k: v for k, v in example.items() if k != key}


def _sets_in_message(
    role: str, key: str, *values: Any
) -> Callable[[random.Random, JsonObject], JsonObject]:
    """Sets a key of some message of the role to one of the values; no value drops the key."""

    def change(source: random.Random, example: JsonObject) -> JsonObject:
        message = _message(source, example, role)
        if values:
            message[key] = copy.deepcopy(source.choice(values))
        else:
            del message[key]
        return example

    return change


def _sets_in_call(*keys: str, to: Any = None) -> Callable[[random.Random, JsonObject], JsonObject]:
    """Sets a key of some tool call; None drops it."""

    def change(source: random.Random, example: JsonObject) -> JsonObject:
        place = _call(source, example)
        for key in keys[:-1]:
            place = place[key]
        if to is None:
            del place[keys[-1]]
        else:
            place[keys[-1]] = to
        return example

    return change


def _shows(*urls: str, role: str = "user") -> Callable[[random.Random, JsonObject], JsonObject]:
    """Makes the last message of the role show these images."""

    def change(source: random.Random, example: JsonObject) -> JsonObject:
        message = [m for m in example["messages"] if m["role"] == role][-1]
        images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        message["content"] = [{"type": "text", "text": "See this."}, *images]
        return example

    return change


def _appends(*messages: JsonObject) -> Callable[[random.Random, JsonObject], JsonObject]:
    return lambda source, example: example | {"messages": example["messages"] + list(messages)}


def _inserts(text: str, after: str = "{") -> Callable[[random.Random, JsonObject], str]:
    """Puts text behind the first of these in the line."""
    return lambda source, example: json.dumps(example).replace(after, after + text, 1)


def _cut(source: random.Random, example: JsonObject) -> str:
    text = json.dumps(example, ensure_ascii=False)
    return text[: source.randrange(1, len(text))]


def _one_byte_of_another_encoding(source: random.Random, example: JsonObject) -> bytes:
    raw = line(source, example).strip()
    at = source.randrange(1, len(raw))
    return raw[:at] + source.choice((b"\xff", b"\xc0", b"\xe9\x20")) + raw[at:]


def _another_kind(kind: Kind) -> Callable[[random.Random, JsonObject], JsonObject]:
    return lambda source, example: plain_example(kind, 77)


def _without_answers(source: random.Random, example: JsonObject) -> JsonObject:
    kept = [m for m in example["messages"] if m["role"] in ("system", "user")]
    return {**example, "messages": kept}


def _weighs_nothing(source: random.Random, example: JsonObject) -> JsonObject:
    for message in example["messages"]:
        if message["role"] == "assistant":
            message["weight"] = 0
    return example


def _loses_a_result(source: random.Random, example: JsonObject) -> JsonObject:
    example["messages"].remove(_message(source, example, "tool"))
    return example


def _not_an_object(source: random.Random, example: JsonObject) -> JsonObject:
    messages = example["messages"]
    messages.insert(source.randrange(len(messages)), source.choice(("Hi", None, 7, ["user", "Hi"])))
    return example


def _output(value: Any) -> Callable[[random.Random, JsonObject], JsonObject]:
    """Gives one of the two outputs this value."""
    return lambda source, example: (
        example | {source.choice(("preferred_output", "non_preferred_output")): value}
    )


ANSWER: Final = {"role": "assistant", "content": "It melts."}
LATER: Final = {"role": "user", "content": "And then?"}
DEEP: Final = '"deep": ' + "[" * 80 + "]" * 80 + ", "

MUTATIONS: Final = {
    # the JSON of a line
    "cut off": Mutation("JSL101", CHAT, _cut),
    "Python's repr": Mutation("JSL101", CHAT, lambda source, example: repr(example)),
    "trailing comma": Mutation("JSL101", QA, lambda s, e: json.dumps(e)[:-1] + ",}"),
    "comment behind": Mutation("JSL101", CHAT, lambda s, e: json.dumps(e) + " // look"),
    "two on one line": Mutation("JSL101", CHAT, lambda s, e: json.dumps(e) * 2),
    "Python's None": Mutation("JSL101", QA, _inserts('"x": None, ')),
    "comment inside": Mutation("JSL101", PREFERENCE, _inserts("/* better */")),
    "another encoding": Mutation("JSL102", CHAT, _one_byte_of_another_encoding),
    "NUL in a text": Mutation("JSL103", CHAT, _sets_in_message("user", "content", "a\0b")),
    "NUL in a key": Mutation("JSL103", QA, _sets("a\0", to=1)),
    "half a surrogate pair": Mutation("JSL104", QA, _sets("answer", to="so \ud83d so")),
    "the other half": Mutation("JSL104", CHAT, _sets_in_message("user", "content", "\ude00")),
    "key twice": Mutation("JSL105", QA, _inserts('"question": 1, ')),
    "key twice, escaped": Mutation("JSL105", CHAT, _inserts('"m\\u0065ssages": 1, ')),
    "key twice, inside": Mutation("JSL105", CHAT, _inserts('"role": "", ', after='"messages": [{')),
    "NaN": Mutation("JSL106", QA, _inserts('"x": NaN, ')),
    "minus infinity": Mutation("JSL106", QA, _inserts('"x": [-Infinity], ')),
    "too large a float": Mutation("JSL106", CHAT, _inserts('"x": 1e400, ')),
    "too long an integer": Mutation("JSL107", QA, _inserts('"x": 123456789012345678901234, ')),
    "far too long an integer": Mutation("JSL107", QA, _inserts('"x": -' + "9" * 5000 + ", ")),
    "nested lists": Mutation("JSL108", QA, _inserts(DEEP)),
    "list around it": Mutation("JSL109", CHAT, lambda s, e: json.dumps([e])),
    "JSON in a text": Mutation("JSL109", QA, lambda s, e: json.dumps(json.dumps(e))),
    "a number": Mutation("JSL109", COMPLETION, lambda source, example: b"-0.5e1"),
    "null": Mutation("JSL109", PREFERENCE, lambda source, example: b"null"),
    # another kind
    "preference among chat": Mutation("JSL013", CHAT, _another_kind(PREFERENCE)),
    "chat among preference": Mutation("JSL013", PREFERENCE, _another_kind(CHAT)),
    "question among completion": Mutation("JSL013", COMPLETION, _another_kind(QA)),
    "completion among questions": Mutation("JSL013", QA, _another_kind(COMPLETION)),
    # messages
    "no messages": Mutation("JSL201", CHAT, _sets("messages", to=[])),
    "messages are text": Mutation("JSL201", CHAT, _sets("messages", to="user: Hi")),
    "messages are an object": Mutation("JSL201", CHAT, _sets("messages", to=ANSWER)),
    "messages are null": Mutation("JSL201", CHAT, _sets("messages", to=None)),
    "another key": Mutation("JSL202", CHAT, _sets("id", to=4)),
    "weight of the example": Mutation("JSL202", CHAT, _sets("weight", to=1)),
    "message without role": Mutation("JSL203", CHAT, _sets_in_message("user", "role")),
    "message that is no object": Mutation("JSL203", CHAT, _not_an_object),
    "role bot": Mutation("JSL204", CHAT, _sets_in_message("assistant", "role", "bot", "Assistant")),
    "role human": Mutation("JSL204", CHAT, _sets_in_message("user", "role", "human", "", 1)),
    "user without content": Mutation("JSL205", CHAT, _sets_in_message("user", "content")),
    "content is null": Mutation("JSL205", CHAT, _sets_in_message("user", "content", None)),
    "result without content": Mutation("JSL205", CHAT, _sets_in_message("tool", "content"), True),
    "key of no message": Mutation("JSL206", CHAT, _sets_in_message("assistant", "id", 1, "a")),
    "key of another role": Mutation("JSL206", CHAT, _sets_in_message("user", "refusal", "No.")),
    "content is no text": Mutation("JSL207", CHAT, _sets_in_message("user", "content", 7, True)),
    "content is an object": Mutation("JSL207", CHAT, _sets_in_message("assistant", "content", {})),
    "texts without type": Mutation("JSL207", CHAT, _sets_in_message("user", "content", ["a"])),
    "unknown part": Mutation(
        "JSL208", CHAT, _sets_in_message("user", "content", [{"type": "video", "video": "x"}])
    ),
    "no answer": Mutation("JSL209", CHAT, _without_answers),
    "question last": Mutation("JSL210", CHAT, _appends(LATER)),
    "answer of spaces": Mutation(
        "JSL211", CHAT, lambda s, e: _appends(LATER, {**ANSWER, "content": " \n"})(s, e)
    ),
    "odd weight": Mutation(
        "JSL212", CHAT, _sets_in_message("assistant", "weight", "1", True, 2, 0.5, None, 1.0)
    ),
    "weight of the user": Mutation("JSL212", CHAT, _sets_in_message("user", "weight", 0, 1)),
    "all weights 0": Mutation("JSL213", CHAT, _weighs_nothing),
    "parallel as text": Mutation("JSL219", CHAT, _sets("parallel_tool_calls", to="true"), True),
    # tools
    "call without id": Mutation("JSL301", CHAT, _sets_in_call("id"), True),
    "call of another type": Mutation("JSL301", CHAT, _sets_in_call("type", to="tool"), True),
    "call without name": Mutation("JSL301", CHAT, _sets_in_call("function", "name"), True),
    "arguments are an object": Mutation(
        "JSL302", CHAT, _sets_in_call("function", "arguments", to={"city": "Oslo"}), True
    ),
    "arguments are no JSON": Mutation(
        "JSL302", CHAT, _sets_in_call("function", "arguments", to="city=Oslo"), True
    ),
    "result of no call": Mutation(
        "JSL303", CHAT, _sets_in_message("tool", "tool_call_id", "call_none"), True
    ),
    "result without id": Mutation("JSL303", CHAT, _sets_in_message("tool", "tool_call_id"), True),
    "result left out": Mutation("JSL304", CHAT, _loses_a_result, True),
    "empty functions": Mutation("JSL305", CHAT, _sets("functions", to=[]), True),
    "129 tools": Mutation(
        "JSL305",
        CHAT,
        lambda s, e: {**e, "tools": (e["tools"] * 43)},
        True,
    ),
    "tool without wrapper": Mutation("JSL305", CHAT, _sets("tools", 0, to={"name": "f"}), True),
    "no tools": Mutation("JSL306", CHAT, _drops("tools"), True),
    "undeclared": Mutation("JSL306", CHAT, _sets_in_call("function", "name", to="rm_rf"), True),
    # images
    "image of the assistant": Mutation(
        "JSL321", CHAT, _shows("https://example.com/a.png", role="assistant")
    ),
    "eleven images": Mutation(
        "JSL322", CHAT, _shows(*(f"https://example.com/{n}.png" for n in range(11)))
    ),
    "image in a file": Mutation("JSL323", CHAT, _shows("photos/frog.png")),
    "image of another format": Mutation(
        "JSL323", CHAT, _shows(data_url(b"GIF89a\1\0\1\0\0\0\0;", "gif"))
    ),
    "grey image": Mutation("JSL325", CHAT, _shows(data_url(png(0)))),
    # the other kinds
    "one output": Mutation("JSL401", PREFERENCE, _drops("non_preferred_output")),
    "no input": Mutation("JSL401", PREFERENCE, _drops("input")),
    "preference with a key more": Mutation("JSL401", PREFERENCE, _sets("score", to=0.5)),
    "input is a list": Mutation("JSL402", PREFERENCE, _sets("input", to=[LATER])),
    "input is empty": Mutation("JSL402", PREFERENCE, _sets("input", "messages", to=[])),
    "two outputs in one": Mutation("JSL403", PREFERENCE, _output([ANSWER, ANSWER])),
    "output of the user": Mutation("JSL403", PREFERENCE, _output([LATER])),
    "output is a text": Mutation("JSL403", PREFERENCE, _output("It melts.")),
    "output is missing": Mutation("JSL403", PREFERENCE, _output([])),
    "input ends with an answer": Mutation(
        "JSL404", PREFERENCE, lambda s, e: {**e, "input": _appends(ANSWER)(s, e["input"])}
    ),
    "role in an input": Mutation(
        "JSL204",
        PREFERENCE,
        lambda s, e: {**e, "input": {"messages": [{**LATER, "role": "bot"}, LATER]}},
    ),
    "prompt alone": Mutation("JSL421", COMPLETION, _drops("completion")),
    "prompt is a list": Mutation("JSL421", COMPLETION, _sets("prompt", to=["Hi"])),
    "completion with a key more": Mutation("JSL421", COMPLETION, _sets("id", to=3)),
    "empty completion": Mutation("JSL422", COMPLETION, _sets("completion", to=" ")),
    "answer is a number": Mutation("JSL431", QA, _sets("answer", to=8)),
    "question is missing": Mutation("JSL431", QA, _drops("question")),
    "empty answer": Mutation("JSL432", QA, _sets("answer", to="\n")),
}

FILE_MUTATIONS: Final[dict[str, tuple[str, Callable[[bytes], bytes]]]] = {
    "emptied": ("JSL002", lambda data: b""),
    "UTF-16": ("JSL006", lambda data: data.decode().encode("utf-16")),
    "compressed": ("JSL006", lambda data: gzip.compress(data)),
    "indented": (
        "JSL007",
        lambda data: b"".join(
            json.dumps(json.loads(one), indent=2).encode() + b"\n"
            for one in data.removesuffix(b"\n").split(b"\n")
        ),
    ),
    "an array": ("JSL007", lambda data: b"[" + b",".join(data.splitlines()) + b"]"),
    "an array over lines": ("JSL007", lambda data: b"[\n" + data.replace(b"\n", b",\n") + b"{}]"),
    "a table": ("JSL008", lambda data: b"question,answer\n" + b'"Hi, you",Hello\n' * 12),
    "keys of no kind": ("JSL012", lambda data: b'{"text": "Hi"}\n' * 12),
    "questions to a grader": (
        "JSL015",
        lambda data: b'{"messages": [{"role": "user", "content": "Hi"}], "answer": "a"}\n' * 12,
    ),
    "all but nine dropped": ("JSL601", lambda data: b"\n".join(data.split(b"\n")[:9])),
}

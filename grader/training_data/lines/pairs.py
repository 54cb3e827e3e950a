"""Checks one preference, completion, or question-and-answer example against its rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from grader.training_data.lines.chat import message_faults
from grader.training_data.lines.tools import conversation_faults, declaration_faults
from grader.training_data.read.examples import KEYS_OF_KIND, Kind
from grader.training_data.read.faults import Fault, pointer, quoted

_OUTPUTS: Final = ("preferred_output", "non_preferred_output")
_INPUT_KEYS: Final = frozenset({"messages", "tools", "parallel_tool_calls"})
_OLD_NAMES: Final = {
    "preferred_completion": "preferred_output",
    "non_preferred_completion": "non_preferred_output",
}


def preference_faults(value: Mapping[str, Any]) -> Iterator[Fault]:
    """Every fault of a preference example (direct preference optimisation)."""
    for key in value:
        if key not in KEYS_OF_KIND[Kind.PREFERENCE]:
            hint = f"; write {quoted(_OLD_NAMES[key])}" if key in _OLD_NAMES else ""
            yield Fault("JSL401", f"contains {quoted(key)}{hint}", None, pointer(key))
    for key in KEYS_OF_KIND[Kind.PREFERENCE]:
        if key not in value:
            yield Fault("JSL401", f"is missing key {quoted(key)}")
    if "input" in value:
        yield from _input(value["input"])
    for key in _OUTPUTS:
        if key in value:
            yield from _output(value[key], pointer(key))
    texts = [_text(value.get(key)) for key in _OUTPUTS]
    if texts[0] is not None and texts[0] == texts[1]:
        yield Fault("JSL405", f"both outputs are {quoted(texts[0])}")


def _input(given: Any) -> Iterator[Fault]:
    if not isinstance(given, dict):
        yield Fault("JSL402", f"input is {quoted(given)}; expected an object", None, "/input")
        return
    for key in given:
        if key not in _INPUT_KEYS:
            found = f"input contains an extra {quoted(key)}"
            yield Fault("JSL402", found, None, "/input" + pointer(key))
    for fault in declaration_faults(given):
        yield fault._replace(pointer=f"/input{fault.pointer}")
    messages = given.get("messages")
    if not isinstance(messages, list) or not messages:
        found = "an empty list" if messages == [] else quoted(messages)
        found = found if "messages" in given else "not there"
        expected = f"messages of the input is {found}; expected a list with a message"
        yield Fault("JSL402", expected, None, "/input/messages")
        return
    yield from message_faults(messages, "/input/messages")
    yield from conversation_faults(messages, given, "/input/messages")
    last = messages[-1]
    if isinstance(last, dict) and last.get("role") == "assistant":
        at = f"/input/messages/{len(messages) - 1}"
        yield Fault("JSL404", "the last message of the input is of the assistant", None, at)


def _output(output: Any, at: str) -> Iterator[Fault]:
    expected = "expected a list with one message of the assistant"
    if not isinstance(output, list) or len(output) != 1:
        found = f"a list of {len(output)}" if isinstance(output, list) else quoted(output)
        yield Fault("JSL403", f"the output is {found}; {expected}", None, at)
        return
    message = output[0]
    role = message.get("role") if isinstance(message, dict) else None
    if role != "assistant":
        found = (
            f"a message of role {quoted(role)}" if isinstance(message, dict) else quoted(message)
        )
        yield Fault("JSL403", f"the output is {found}; {expected}", None, f"{at}/0")
        return
    for key in message:
        if key not in ("role", "content"):
            found = f"the output's message has the key {quoted(key)}; only text can be compared"
            yield Fault("JSL403", found, None, f"{at}/0{pointer(key)}")
    text = _text(output)
    if text is None:
        found = f"content is {quoted(message.get('content'))}; expected text"
        yield Fault("JSL403", found, None, f"{at}/0/content")
    elif not text.strip():
        yield Fault("JSL211", "the output is empty", None, f"{at}/0/content")


def _text(output: Any) -> str | None:
    """The text of a well-formed output, else None."""
    if not isinstance(output, list) or len(output) != 1 or not isinstance(output[0], dict):
        return None
    content = output[0].get("content")
    if isinstance(content, list):
        texts = [p.get("text") if isinstance(p, dict) else None for p in content]
        if not texts or not all(isinstance(text, str) for text in texts):
            return None
        return "\n".join(str(text) for text in texts)
    return content if isinstance(content, str) else None


def completion_faults(value: Mapping[str, Any]) -> Iterator[Fault]:
    """Every fault of an example with prompt and completion."""
    yield from _texts_of(value, Kind.COMPLETION, "JSL421")
    for key in value:
        if key not in KEYS_OF_KIND[Kind.COMPLETION]:
            yield Fault("JSL421", f"contains an extra {quoted(key)}", None, pointer(key))
    completion = value.get("completion")
    if isinstance(completion, str) and not completion.strip():
        yield Fault("JSL422", "the completion is empty", None, "/completion")


def qa_faults(value: Mapping[str, Any]) -> Iterator[Fault]:
    """Every fault of an example with question and answer; other keys are the author's notes."""
    yield from _texts_of(value, Kind.QA, "JSL431")
    for key in KEYS_OF_KIND[Kind.QA]:
        text = value.get(key)
        if isinstance(text, str) and not text.strip():
            yield Fault("JSL432", f"the {key} is empty", None, pointer(key))


def _texts_of(value: Mapping[str, Any], kind: Kind, code: str) -> Iterator[Fault]:
    for key in KEYS_OF_KIND[kind]:
        if key not in value:
            yield Fault(code, f"is missing key {quoted(key)}")
        elif not isinstance(value[key], str):
            found = f"{key} is {quoted(value[key])}; expected text"
            yield Fault(code, found, None, pointer(key))

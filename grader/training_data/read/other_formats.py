"""Formats of other tools: recognised by their keys, and translated to chat or preference examples.

ShareGPT, Alpaca, TRL, Gemini, OpenAI's evals and Batch API, and plain pairs under other names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

from grader.training_data.rules.rule import quoted

Value = Mapping[str, Any]

ROLES: Final[Mapping[str, str]] = {
    "developer": "system",
    "human": "user",
    "customer": "user",
    "assistant": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",
    "ai": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "agent": "assistant",
    "system": "system",
    "user": "user",
}
"""The role that a name of another tool plainly means, in small letters."""

_PAIRS: Final = (
    ("input", "output"),
    ("query", "response"),
    ("question", "response"),
    ("prompt", "response"),
    ("input", "target"),
    ("user", "assistant"),
    ("q", "a"),
)


class NotTranslatable(Exception):
    """The example is of this format and cannot be translated; the text gives the reason."""


@dataclass(frozen=True, slots=True)
class OtherFormat:
    """The format of another tool, which reads these keys; `kind` is what it is translated to.

    `translate` is None where there is nothing to learn in it.
    """

    name: str
    here: str
    reads: tuple[str, ...]
    matches: Callable[[Value], bool]
    translate: Callable[[Value], Value] | None = None
    kind: str = "chat"

    def __str__(self) -> str:
        """What it is, what it would be here, and the command that makes that of it."""
        command = f"; `finegrade data convert FILE --to {self.kind}` writes them so"
        return f"{self.name}; here it is {self.here}{command if self.translate else ''}"


def other_format(value: Value) -> OtherFormat | None:
    """The other tool's format of this example, or None."""
    return next((form for form in _FORMATS if form.matches(value)), None)


def plain_role(role: Any) -> str | None:
    """The role that is plainly meant by a text that is none; else None."""
    if not isinstance(role, str):
        return None
    bare = role.strip().casefold()
    return bare if bare in ("tool", "function") else ROLES.get(bare)


def _has(*keys: str) -> Callable[[Value], bool]:
    return lambda value: all(key in value for key in keys)


def _is_list(value: Value, *keys: str) -> bool:
    return all(isinstance(value.get(key), list) for key in keys)


def _text(value: Value, key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str):
        raise NotTranslatable(f"{key} is {quoted(text)}; expected text")
    return text


def _turns(turns: Any, name: str, role_key: str, text_key: str) -> list[Value]:
    """Chat messages of turns that name their speaker and their text under these keys."""
    if not isinstance(turns, list) or not turns:
        raise NotTranslatable(f"{name} is {quoted(turns)}; expected a list of turns")
    found: list[Value] = []
    for turn in turns:
        said = turn if isinstance(turn, dict) else {}
        role = plain_role(said.get(role_key))
        if role not in ("system", "user", "assistant"):
            raise NotTranslatable(f"a turn of {quoted(said.get(role_key))} cannot be placed")
        found.append({"role": role, "content": _text(said, text_key)})
    return found


def _with_system(value: Value, messages: Sequence[Value], key: str = "system") -> Value:
    """Chat of these messages, behind the system text that the example has beside them."""
    system = value.get(key)
    first = [{"role": "system", "content": system}] if isinstance(system, str) and system else []
    return {"messages": [*first, *messages]}


def _share_gpt(value: Value) -> Value:
    turns = value["conversations"]
    first = turns[0] if isinstance(turns, list) and turns else None
    named = (
        ("role", "content") if isinstance(first, dict) and "role" in first else ("from", "value")
    )
    return _with_system(value, _turns(turns, "conversations", *named))


def _alpaca(value: Value) -> Value:
    task, answer = _text(value, "instruction"), value.get("output", value.get("response"))
    if not isinstance(answer, str):
        raise NotTranslatable(f"output is {quoted(answer)}; expected text")
    given = value.get("input") or value.get("context") or ""
    if not isinstance(given, str):
        raise NotTranslatable(f"input is {quoted(given)}; expected text")
    asked = "\n\n".join(text for text in (task, given) if text.strip())
    messages: list[Value] = []
    for pair in value.get("history") or ():
        if not isinstance(pair, list) or len(pair) != 2:
            raise NotTranslatable(f"history has {quoted(pair)}; expected pairs of texts")
        messages += _pair(dict(zip(("q", "a"), pair, strict=True)), "q", "a")
    messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return _with_system(value, messages)


def _pair(value: Value, question: str, answer: str) -> list[Value]:
    return [
        {"role": "user", "content": _text(value, question)},
        {"role": "assistant", "content": _text(value, answer)},
    ]


def _pair_of(question: str, answer: str) -> Callable[[Value], Value]:
    return lambda value: _with_system(value, _pair(value, question, answer))


def _messages_of(value: Value, key: str) -> list[Value]:
    """Messages under this key; a text is what the role of the key says."""
    given = value[key]
    if isinstance(given, str):
        return [{"role": "user" if key == "prompt" else "assistant", "content": given}]
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise NotTranslatable(f"{key} is {quoted(given)}; expected messages")
    return list(given)


def _trl_pair(value: Value) -> Value:
    found: dict[str, Any] = {
        "messages": [*_messages_of(value, "prompt"), *_messages_of(value, "completion")]
    }
    return found | ({"tools": value["tools"]} if value.get("tools") else {})


def _trl_preference(value: Value) -> Value:
    chosen, rejected = _messages_of(value, "chosen"), _messages_of(value, "rejected")
    both = takewhile(lambda two: two[0] == two[1], zip(chosen, rejected, strict=False))
    shared = min(sum(1 for _ in both), len(chosen) - 1, len(rejected) - 1)
    if "prompt" in value:
        asked = _messages_of(value, "prompt")
        shared = len(asked) if chosen[:shared][: len(asked)] == asked else 0  # it stands in all
    elif shared < 1:
        raise NotTranslatable("there is no prompt, and chosen and rejected do not begin alike")
    else:
        asked = chosen[:shared]
    return {
        "input": {"messages": asked},
        "preferred_output": chosen[shared:],
        "non_preferred_output": rejected[shared:],
    }


def _gemini(value: Value) -> Value:
    messages = []
    for turn in value["contents"] if isinstance(value["contents"], list) else ():
        role = plain_role(turn.get("role")) if isinstance(turn, dict) else None
        if role not in ("user", "assistant"):
            raise NotTranslatable(f"contents has {quoted(turn)}; expected turns of user and model")
        messages.append({"role": role, "content": _parts(turn)})
    if not messages:
        raise NotTranslatable("contents holds no turn")
    system = value.get("systemInstruction") or value.get("system_instruction")
    return _with_system({"system": _parts(system) if system else ""}, messages)


def _parts(turn: Any) -> str:
    parts = turn.get("parts") if isinstance(turn, dict) else None
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise NotTranslatable("parts is no list of texts")
    return "".join(_text(part, "text") for part in parts)


def _evals(value: Value) -> Value:
    answer = value["ideal"]
    if isinstance(answer, list) and len(answer) == 1:
        (answer,) = answer
    said = _text({"ideal": answer}, "ideal")
    asked = value["input"]
    before = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    if not isinstance(before, list):
        raise NotTranslatable(f"input is {quoted(asked)}; expected messages")
    return {"messages": [*before, {"role": "assistant", "content": said}]}


_CHAT: Final = '"messages" with "role" and "content"'
_PREFERENCE: Final = '"input", "preferred_output" and "non_preferred_output"'
_FORMATS: Final = (
    OtherFormat(
        "the ShareGPT form",
        _CHAT,
        ("conversations", "system"),
        _has("conversations"),
        _share_gpt,
    ),
    OtherFormat(
        "the Alpaca form",
        '"messages", or "question" and "answer"',
        ("instruction", "input", "context", "output", "response", "history", "system"),
        lambda v: "instruction" in v and ("output" in v or "response" in v),
        _alpaca,
    ),
    OtherFormat(
        "TRL's form for preferences",
        _PREFERENCE,
        ("prompt", "chosen", "rejected"),
        _has("chosen", "rejected"),
        _trl_preference,
        "preference",
    ),
    OtherFormat(
        "TRL's form of prompt and completion as messages",
        "one list of messages",
        ("prompt", "completion", "tools"),
        lambda v: _is_list(v, "prompt", "completion"),
        _trl_pair,
    ),
    OtherFormat(
        "the form of OpenAI's Batch API, whose requests hold no answers",
        _CHAT,
        (),
        _has("custom_id", "body"),
    ),
    OtherFormat(
        "the form of Gemini",
        _CHAT,
        ("contents", "systemInstruction", "system_instruction"),
        _has("contents"),
        _gemini,
    ),
    OtherFormat(
        "the form of OpenAI's evals", _CHAT, ("input", "ideal"), _has("input", "ideal"), _evals
    ),
    *(
        OtherFormat(
            f"pairs of {question} and {answer}",
            '"question" and "answer", or "messages"',
            (question, answer, "system"),
            _has(question, answer),
            _pair_of(question, answer),
        )
        for question, answer in _PAIRS
    ),
    OtherFormat("plain text", '"messages", with a question and its answer', (), _has("text")),
)

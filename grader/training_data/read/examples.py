"""The kinds of training data, and a tolerant reader of examples.

Lines that cannot be used are skipped without a report: the rules on lines have already reported
them. `Progress` lets a caller follow long work on a file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from grader.training_data.read.lines import BOM, Line, LineError, decode, lines
from grader.training_data.rules.rule import pointer


class Kind(StrEnum):
    """The kind of a training file's examples."""

    CHAT = "chat"
    """OpenAI supervised fine-tuning: {"messages": [...]}, with tools, parts and images."""
    PREFERENCE = "preference"
    """OpenAI direct preference optimisation: input, preferred_output, non_preferred_output."""
    COMPLETION = "completion"
    """The older {"prompt", "completion"}."""
    QA = "qa"
    """Plain {"question", "answer"}, as courses and scripts write it."""


KEYS_OF_KIND = {
    Kind.CHAT: ("messages",),
    Kind.PREFERENCE: ("input", "preferred_output", "non_preferred_output"),
    Kind.COMPLETION: ("prompt", "completion"),
    Kind.QA: ("question", "answer"),
}
"""The keys that make a line of this kind."""


Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Example:
    """One usable line: its 1-based number, its bytes without line feed and mark, its object."""

    line: int
    raw: bytes
    kind: Kind
    value: Mapping[str, Any]

    @property
    def messages(self) -> list[Message]:
        """The example as chat messages, whatever its kind; the last one is the answer."""
        match self.kind:
            case Kind.CHAT:
                return _messages(self.value.get("messages"))
            case Kind.PREFERENCE:
                return _preference_input(self.value) + _output(self.value, "preferred_output")
            case Kind.COMPLETION | Kind.QA:
                question, answer = (self.value[key] for key in KEYS_OF_KIND[self.kind])
                return [
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": answer},
                ]

    @property
    def system(self) -> str:
        """The text of the system messages, or ""."""
        return "\n".join(text_of(m) for m in self.messages if m.get("role") == "system")

    @property
    def prompt(self) -> str:
        """What the answer answers: all text before it but the system's."""
        before = self.messages[: _answer_at(self.messages)]
        return "\n".join(text_of(m) for m in before if m.get("role") != "system")

    @property
    def answer(self) -> str:
        """The text of the last answer, or its tool calls as JSON text; "" without either."""
        messages = self.messages
        at = _answer_at(messages)
        if at == len(messages):
            return ""
        calls = messages[at].get("tool_calls") or messages[at].get("function_call")
        return text_of(messages[at]) or (json.dumps(calls, sort_keys=True) if calls else "")

    @property
    def texts(self) -> tuple[tuple[str, str], ...]:
        """(JSON pointer, text) of all that a model would read or learn, in order."""
        match self.kind:
            case Kind.CHAT:
                return tuple(_texts(self.value.get("messages"), "messages"))
            case Kind.PREFERENCE:
                given = self.value.get("input")
                inner = given.get("messages") if isinstance(given, dict) else None
                found = list(_texts(inner, "input", "messages"))
                for key in ("preferred_output", "non_preferred_output"):
                    found += _texts(self.value.get(key), key)
                return tuple(found)
            case Kind.COMPLETION | Kind.QA:
                return tuple((pointer(key), self.value[key]) for key in KEYS_OF_KIND[self.kind])


def kind_of(value: Any) -> Kind | None:
    """The kind of an object by its keys, or None: with lists of messages as prompt and completion
    it is another tool's."""
    if not isinstance(value, dict):
        return None
    for kind, keys in KEYS_OF_KIND.items():
        if all(key in value for key in keys):
            listed = kind is Kind.COMPLETION and all(isinstance(value[key], list) for key in keys)
            return None if listed else kind
    return None


def read_examples(path: Path) -> Iterator[Example]:
    """Every usable example of the file in order, each of the kind that its own keys say.

    Raises UsageError if the file cannot be opened, nothing else.
    """
    return examples_of(lines(path))


def examples_of(some: Iterable[Line]) -> Iterator[Example]:
    """The usable examples among these lines."""
    for line in some:
        raw = line.raw.removeprefix(BOM)
        try:
            value = decode(raw)
        except LineError:
            continue
        kind = kind_of(value)
        if kind is not None and _usable(kind, value):
            yield Example(line.number, raw, kind, value)


def text_of(message: Message) -> str:
    """The text of a message: its content, or its text parts joined; "" without."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [part.get("text") for part in content if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _usable(kind: Kind, value: Mapping[str, Any]) -> bool:
    match kind:
        case Kind.CHAT:
            return bool(_messages(value["messages"]))
        case Kind.PREFERENCE:
            return bool(_preference_input(value) and _output(value, "preferred_output"))
        case Kind.COMPLETION | Kind.QA:
            return all(isinstance(value[key], str) for key in KEYS_OF_KIND[kind])


def _messages(value: Any) -> list[Message]:
    return [m for m in value if isinstance(m, dict)] if isinstance(value, list) else []


def _preference_input(value: Mapping[str, Any]) -> list[Message]:
    given = value.get("input")
    return _messages(given.get("messages")) if isinstance(given, dict) else []


def _output(value: Mapping[str, Any], key: str) -> list[Message]:
    return _messages(value.get(key))


def _answer_at(messages: list[Message]) -> int:
    """The index of the last assistant message, or the number of messages."""
    found = [i for i, m in enumerate(messages) if m.get("role") == "assistant"]
    return found[-1] if found else len(messages)


def _texts(messages: Any, *steps: str) -> Iterator[tuple[str, str]]:
    if not isinstance(messages, list):
        return
    for i, message in enumerate(messages):
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            yield pointer(*steps, i, "content"), content
        elif isinstance(content, list):
            for j, part in enumerate(content):
                text = part.get("text") if isinstance(part, dict) else None
                if isinstance(text, str):
                    yield pointer(*steps, i, "content", j, "text"), text


_EXAMPLES_A_STEP: Final = 500  # drawing a bar for each example takes longer than reading


class ReadProgress(Protocol):
    """Draws how far long work is."""

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of `total` units: bytes of the file, or examples."""

    def advance(self, units: int) -> None:
        """Note that so many more are done."""


def watched(
    examples: Iterable[Example],
    progress: ReadProgress | None,
    stage: str,
    total: int,
    units: Callable[[Example], int] = lambda example: 1,
) -> Iterator[Example]:
    """The same examples; reports to `progress` how many of `total` units have passed."""
    if progress is None:
        yield from examples
        return
    progress.start(stage, total)
    done = passed = 0
    for number, example in enumerate(examples, 1):
        yield example
        passed += units(example)
        if number % _EXAMPLES_A_STEP == 0:
            progress.advance(passed - done)
            done = passed
    progress.advance(total - done)


def differences(advance: Callable[[int], None]) -> Callable[[int], None]:
    """Takes how many are done in all, and passes on how many that is since the last call."""
    done = 0

    def step(place: int) -> None:
        nonlocal done
        advance(place - done)
        done = place

    return step

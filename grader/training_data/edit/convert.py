"""`finegrade data convert`: converts examples from one kind to another.

Every kind is converted to chat first, and chat to the requested kind. Values that the new kind
cannot hold are refused or named in the result; nothing is lost silently.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from grader.core.errors import UsageError
from grader.core.files import new_file
from grader.training_data.edit.sources import SourceRecord, read_source
from grader.training_data.read.examples import KEYS_OF_KIND, Kind, kind_of
from grader.training_data.read.lines import LineError, decode
from grader.training_data.read.other_formats import NotTranslatable, other_format
from grader.training_data.rules.rule import Occurrences, quoted

Value = Mapping[str, Any]

_SHOWN_REFUSALS: Final = 5  # enough to see what is wrong; the rest is counted
_SHOWN_KEYS: Final = 20  # different keys that are named, so that no file can fill the memory
_OTHER_KEYS: Final = "…"
_CHAT_KEYS: Final = ("messages", "tools", "parallel_tool_calls", "functions")
_PLAIN_KEYS: Final = ("role", "content")
_MARK_MAX_CHARACTERS: Final = 40
_MARK: Final = r"\s*(?:#{2,}|[-=]+>|-{3,}|={3,}|\|{2,}|<\|\w+\|>|\[SEP\]|\[INST\])"
_MARKS: Final = (
    re.compile(rf"(?:{_MARK})+\s*\Z"),
    re.compile(rf"(?:{_MARK}|(?:\s+|^)(?:END|STOP|\[END\]|\[STOP\]|</s>))+\s*\Z"),
)


@dataclass(frozen=True, slots=True)
class Converted:
    """What `convert` did.

    `noun` is what one example of the source is: a line, an item of a JSON document, or a row of a
    table. `unchanged` lines keep their bytes. `dropped` has the keys (or columns) that the new
    kind does not know, and where they were; beyond twenty of them the rest is under "…". `marks`
    are the ends that all prompts, or all completions, had in common and that were left out.
    """

    noun: str
    examples: int
    unchanged: int
    dropped: Mapping[str, Occurrences]
    marks: tuple[str, ...] = ()


class _NotConvertible(Exception):
    """The example cannot be converted to that kind; the text gives the reason."""


def convert(path: Path, out: Path, to: Kind, system: str | None = None) -> Converted:
    """Write the examples of the file at `path` as JSONL of kind `to` to a new file at `out`.

    The source may also be a JSON document or a table (`grader.training_data.edit.sources`), and its
    examples of different kinds. A preference example gives its preferred answer. The spaces and
    marks that the ends of prompts and completions are marked with (`completion_marks`) are left
    out of the other kinds.

    `system` is the system message. In chat it is put first where there is none; questions and
    completions cannot hold one, and an example with exactly this one can be converted to them.

    Raises UsageError, and writes nothing, if any example cannot be converted, if there is none,
    if the source cannot be read, and if `out` exists or cannot be made.
    """
    _check_system(system, to)
    examples = unchanged = 0
    refusals: list[str] = []
    refused = 0
    dropped: dict[str, Occurrences] = {}
    marks = ("", "") if to is Kind.COMPLETION else completion_marks(path)
    with new_file(out) as file:
        source = read_source(path)
        for record in source.records:
            examples += 1
            try:
                value, keys = _converted(record, to, system, marks)
                line = _line(record, value)
            except _NotConvertible as error:
                refused += 1
                if refused <= _SHOWN_REFUSALS:
                    refusals.append(f"{source.noun} {record.number}: {error}")
                continue
            unchanged += line is record.raw
            for key in (*record.unread, *keys):
                name = key if key in dropped or len(dropped) < _SHOWN_KEYS else _OTHER_KEYS
                dropped[name] = dropped.get(name, Occurrences()).and_line(record.number)
            file.write(line + b"\n")
        if refused:
            count = f"{refused} of {examples} {source.noun}s"
            raise UsageError(
                f"{path}: {count} cannot be converted to {to}, and nothing was written. "
                "Mend them, or take them out:\n  " + "\n  ".join(refusals)
            )
        if not examples:
            raise UsageError(f"{path} holds no examples.")
    return Converted(source.noun, examples, unchanged, dropped, tuple(filter(None, marks)))


def completion_marks(path: Path) -> tuple[str, str]:
    """The mark at the end of all prompts, and that at the end of all completions; "" for none.

    The older format had a separator such as "\\n\\n###\\n\\n" or " ->" behind each prompt, and a
    stop such as " END" behind each completion. What is no such mark is text, even if all share it.
    Raises UsageError if the file cannot be read.
    """
    shared: list[str | None] = [None, None]
    keys = KEYS_OF_KIND[Kind.COMPLETION]
    for record in read_source(path).records:
        if kind_of(record.value) is not Kind.COMPLETION:
            continue
        for i, key in enumerate(keys):
            text = record.value[key] if isinstance(record.value[key], str) else ""
            tail, known = text[-_MARK_MAX_CHARACTERS:], shared[i]
            shared[i] = tail if known is None else _shared_end(known, tail)
    found = [pattern.search(end or "") for pattern, end in zip(_MARKS, shared, strict=True)]
    return tuple(match[0] if match else "" for match in found)  # type: ignore[return-value]


def _shared_end(one: str, other: str) -> str:
    both = zip(reversed(one), reversed(other), strict=False)
    length = sum(1 for _ in takewhile(lambda two: two[0] == two[1], both))
    return one[len(one) - length :]


def _check_system(system: str | None, to: Kind) -> None:
    if system is None:
        return
    if to is Kind.PREFERENCE:
        raise UsageError("A system message cannot be given to preference examples.")
    if not system.strip():
        raise UsageError("The system message is empty. Give its text, or leave it out.")
    try:
        decode(json.dumps(system).encode())
    except LineError as error:
        raise UsageError(f"The system message cannot be written: {error.message}.") from error


def _line(record: SourceRecord, value: Value) -> bytes:
    if record.raw is not None and value == record.value:
        return record.raw
    line = json.dumps(value, ensure_ascii=False).encode()
    try:
        decode(line)
    except LineError as error:  # a NUL in a table, or a line that grew too long
        raise _NotConvertible(error.message) from error
    return line


def _converted(
    record: SourceRecord, to: Kind, system: str | None, marks: Sequence[str]
) -> tuple[Value, list[str]]:
    """(the example as kind `to`, the keys of it that are dropped)."""
    if record.fault:
        raise _NotConvertible(record.fault)
    value, unread = _translated(record.value)
    kind = kind_of(value)
    if kind is None:
        keys = ", ".join(quoted(key) for key in list(value)[:5]) or "none"
        raise _NotConvertible(f"no example of a known kind; its keys are {keys}")
    if kind is to is Kind.QA:  # the one kind that may have keys of its own
        return value, unread
    if kind is to and kind is not Kind.CHAT:
        kept, dropped = _parted(value, KEYS_OF_KIND[kind])
        return kept, unread + dropped
    if to is Kind.PREFERENCE:
        raise _NotConvertible(f"a preference example needs a worse answer too, and {kind} has none")
    chat, dropped = _as_chat(kind, value, marks)
    if to is Kind.CHAT:
        return _with_system(chat, system), unread + dropped
    pair, more = _as_pair(chat, to, system)
    return pair, unread + dropped + more


def _translated(value: Value) -> tuple[Value, list[str]]:
    """(an example of another tool as one of ours, its keys that were not read)."""
    form = other_format(value) if kind_of(value) is None else None
    if form is None or form.translate is None:
        return value, []
    try:
        return form.translate(value), [key for key in value if key not in form.reads]
    except NotTranslatable as error:
        raise _NotConvertible(str(error)) from error


def _parted(value: Value, known: Sequence[str]) -> tuple[Value, list[str]]:
    """(the value with its known keys only, its other keys)."""
    return {k: v for k, v in value.items() if k in known}, [k for k in value if k not in known]


def _as_chat(kind: Kind, value: Value, marks: Sequence[str]) -> tuple[Value, list[str]]:
    """(the example as chat, the keys of it that are dropped)."""
    if kind is Kind.CHAT:
        _messages(value["messages"], "messages")
        chat, dropped = _parted(value, _CHAT_KEYS)
        system = value.get("system")  # where Anthropic's API and others have it
        if isinstance(system, str) and system.strip():
            return _with_system(chat, system), [key for key in dropped if key != "system"]
        return chat, dropped
    if kind is Kind.PREFERENCE:
        given = value["input"]
        if not isinstance(given, dict):
            raise _NotConvertible(f"input is {quoted(given)}; expected an object with messages")
        messages = _messages(given.get("messages"), "messages of the input")
        answer = _messages(value["preferred_output"], "preferred_output")
        chat, inner = _parted(given, _CHAT_KEYS)
        _, outer = _parted(value, ("input", "preferred_output"))
        return {**chat, "messages": [*messages, *answer]}, outer + [f"input/{k}" for k in inner]
    texts, dropped = _parted(value, KEYS_OF_KIND[kind])
    messages = []
    roles = ("user", "assistant")
    for role, key, mark in zip(roles, KEYS_OF_KIND[kind], marks, strict=True):
        content = texts[key]
        if not isinstance(content, str):
            raise _NotConvertible(f"{key} is {quoted(content)}; expected text")
        if kind is Kind.COMPLETION:
            content = content.removesuffix(mark).strip()
        messages.append({"role": role, "content": content})
    return {"messages": messages}, dropped


def _with_system(chat: Value, system: str | None) -> Value:
    if system is None or any(m.get("role") == "system" for m in chat["messages"]):
        return chat
    return {**chat, "messages": [{"role": "system", "content": system}, *chat["messages"]]}


def _as_pair(chat: Value, to: Kind, system: str | None) -> tuple[Value, list[str]]:
    """(one question and one answer under the keys of `to`, the keys that are dropped)."""
    for key in ("tools", "functions"):
        if chat.get(key) is not None:
            raise _NotConvertible(f"it declares {key}, which {to} cannot hold")
    turns = []
    for message in chat["messages"]:
        if message.get("role") != "system":
            turns.append(message)
        elif (text := _plain_text(message, to)) != system:
            advice = "give this text as the system message to leave it out"
            raise _NotConvertible(
                f"its system message is {quoted(text)}, which {to} cannot hold; {advice}"
            )
    if [m.get("role") for m in turns] != ["user", "assistant"]:
        roles = ", ".join(quoted(m.get("role"), 12) for m in turns[:6])
        raise _NotConvertible(
            f"its messages are of {roles}; {to} holds one of user, one of assistant"
        )
    texts = [_plain_text(m, to) for m in turns]
    return dict(zip(KEYS_OF_KIND[to], texts, strict=True)), _parted(chat, ("messages",))[1]


def _messages(value: Any, name: str) -> list[Value]:
    if not isinstance(value, list) or not value:
        raise _NotConvertible(f"{name} is {quoted(value)}; expected a list of messages")
    for message in value:
        if not isinstance(message, dict):
            raise _NotConvertible(f"{name} has {quoted(message)}; expected a message")
    return value


def _plain_text(message: Value, to: Kind) -> str:
    """The text of a message that holds nothing else. An answer of weight 1 is as any other."""
    for key, inner in message.items():
        if key not in _PLAIN_KEYS and inner is not None and (key, inner) != ("weight", 1):
            raise _NotConvertible(f"a message has the key {quoted(key)}, which {to} cannot hold")
    content = message.get("content")
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        (part,) = content
        content = part.get("text") if part.get("type") == "text" else content
    if not isinstance(content, str):
        raise _NotConvertible(f"the content of a message is {quoted(content)}; {to} holds one text")
    return content

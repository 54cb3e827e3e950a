"""An example's texts and hashes, parsed once for all passes over a data set."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from grader.core.text import normalized
from grader.training_data.read.examples import Example, Kind, Message

_BLANK_LINES: Final = re.compile(r"(?:[^\S\n]*\n)+")


class Fingerprint(NamedTuple):
    """What the passes over a data set compare of one example.

    `prompt` and `answer` are texts as they stand; of an answer that is a tool call, its name and
    arguments. `texts` are all texts that a model would read or learn, in the order of
    `example.texts`. `usual` and `special` are all of them joined: in `usual` stand system texts,
    which most examples of a file have in common, in `special` at least the others.
    `system`, `folded_prompt`, `folded_answer` and `rejected` (of a preference pair) are in folded
    form. `prompt_extras` is a hash of the tools, calls and images of the prompt, `answer_extras`
    of the weights of answers and the calls of the last one; 0 for none. The hashes are comparable
    within one run of the program.
    """

    example: Example
    prompt: str
    answer: str
    texts: Sequence[str]
    usual: str
    special: str
    system: str
    folded_prompt: str
    folded_answer: str
    rejected: str
    prompt_extras: int
    answer_extras: int

    @property
    def line(self) -> int:
        """The 1-based line."""
        return self.example.line


def read(example: Example) -> Fingerprint:
    """The fingerprint of an example."""
    if example.kind is Kind.CHAT and (plain := _plain_chat(example)) is not None:
        return plain
    prompt, answer = example.prompt, _calls(example) or example.answer
    texts = [text for _, text in example.texts]
    return Fingerprint(
        example,
        prompt,
        answer,
        texts,
        "",
        " ".join(texts),
        _folded_system(example.system),
        folded(prompt),
        folded(answer),
        folded(_rejected(example)),
        _prompt_extras(example),
        _answer_extras(example),
    )


def folded(text: str) -> str:
    """The text without differences that no reader would notice.

    Unicode NFKC, case-folded, white space collapsed to single spaces and none at the ends.
    """
    return " ".join(normalized("NFKC", text).casefold().split())


@lru_cache(maxsize=4)  # most files have one system text, which can be long
def _folded_system(text: str) -> str:
    return folded(text)


def _plain_chat(example: Example) -> Fingerprint | None:
    """The same for an example of kind chat, in a third of the time, if it has nothing but text."""
    value = example.value
    messages = value["messages"]
    if len(value) > 1 or type(messages) is not list:
        return None
    texts: list[str] = []
    others: list[str] = []
    systems: list[str] = []
    role = None
    for message in messages:
        if type(message) is not dict or len(message) != 2:
            return None
        role, text = message.get("role"), message.get("content")
        if type(text) is not str:
            return None
        texts.append(text)
        (systems if role == "system" else others).append(text)
    if role != "assistant":
        return None
    special, usual = " ".join(others), "\n".join(systems)
    answer = others.pop()
    prompt = "\n".join(others)
    return Fingerprint(
        example,
        prompt,
        answer,
        texts,
        usual,
        special,
        _folded_system(usual),
        folded(prompt),
        folded(answer),
        "",
        0,
        0,
    )


def _calls(example: Example) -> str:
    """The tool calls of an answer that has no text: names and arguments, without the ids."""
    answers = _answers(example)
    return "" if not answers or answers[-1].get("content") else _call_text(answers[-1])


def _answer_extras(example: Example) -> int:
    answers = _answers(example)
    weights = [m.get("weight", 1) for m in answers]
    calls = _call_text(answers[-1]) if answers and answers[-1].get("content") else ""
    usual = not calls and all(weight == 1 for weight in weights)
    return 0 if usual else _number([weights, calls])


def _answers(example: Example) -> list[Message]:
    return [m for m in example.messages if m.get("role") == "assistant"]


def _call_text(message: Message) -> str:
    functions = _functions(message)
    return "\n".join(f"{called.get('name')} {called.get('arguments')}" for called in functions)


def _functions(message: Message) -> Iterator[Mapping[str, Any]]:
    calls = message.get("tool_calls")
    found = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    for function in (*(call.get("function") for call in found), message.get("function_call")):
        if isinstance(function, dict):
            yield function


def _rejected(example: Example) -> str:
    if example.kind is not Kind.PREFERENCE:
        return ""
    return "\n".join(
        text for place, text in example.texts if place.startswith("/non_preferred_output")
    )


def _prompt_extras(example: Example) -> int:
    """A number for the tools, and for the calls and images before the answer."""
    value = example.value
    holder = value.get("input") if example.kind is Kind.PREFERENCE else value
    found: list[Any] = []
    if isinstance(holder, dict):
        found += [holder[key] for key in ("tools", "functions") if holder.get(key)]
    for message in example.messages[:-1]:
        content = message.get("content")
        if isinstance(content, list):
            found += [part for part in content if isinstance(part, dict) and "text" not in part]
        found += filter(None, [_call_text(message)])
    return _number(found) if found else 0


def _number(value: Any) -> int:
    """Equal for equal JSON values, and not 0."""
    return hash(json.dumps(value, sort_keys=True)) or 1


def fixed_texts(example: Example) -> dict[str, str]:
    """JSON pointer -> repaired text, of the texts not in normal form or with space at an end.

    Space stays at the ends of prompts and completions, where that format marks with it where one
    stops and the other begins, and at those of parts, which are joined with each other.
    """
    repaired = {}
    for where, text in example.texts:
        better = normalized("NFC", text)
        if example.kind is not Kind.COMPLETION and not where.endswith("/text"):
            better = _trimmed(better)
        if better != text:
            repaired[where] = better
    return repaired


def _trimmed(text: str) -> str:
    """Without white space at its ends. Of several lines, the first one keeps its indent: cut off,
    the others would stand deeper than it, which in code means something else."""
    trimmed = text.strip()
    if "\n" not in trimmed:
        return trimmed
    text = text.rstrip()
    blank = _BLANK_LINES.match(text)
    return text[blank.end() :] if blank else text

"""What a DSPy program put into its prompts, question by question, as the service was asked.

DSPy writes a signature's fields into the system message and examples as earlier turns of the chat.
What is told apart here is by the text of the requests alone; what the program calls it counts for
nothing.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grader.constants import PASSAGE_MIN_WORDS, RECORD_MAX_BODY_BYTES
from grader.model import Evidence
from grader.strict_json import StrictJsonError, loads
from grader.topics.topic import normalised

_SENTENCE_END: Final = re.compile(r"[.!?](?=\s|\"|$)|[\n\"«»]")
_OUTPUTS: Final = re.compile(r"Your output fields are:\n(.*?)(?:\n[A-Z]|\Z)", re.DOTALL)
_FIELD: Final = re.compile(r"^\d+\. `(\w+)` (.*?)\s*$", re.MULTILINE)
_WORDS: Final = frozenset({"content", "text"})
_MARKER: Final = re.compile(r"\[\[ ## \w+ ## \]\]")


@dataclass(frozen=True, slots=True)
class Prompt:
    """The messages of one request as (role, text), and the text of its reply."""

    messages: tuple[tuple[str, str], ...]
    reply: str

    @property
    def last(self) -> str:
        """The last message of the user: what is asked now."""
        return next((text for role, text in reversed(self.messages) if role == "user"), "")

    @property
    def earlier(self) -> tuple[tuple[str, str], ...]:
        """The turns before the last message of the user, system messages left out."""
        turns = [turn for turn in self.messages if turn[0] not in ("system", "developer")]
        return tuple(turns[:-1])

    @property
    def outputs(self) -> frozenset[tuple[str, str]]:
        """The output fields that were asked for, each with its type and description."""
        system = "\n".join(text for role, text in self.messages if role in ("system", "developer"))
        block = _OUTPUTS.search(system)
        return frozenset(_FIELD.findall(block[1]) if block is not None else ())


@dataclass(frozen=True, slots=True)
class Additions:
    """For each question, whether the program's prompts had this and the original's had not."""

    passages: tuple[bool, ...]
    demos: tuple[bool, ...]
    reasoning: tuple[bool, ...]


def additions(enhanced: Evidence, original: Evidence, known: Iterable[str]) -> Additions:
    """What the program adds to the original's prompts; `known` are questions of public sets.

    Passages: sentences beside the question that are not the model's own words and not in most
    prompts alike. Demonstrations: earlier turns of the model, or known questions with the one
    asked. Reasoning: output fields beside the answer that the original does not ask for.
    """
    plain = {row["id"]: prompts(original, row) for row in original.payload["answers"]}
    rows = enhanced.payload["answers"]
    mine = {row["id"]: prompts(enhanced, row) for row in rows}
    sentences = {
        row["id"]: _beside(mine[row["id"]], plain.get(row["id"], []), row["question"])
        for row in rows
    }
    counts = Counter(one for found in sentences.values() for one in found)
    usual = {one for one, times in counts.items() if times > max(1, len(rows) / 2)}
    others = {normalised(question) for question in known}
    asked_before = frozenset(
        name for found in plain.values() for one in found for name in one.outputs
    )
    return Additions(
        tuple(bool(sentences[row["id"]] - usual) for row in rows),
        tuple(_shows(mine[row["id"]], others - {normalised(row["question"])}) for row in rows),
        tuple(_reasons(mine[row["id"]], asked_before) for row in rows),
    )


def prompts(evidence: Evidence, row: Mapping[str, Any]) -> list[Prompt]:
    """The requests that were made to answer this question, in order."""
    exchanges = evidence.payload["exchanges"]
    return [_prompt(exchanges[place]) for place in row["exchanges"]]


def _beside(mine: Sequence[Prompt], plain: Sequence[Prompt], question: str) -> set[str]:
    """Sentences in what is asked now that are neither the original's nor the model's own."""
    before = normalised(question) + " " + " ".join(normalised(one.last) for one in plain)
    found = set()
    for prompt in mine:
        found |= {one for one in _sentences(prompt.last) if one not in before}
        before += " " + normalised(prompt.reply)
    return found


def _sentences(text: str) -> Iterator[str]:
    """Sentences of some words, without the lines in which DSPy names fields."""
    for piece in _SENTENCE_END.split("\n".join(_own_lines(text))):
        sentence = normalised(piece)
        if sentence.count(" ") + 1 >= PASSAGE_MIN_WORDS:
            yield sentence


def _own_lines(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if not _MARKER.search(line))


def _shows(mine: Sequence[Prompt], others: set[str]) -> bool:
    if any(role == "assistant" for prompt in mine for role, _ in prompt.earlier):
        return True
    texts = " ".join(normalised(text) for prompt in mine for _, text in prompt.messages)
    return any(question in texts for question in others)


def _reasons(mine: Sequence[Prompt], asked_before: frozenset[tuple[str, str]]) -> bool:
    return any(
        name != "answer" and (name, about) not in asked_before
        for prompt in mine
        for name, about in prompt.outputs
    )


def _prompt(exchange: Mapping[str, Any]) -> Prompt:
    asked, told = _json(exchange["request"]), _json(exchange["reply"])
    messages = asked.get("messages", asked.get("input", asked.get("prompt")))
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    listed = [m for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []
    texts = tuple((str(m.get("role", "")), "\n".join(_texts(m.get("content")))) for m in listed)
    return Prompt(texts, "\n".join(_said(told.get("choices", told.get("output")))))


def _said(value: Any) -> Iterator[str]:
    """The model's own words in a reply, whatever its form."""
    if isinstance(value, list):
        for one in value:
            yield from _said(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key in _WORDS and isinstance(one, str):
                yield one
            else:
                yield from _said(one)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _json(body: str | None) -> dict[str, Any]:
    try:
        value = loads(base64.b64decode(body or ""), max_bytes=RECORD_MAX_BODY_BYTES)
    except StrictJsonError:
        return {}
    return value if isinstance(value, dict) else {}

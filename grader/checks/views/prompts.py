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
from itertools import pairwise, takewhile
from typing import Any, Final

from grader.core.constants import PASSAGE_MIN_WORDS, RECORD_MAX_BODY_BYTES
from grader.core.payloads import Answer, Answers
from grader.core.strict_json import StrictJsonError, loads
from grader.topics.topic import normalised

_SENTENCE_END: Final = re.compile(r"[.!?](?=\s|\"|$)|[\n\"«»]")
_OUTPUTS: Final = re.compile(r"Your output fields are:\n(.*?)(?:\n[A-Z]|\Z)", re.DOTALL)
_FIELD: Final = re.compile(r"^\d+\. `(\w+)` (.*?)\s*$", re.MULTILINE)
_WORDS: Final = frozenset({"content", "text"})
_MARKER: Final = re.compile(r"\[\[ ## \w+ ## \]\]")
_SECTION: Final = re.compile(r"^\s*\[\[ ## (\w+) ## \]\]", re.MULTILINE)
_NOT_SUPPLIED: Final = "Not supplied for this"  # what DSPy writes where a demonstration lacks it
_COMPLETED: Final = "completed"  # the marker behind the last field


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """The messages of one request as (role, text), and the text of its reply."""

    messages: tuple[tuple[str, str], ...]
    reply: str

    @property
    def last(self) -> str:
        """The last message of the user: what is asked now."""
        return next((text for role, text in reversed(self.messages) if role == "user"), "")

    @property
    def beside(self) -> str:
        """All messages but the last one of the user, as one text."""
        users = [place for place, (role, _) in enumerate(self.messages) if role == "user"]
        last = users[-1] if users else -1
        return "\n".join(text for n, (_, text) in enumerate(self.messages) if n != last)

    @property
    def earlier(self) -> tuple[tuple[str, str], ...]:
        """The turns before the last message of the user, system messages left out."""
        turns = [turn for turn in self.messages if turn[0] not in ("system", "developer")]
        return tuple(turns[:-1])

    @property
    def outputs(self) -> tuple[tuple[str, str], ...]:
        """The output fields that were asked for, in order, each with its type and description."""
        system = "\n".join(text for role, text in self.messages if role in ("system", "developer"))
        block = _OUTPUTS.search(system)
        return tuple(_FIELD.findall(block[1])) if block is not None else ()

    @property
    def steps(self) -> frozenset[tuple[str, str]]:
        """Those that stand before the answer: what follows it comes too late to help."""
        return frozenset(takewhile(lambda field: field[0] != "answer", self.outputs))

    @property
    def answer(self) -> str:
        """What the reply says in its field `answer`, else in its last one, else as a whole."""
        fields = _fields(self.reply)
        return fields.get("answer", next(reversed(fields.values()), self.reply.strip()))


@dataclass(frozen=True, slots=True)
class PromptAdditions:
    """For each question, whether the program's prompts had this and the original's had not."""

    passages: tuple[bool, ...]
    demos: tuple[bool, ...]
    reasoning: tuple[bool, ...]


def additions(enhanced: Answers, original: Answers, known: Iterable[str]) -> PromptAdditions:
    """What the program adds to the original's prompts; `known` are questions of public sets.

    Passages: sentences beside the question that are not the model's own words and not in most
    prompts alike. Demonstrations: earlier turns of the model, or known questions with the one
    asked. Reasoning: output fields before the answer that the original does not ask for there.
    """
    plain = {one.question: prompts(original, one) for one in original.answers}
    asked = [(one.question, prompts(enhanced, one)) for one in enhanced.answers]
    return additions_in(asked, plain, known)


def additions_in(
    asked: Sequence[tuple[str, Sequence[ChatPrompt]]],
    plain: Mapping[str, Sequence[ChatPrompt]],
    known: Iterable[str],
) -> PromptAdditions:
    """The same from the prompts of each question, beside those of the original by question."""
    sentences = [_beside(mine, plain.get(question, ()), question) for question, mine in asked]
    counts = Counter(one for found in sentences for one in found)
    usual = {one for one, times in counts.items() if times > max(1, len(asked) / 2)}
    others = {normalised(question) for question in known}
    asked_before = frozenset(
        step for found in plain.values() for one in found for step in one.steps
    )
    return PromptAdditions(
        tuple(bool(found - usual) for found in sentences),
        tuple(_shows(mine, others - {normalised(question)}) for question, mine in asked),
        tuple(_reasons(mine, asked_before) for _, mine in asked),
    )


def prompts(run: Answers, answer: Answer) -> list[ChatPrompt]:
    """The requests that were made to answer this question, in order."""
    found = (run.exchanges[place] for place in answer.exchanges)
    return [prompt_of(_json(one["request"]), _json(one["reply"])) for one in found]


def demonstrations(prompt: ChatPrompt) -> Iterator[tuple[str, str]]:
    """Question and answer of each earlier turn in DSPy's form: what the prompt shows as right."""
    for (role, text), (next_role, reply) in pairwise(prompt.earlier):
        if role == "user" and next_role == "assistant":
            question, answer = _fields(text).get("question"), _fields(reply).get("answer")
            if question and answer and not answer.startswith(_NOT_SUPPLIED):
                yield question, answer


def _beside(mine: Sequence[ChatPrompt], plain: Sequence[ChatPrompt], question: str) -> set[str]:
    """Sentences in what is asked now that are neither the original's nor the model's own."""
    before = normalised(question) + " " + " ".join(normalised(one.last) for one in plain)
    found = set()
    for prompt in mine:
        found |= {one for one in _sentences(prompt.last) if one not in before}
        before += " " + normalised(prompt.reply)
    return found


def _sentences(text: str) -> Iterator[str]:
    """Sentences of some words."""
    for piece in _SENTENCE_END.split("\n".join(own_lines(text))):
        sentence = normalised(piece)
        if sentence.count(" ") + 1 >= PASSAGE_MIN_WORDS:
            yield sentence


def own_lines(text: str) -> Iterator[str]:
    """The lines of a message without those in which DSPy names fields."""
    return (line for line in text.splitlines() if not _MARKER.search(line))


def _shows(mine: Sequence[ChatPrompt], others: set[str]) -> bool:
    if any(role == "assistant" for prompt in mine for role, _ in prompt.earlier):
        return True
    texts = " ".join(normalised(text) for prompt in mine for _, text in prompt.messages)
    return any(question in texts for question in others)


def _reasons(mine: Sequence[ChatPrompt], asked_before: frozenset[tuple[str, str]]) -> bool:
    return any(step not in asked_before for prompt in mine for step in prompt.steps)


def prompt_of(asked: Mapping[str, Any], told: Mapping[str, Any]) -> ChatPrompt:
    """The prompt in the JSON bodies of a request to a model and of its answer."""
    messages = asked.get("messages", asked.get("input", asked.get("prompt")))
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    listed = [m for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []
    texts = tuple((str(m.get("role", "")), "\n".join(_texts(m.get("content")))) for m in listed)
    return ChatPrompt(texts, "\n".join(_said(told.get("choices", told.get("output")))))


def _fields(reply: str) -> dict[str, str]:
    """The fields of a reply, behind DSPy's markers or of one JSON object, in their order."""
    _, *sections = _SECTION.split(reply)
    if sections:
        found: dict[str, str] = {}
        for name, text in zip(sections[::2], sections[1::2], strict=True):
            if name != _COMPLETED:
                found.setdefault(name, text.strip())  # DSPy takes the first of a name
        return found
    try:
        value = loads(reply.encode(), max_bytes=RECORD_MAX_BODY_BYTES)
    except StrictJsonError:
        return {}
    return {n: str(one) for n, one in value.items()} if isinstance(value, dict) else {}


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

"""Examples of a training file as rows of tokens: what is read, and what is learned.

The files of a job as rows of tokens, and what OpenAI's service would bill for them.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grader.openai_sim.store.store import JobRow, SimulatorStore
from grader.training_data.check import DEFAULT_MODEL
from grader.training_data.costs import load_prices, training_context
from grader.training_data.encodings import base_of
from grader.training_data.read.examples import Example, Kind, Message, read_examples, text_of
from grader.training_data.tokens import counter

_MOST_TOKENS: Final = 4096  # of a row, for a tokenizer that names no length of its own
_NO_LENGTH: Final = 10**9  # tokens; what transformers takes for such a tokenizer is far above

Row = tuple[Sequence[int], int]
"""Token ids, and how many at the start are prompt."""


class UnusableExample(ValueError):
    """An example that the base's chat template cannot write; the text says why."""


def lesson(tokenizer: Any, example: Example) -> list[Row]:
    """The rows of one example.

    Of a conversation, one row for each answer of the assistant whose `weight` is not 0, with all
    that came before it as prompt: just what the model will see when it is asked. Of a preference
    example, two: the preferred output and the other one. Rows are cut where the model's context
    ends; what then has nothing left to learn is dropped, so that there may be none.

    Raises UnusableExample when the chat template refuses the conversation.
    """
    if example.kind is Kind.PREFERENCE:
        given = example.messages[:-1]
        outputs = [example.value[k][-1] for k in ("preferred_output", "non_preferred_output")]
        pair = [_row(tokenizer, given, spoken(output)) for output in outputs]
        return pair if all(_learned(row) for row in pair) else []
    messages = example.messages
    rows = (
        _row(tokenizer, messages[:i], spoken(message))
        for i, message in enumerate(messages)
        if message.get("role") == "assistant" and message.get("weight", 1) != 0
    )
    return [row for row in rows if _learned(row)]


def spoken(message: Message) -> str:
    """What a message says, as text: its content, a refusal, or its calls as JSON."""
    calls = message.get("tool_calls") or message.get("function_call")
    said = text_of(message) or _refusal(message)
    called = json.dumps(calls, ensure_ascii=False) if calls else ""
    return "\n".join(part for part in (said, called) if part)


def plain(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Messages of role and text alone, which every chat template knows how to write."""
    return [{"role": str(m.get("role")), "content": spoken(m)} for m in messages]


def _row(tokenizer: Any, before: Sequence[Message], answer: str) -> Row:
    from jinja2 import TemplateError

    prompt = plain(before)
    try:
        head = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
        reply = {"role": "assistant", "content": answer}
        whole = tokenizer.apply_chat_template([*prompt, reply], tokenize=False)
    except TemplateError as error:
        raise UnusableExample(str(error)) from error
    # Some templates leave out or rewrite an answer that does not follow a user's message.
    follows = whole.startswith(head) and len(whole) > len(head)
    tail = whole[len(head) :] if follows else answer + tokenizer.eos_token
    # Tokenised apart, so that the prompt has the very tokens it will have at generation.
    read = tokenizer(head, add_special_tokens=False)["input_ids"] or [tokenizer.eos_token_id]
    learned = tokenizer(tail, add_special_tokens=False)["input_ids"]
    longest = tokenizer.model_max_length
    kept = longest if longest < _NO_LENGTH else _MOST_TOKENS
    return array("i", [*read, *learned][:kept]), len(read)


def _learned(row: Row) -> bool:
    ids, prompt = row
    return len(ids) > prompt


def _refusal(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    parts = content if isinstance(content, list) else [message]
    found = [part.get("refusal") for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in found if isinstance(text, str))


_BILLED: Final = ("gpt-", "babbage", "davinci")  # names of models whose tokens have a price


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What is learned and what is held back; `billed` are the tokens of one epoch."""

    training: Sequence[Sequence[Row]]
    validation: Sequence[Sequence[Row]]
    billed: int


class JobRefused(Exception):
    """The job cannot be trained after all. Attribute: `error`, the job's own."""

    def __init__(self, code: str, message: str, param: str) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, "param": param}


def read_material(store: SimulatorStore, tokenizer: Any, job: JobRow) -> TrainingSet:
    """The files of a job, read once; no more than their tokens is kept.

    Raises Refused for a file that is gone or has nothing to learn.
    """
    # Counted as OpenAI bills, whatever model really is trained, so that prices can be compared.
    billed_as = job.model if base_of(job.model).startswith(_BILLED) else DEFAULT_MODEL
    count, most = counter(billed_as), training_context(billed_as, load_prices())
    billed = 0
    training: list[list[Row]] = []
    for example in _examples(store, job.training_file, "training_file"):
        billed += min(count(example), most)
        training.append(_rows(tokenizer, example, "training_file"))
    validation: list[list[Row]] = []
    if job.validation_file is not None:
        for example in _examples(store, job.validation_file, "validation_file"):
            validation.append(_rows(tokenizer, example, "validation_file"))
    training = [rows for rows in training if rows]
    if not training:
        said = "No example has anything to learn within the model's context."
        raise JobRefused("invalid_training_file", said, "training_file")
    return TrainingSet(training, [rows for rows in validation if rows], billed)


def _examples(store: SimulatorStore, file_id: str, param: str) -> Iterator[Example]:
    path = store.file_path(file_id)
    if not path.is_file():
        raise JobRefused(f"invalid_{param}", f"No such File object: {file_id}", param)
    return read_examples(path)


def _rows(tokenizer: Any, example: Example, param: str) -> list[Row]:
    try:
        return lesson(tokenizer, example)
    except UnusableExample as error:
        said = f"Example {example.line} cannot be written in this model's chat format: {error}"
        raise JobRefused(f"invalid_{param}", said, param) from error

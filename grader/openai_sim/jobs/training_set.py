"""The files of a job as rows of tokens, and what OpenAI's service would bill for them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grader.models.tokenization import TokenRow, UnusableChat, message_text, tokenize_chat
from grader.openai_sim.store.store import JobRow, SimulatorStore
from grader.training_data.check import DEFAULT_MODEL
from grader.training_data.costs import load_prices, training_context
from grader.training_data.encodings import base_of
from grader.training_data.read.examples import Example, Kind, Message, read_examples
from grader.training_data.tokens import counter

_MOST_TOKENS: Final = 4096  # of a row, for a tokenizer that names no length of its own
_NO_LENGTH: Final = 10**9  # tokens; what transformers takes for such a tokenizer is far above


def tokenize_example(tokenizer: Any, example: Example) -> list[TokenRow]:
    """The rows of one example.

    Of a conversation, one row for each answer of the assistant whose `weight` is not 0, with all
    that came before it as prompt. Of a preference example, two: the preferred output and the other
    one. Rows are cut where the model's context ends; a row without a learned token is dropped, and
    then the other row of its preference example too.

    Raises UnusableChat when the chat template refuses the conversation.
    """
    if example.kind is Kind.PREFERENCE:
        prompt = example.messages[:-1]
        outputs = [example.value[k][-1] for k in ("preferred_output", "non_preferred_output")]
        pair = [_row(tokenizer, prompt, output) for output in outputs]
        return pair if all(_learns(row) for row in pair) else []
    messages = example.messages
    rows = (
        _row(tokenizer, messages[:i], message)
        for i, message in enumerate(messages)
        if message.get("role") == "assistant" and message.get("weight", 1) != 0
    )
    return [row for row in rows if _learns(row)]


def _row(tokenizer: Any, messages: Sequence[Message], answer: Message) -> TokenRow:
    ids, prompt = tokenize_chat(tokenizer, messages, message_text(answer))
    if not prompt:  # the first learned token needs one before it
        ids, prompt = [tokenizer.eos_token_id, *ids], 1
    longest = tokenizer.model_max_length
    kept = longest if longest < _NO_LENGTH else _MOST_TOKENS
    return TokenRow(array("i", ids[:kept]), prompt)


def _learns(row: TokenRow) -> bool:
    return len(row.ids) > row.prompt


_BILLED: Final = ("gpt-", "babbage", "davinci")  # names of models whose tokens have a price


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The examples to learn and those to validate with; `billed` are the tokens of one epoch."""

    training: Sequence[Sequence[TokenRow]]
    validation: Sequence[Sequence[TokenRow]]
    billed: int


class JobRefused(Exception):
    """The job cannot be trained after all. Attribute: `error`, the job's own."""

    def __init__(self, code: str, message: str, param: str) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, "param": param}


def read_training_set(store: SimulatorStore, tokenizer: Any, job: JobRow) -> TrainingSet:
    """The files of a job, each read once; no more than their tokens stays in memory.

    Raises JobRefused for a file that is gone or has nothing to learn.
    """
    # Counted as OpenAI bills, whatever model really is trained, so that prices can be compared.
    billed_as = job.model if base_of(job.model).startswith(_BILLED) else DEFAULT_MODEL
    count, most = counter(billed_as), training_context(billed_as, load_prices())
    billed = 0
    training: list[list[TokenRow]] = []
    for example in _examples(store, job.training_file, "training_file"):
        billed += min(count(example), most)
        training.append(_rows(tokenizer, example, "training_file"))
    validation: list[list[TokenRow]] = []
    if job.validation_file is not None:
        for example in _examples(store, job.validation_file, "validation_file"):
            validation.append(_rows(tokenizer, example, "validation_file"))
    training = [rows for rows in training if rows]
    if not training:
        message = "No example has anything to learn within the model's context."
        raise JobRefused("invalid_training_file", message, "training_file")
    return TrainingSet(training, [rows for rows in validation if rows], billed)


def _examples(store: SimulatorStore, file_id: str, param: str) -> Iterator[Example]:
    path = store.file_path(file_id)
    if not path.is_file():
        raise JobRefused(f"invalid_{param}", f"No such File object: {file_id}", param)
    return read_examples(path)


def _rows(tokenizer: Any, example: Example, param: str) -> list[TokenRow]:
    try:
        return tokenize_example(tokenizer, example)
    except UnusableChat as error:
        message = f"Example {example.line} cannot be written in this model's chat format: {error}"
        raise JobRefused(f"invalid_{param}", message, param) from error

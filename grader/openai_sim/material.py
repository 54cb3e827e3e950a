"""The files of a job as rows of tokens, and what OpenAI's service would bill for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grader.openai_sim.lessons import Row, UnusableExample, lesson
from grader.openai_sim.store import JobRow, Store
from grader.training_data.check import DEFAULT_MODEL
from grader.training_data.costs import load_prices, training_context
from grader.training_data.encodings import base_of
from grader.training_data.examples import Example, read_examples
from grader.training_data.tokens import counter

_BILLED: Final = ("gpt-", "babbage", "davinci")  # names of models whose tokens have a price


@dataclass(frozen=True, slots=True)
class Material:
    """What is learned and what is held back; `billed` are the tokens of one epoch."""

    training: Sequence[Sequence[Row]]
    validation: Sequence[Sequence[Row]]
    billed: int


class Refused(Exception):
    """The job cannot be trained after all. Attribute: `error`, the job's own."""

    def __init__(self, code: str, message: str, param: str) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, "param": param}


def read_material(store: Store, tokenizer: Any, job: JobRow) -> Material:
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
        raise Refused("invalid_training_file", said, "training_file")
    return Material(training, [rows for rows in validation if rows], billed)


def _examples(store: Store, file_id: str, param: str) -> Iterator[Example]:
    path = store.file_path(file_id)
    if not path.is_file():
        raise Refused(f"invalid_{param}", f"No such File object: {file_id}", param)
    return read_examples(path)


def _rows(tokenizer: Any, example: Example, param: str) -> list[Row]:
    try:
        return lesson(tokenizer, example)
    except UnusableExample as error:
        said = f"Example {example.line} cannot be written in this model's chat format: {error}"
        raise Refused(f"invalid_{param}", said, param) from error

"""The benchmark of a student: questions of their own, which every approach is asked.

It comes out of a submission, so nothing of it is taken on trust: strict JSON, few questions, short
printable texts, and none that a model of the student's could have been trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from grader.constants import (
    BENCHMARK_MAX_BYTES,
    BENCHMARK_MAX_QUESTIONS,
    BENCHMARK_MAX_TEXT_BYTES,
    PAIR_MAX_ANSWER_WORDS,
)
from grader.errors import FileRefused
from grader.hidden import Question, QuestionSet, public_guess
from grader.intake import locate, read_file
from grader.model import Assignment, Submission
from grader.topics import get_topic
from grader.topics.topic import Split, normalised
from grader.training_data.examples import Example, examples_of, read_examples
from grader.training_data.reader import Line

_SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What was handed in at `path`: its own questions, and the lines that are none.

    `unusable`, `repeated` and `known` are 1-based lines: no question with a short answer; a
    question that stood before; one of the public data or of the submission's training data.
    `questions` holds the first BENCHMARK_MAX_QUESTIONS of the others.
    """

    path: str
    questions: QuestionSet
    unusable: tuple[int, ...]
    repeated: tuple[int, ...]
    known: tuple[int, ...]


def read_benchmark(
    submission: Submission, assignment: Assignment, deliverable: str
) -> Benchmark | None:
    """The benchmark that is handed in as this deliverable, or None.

    Raises FileRefused when two files could be it, and for one of more than BENCHMARK_MAX_BYTES.
    """
    path = locate(submission, assignment.deliverable(deliverable))
    if path is None:
        return None
    rows = read_file(submission, path, BENCHMARK_MAX_BYTES).split(b"\n")
    written = [Line(n, raw) for n, raw in enumerate(rows, start=1) if raw.strip()]
    examples = {e.line: e for e in examples_of(written) if _usable(e)}
    trained = _public(assignment.topic) | _own_training(submission, assignment)
    own: dict[str, Example] = {}
    repeated, known = [], []
    for line, example in examples.items():
        asked = normalised(example.prompt)
        if asked in trained:
            known.append(line)
        elif asked in own:
            repeated.append(line)
        else:
            own[asked] = example
    return Benchmark(
        path,
        _questions(list(own.values())[:BENCHMARK_MAX_QUESTIONS], assignment.topic),
        tuple(line.number for line in written if line.number not in examples),
        tuple(repeated),
        tuple(known),
    )


def _usable(example: Example) -> bool:
    texts = [example.prompt, example.answer, *([example.system] if example.system else ())]
    return (
        all(_plain(text) for text in texts)
        and bool(normalised(example.prompt))
        and len(example.answer.split()) <= PAIR_MAX_ANSWER_WORDS
    )


def _plain(text: str) -> bool:
    """One line that can be printed and that a small model can read."""
    short = len(text) <= BENCHMARK_MAX_TEXT_BYTES
    return (
        short and text.isprintable() and 0 < len(text.strip().encode()) <= BENCHMARK_MAX_TEXT_BYTES
    )


def _questions(examples: list[Example], topic: str) -> QuestionSet:
    by_id = {f"b{n:03d}": example for n, example in enumerate(examples, start=1)}
    return QuestionSet(
        questions=tuple(
            Question(id, (*((("system", e.system),) if e.system else ()), ("user", e.prompt)))
            for id, e in by_id.items()
        ),
        answers={id: e.answer for id, e in by_id.items()},
        guesses=dict.fromkeys(by_id, public_guess(topic)),
    )


@cache
def _public(topic: str) -> frozenset[str]:
    some = get_topic(topic)
    return frozenset(normalised(e.question) for split in _SPLITS for e in some.public(split))


def _own_training(submission: Submission, assignment: Assignment) -> set[str]:
    """What the submission's training data asks; nothing where it is not there or there twice."""
    if assignment.data is None:
        return set()
    try:
        path = locate(submission, assignment.deliverable(assignment.data.deliverable))
    except FileRefused:
        return set()
    if path is None:
        return set()
    return {normalised(e.prompt) for e in read_examples(submission.root / path)}

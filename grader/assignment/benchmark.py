"""The benchmark of a student: questions of their own, which every approach is asked.

It comes out of a submission, so nothing of it is taken on trust: strict JSON, few questions, short
printable texts, and none that a model of the student's could have been trained on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import chain, islice
from typing import Final

from grader.assignment.questions import Question, QuestionSet, public_guess
from grader.core.constants import (
    BENCHMARK_MAX_BYTES,
    BENCHMARK_MAX_QUESTIONS,
    BENCHMARK_MAX_TEXT_BYTES,
    COPY_MIN_WORDS,
    COURSE_DATA_MAX_BYTES,
    PAIR_MAX_ANSWER_WORDS,
)
from grader.core.errors import FileRefused
from grader.core.metrics import normalise
from grader.core.nouns import Assignment, Submission
from grader.intake.submission import open_file, read_file
from grader.topics import get_topic
from grader.topics.topic import SPLITS, normalised
from grader.training_data.examples.duplicates import NearIndex, NearText, near_texts
from grader.training_data.examples.overlap import OVERLAP_NEAR_MAX_PROMPTS
from grader.training_data.read.examples import Example, examples_of
from grader.training_data.read.fingerprint import folded
from grader.training_data.read.lines import Line, blocks

_MOST_COMPARED: Final = 2 * BENCHMARK_MAX_QUESTIONS  # lines; later ones are not looked at

Pair = tuple[str, str]
"""A question and its answer."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What was submitted at `path`: its own questions, and the lines that are none.

    `unusable`, `repeated` and `known` are 1-based lines: no question with a short answer, or with a
    system text of its own; a question that stood before; one of the public data or of the
    submission's training data. The last two may also differ a little, if the answer is the same.
    `questions` holds the first BENCHMARK_MAX_QUESTIONS of the others, and `asked` their texts by
    line.
    """

    path: str
    questions: QuestionSet
    asked: Mapping[int, str]
    unusable: tuple[int, ...]
    repeated: tuple[int, ...]
    known: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _BenchmarkFiles:
    """What a benchmark is read from; equal ones hold the same, whoever submitted them."""

    topic: str
    path: str
    digest: str
    training_digest: str
    training: str | None = field(compare=False)
    submission: Submission = field(compare=False)


def read_benchmark(
    submission: Submission, assignment: Assignment, deliverable: str
) -> Benchmark | None:
    """The benchmark that is submitted as this deliverable, or None.

    Raises FileRefused when two files could be it, and for one of more than BENCHMARK_MAX_BYTES.
    """
    path = submission.place(deliverable)
    if path is None:
        return None
    training = _training_path(submission, assignment)
    return _read(
        _BenchmarkFiles(
            assignment.topic,
            path,
            _digest(submission, path),
            _digest(submission, training),
            training,
            submission,
        )
    )


@lru_cache(maxsize=32)  # the evidence and several checks of one submission ask for it
def _read(source: _BenchmarkFiles) -> Benchmark:
    rows = read_file(source.submission, source.path, BENCHMARK_MAX_BYTES).split(b"\n")
    written = [Line(n, raw) for n, raw in enumerate(rows, start=1) if raw.strip()]
    system = get_topic(source.topic).system
    examples = {e.line: e for e in examples_of(written) if _usable(e, system)}
    compared = dict(islice(examples.items(), _MOST_COMPARED))
    known = _among(compared, chain(_public(source.topic), _trained(source)))
    own = {line: e for line, e in compared.items() if line not in known}
    repeated = _repeated(own)
    asked = [line for line in own if line not in repeated][:BENCHMARK_MAX_QUESTIONS]
    return Benchmark(
        source.path,
        _questions([own[line] for line in asked], source.topic),
        {line: own[line].prompt for line in asked},
        tuple(line.number for line in written if line.number not in examples),
        tuple(sorted(repeated)),
        tuple(sorted(known)),
    )


def _training_path(submission: Submission, assignment: Assignment) -> str | None:
    """Where the training data lies; None where it is not there, or there twice."""
    if assignment.data is None:
        return None
    try:
        return submission.place(assignment.data.deliverable)
    except FileRefused:
        return None


def _digest(submission: Submission, path: str | None) -> str:
    file = submission.file(path) if path is not None else None
    return file.sha256 if file is not None else ""


def _bare(text: str) -> str:
    """What makes two questions the same one."""
    return normalised(folded(text))


def _among(own: Mapping[int, Example], others: Iterable[Pair]) -> set[int]:
    """The lines whose question is one of the others, or nearly one with the same answer.

    The others are read once; those with an answer of ours are held, as many as a data set is
    searched for near copies.
    """
    lines, answers = defaultdict[str, list[int]](list), {normalise(e.answer) for e in own.values()}
    for line, example in own.items():
        lines[_bare(example.prompt)].append(line)
    shelf = NearIndex(OVERLAP_NEAR_MAX_PROMPTS)
    found: set[int] = set()
    for question, answer in others:
        bare, said = _bare(question), normalise(answer)
        found.update(lines.get(bare, ()))
        if said in answers:
            shelf.add(0, NearText(bare, said))
    alike = defaultdict[str, list[str]](list)
    for text in shelf.texts:
        alike[text.answer].append(text.prompt)
    for said, mine in _by_answer(own).items():
        texts = alike[said] + [_bare(own[line].prompt) for line in mine]
        found.update(mine[i - len(alike[said])] for i in _copies(texts, len(alike[said])))
    return found


def _repeated(own: Mapping[int, Example]) -> set[int]:
    """The lines whose question stood before, or nearly so with the same answer."""
    seen: set[str] = set()
    found = set()
    for line, example in own.items():
        bare = _bare(example.prompt)
        if bare in seen:
            found.add(line)
        seen.add(bare)
    for mine in _by_answer(own).values():
        found.update(mine[i] for i in _copies([_bare(own[line].prompt) for line in mine]))
    return found


def _by_answer(own: Mapping[int, Example]) -> Mapping[str, list[int]]:
    found = defaultdict[str, list[int]](list)
    for line, example in own.items():
        found[normalise(example.answer)].append(line)
    return found


def _copies(texts: Sequence[str], known: int | None = None) -> set[int]:
    """Which of these texts are nearly an earlier one, or hold it or stand in it as a whole.

    With `known`, texts from there on are compared with all of those before it, and no others.
    """
    found = {i for i, _ in near_texts([NearText(text) for text in texts], known)}
    long = [f" {text} " if text.count(" ") + 1 >= COPY_MIN_WORDS else "" for text in texts]
    for i in range(known or 0, len(texts)):
        earlier = long[: i if known is None else known]
        if long[i] and any(one and (one in long[i] or long[i] in one) for one in earlier):
            found.add(i)
    return found


def _usable(example: Example, system: str) -> bool:
    return (
        _plain(example.prompt)
        and _plain(example.answer)
        and example.system.strip() in ("", system)
        and bool(_bare(example.prompt))
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
def _public(topic: str) -> tuple[Pair, ...]:
    some = get_topic(topic)
    return tuple((e.question, e.answer) for split in SPLITS for e in some.public(split))


def _trained(source: _BenchmarkFiles) -> Iterator[Pair]:
    """What the submission's training data asks, and its answers; nothing of one too large to be
    trained on."""
    known = source.submission.file(source.training) if source.training is not None else None
    if source.training is None or known is None or known.size > COURSE_DATA_MAX_BYTES:
        return
    with open_file(source.submission, source.training) as file:
        raw = chain.from_iterable(blocks(file))
        for example in examples_of(Line(number, one) for number, one in enumerate(raw, start=1)):
            yield example.prompt, example.answer

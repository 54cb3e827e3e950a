"""The second pass over a training file: all checks that need more than one example."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from grader.training_data.examples.distribution import AnswerDistribution, Lengths
from grader.training_data.examples.duplicates import Duplicates
from grader.training_data.read.examples import Example, read_examples
from grader.training_data.read.faults import Fault
from grader.training_data.read.fingerprint import read
from grader.training_data.texts.content import content_faults
from grader.training_data.texts.writing_systems import WritingSystems


class DataSet:
    """All checks of a data set: reads each example once, in order, then reports the faults.

    Keeps numbers, not texts, for each example: about 60 bytes, so that a million of them fit.
    """

    def __init__(self) -> None:
        self._duplicates = Duplicates()
        self._passes = (self._duplicates, AnswerDistribution(), Lengths(), WritingSystems())

    @property
    def searched(self) -> int:
        """How many different examples are compared for near copies."""
        return self._duplicates.searched

    @property
    def left_out(self) -> int:
        """How many are not compared, because there are too many or they are too long."""
        return self._duplicates.left_out

    def add(self, example: Example) -> Iterator[Fault]:
        """Add an example and yield the faults of its texts; exhaust the iterator."""
        fingerprint = read(example)
        for each in self._passes:
            each.add(fingerprint)
        return content_faults(fingerprint)

    def faults(self) -> Iterator[Fault]:
        """The faults that only all examples together show, for each code in line order."""
        for each in self._passes:
            yield from each.faults()


_EXAMPLES_A_STEP: Final = 1_000  # between two reports of progress


def check_examples(
    path: Path, report: Callable[[Fault], None], advance: Callable[[int], None]
) -> tuple[str, ...]:
    """Report every fault of the data set as a whole; return notes on what was not checked.

    `advance` is called with the number of bytes done since the last call.
    """
    data_set = DataSet()
    done = 0
    for number, example in enumerate(read_examples(path), 1):
        for fault in data_set.add(example):
            report(fault)
        done += len(example.raw) + 1
        if number % _EXAMPLES_A_STEP == 0:
            advance(done)
            done = 0
    advance(done)
    for fault in data_set.faults():
        report(fault)
    if data_set.left_out:
        return (f"Near copies were searched among the first {data_set.searched:,} examples.",)
    return ()

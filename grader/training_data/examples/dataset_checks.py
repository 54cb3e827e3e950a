"""All passes over a data set, as one.

The second pass over a training file: its examples beside each other, and what they say.
"""

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
    """Sees each example once, in order, and then knows what is wrong with all of them together.

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
        """How many are not, because there are too many or they are too long."""
        return self._duplicates.left_out

    def add(self, example: Example) -> Iterator[Fault]:
        """Take note of an example. Gives the faults of its own texts; must be read to the end."""
        reading = read(example)
        for each in self._passes:
            each.add(reading)
        return content_faults(reading)

    def faults(self) -> Iterator[Fault]:
        """What only all examples together show, for each code in the order of lines."""
        for each in self._passes:
            yield from each.faults()


_EXAMPLES_A_STEP: Final = 1_000  # between two reports of progress


def check_examples(
    path: Path, report: Callable[[Fault], None], advance: Callable[[int], None]
) -> tuple[str, ...]:
    """Report every fault of the data set as a whole; returns what was not looked at, in words.

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

"""All passes over a data set, as one."""

from __future__ import annotations

from collections.abc import Iterator

from grader.training_data.content import content_faults
from grader.training_data.distribution import Answers, Lengths
from grader.training_data.duplicates import Duplicates
from grader.training_data.examples import Example
from grader.training_data.faults import Fault
from grader.training_data.reading import read
from grader.training_data.writing_systems import WritingSystems


class DataSet:
    """Sees each example once, in order, and then knows what is wrong with all of them together.

    Keeps numbers, not texts, for each example: about 60 bytes, so that a million of them fit.
    """

    def __init__(self) -> None:
        self._duplicates = Duplicates()
        self._passes = (self._duplicates, Answers(), Lengths(), WritingSystems())

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

"""Examples that stand in a file more than once, and prompts that have two answers.

JSL602 copies, JSL603 near copies, JSL604 conflicting answers.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from grader.training_data.faults import Fault, quoted
from grader.training_data.kinds import Kind
from grader.training_data.near import NearShelf, NearText, near_texts
from grader.training_data.reading import Reading

_KEPT_ANSWERS: Final = 20_000  # so many can be quoted in a message; 2 MB
_QUOTED_CHARACTERS: Final = 40  # of each of two answers that stand side by side


class Duplicates:
    """Finds examples that say the same.

    Two are copies when system text, prompt and answer are equal in folded form, and tools,
    images, weights and the rejected answer are equal, too. What is compared are 64-bit hashes: 36
    bytes for each example, and of a million two collide with a chance below one in ten million.

    `left_out` counts the examples that are not compared for near copies because there are more
    than `grader.training_data.near` allows.
    """

    def __init__(self) -> None:
        self.left_out = 0
        self._lines = array("I")
        self._raw = array("q")
        self._said = array("q")
        self._asked = array("q")
        self._answered = array("q")
        self._answers: list[str] = []
        self._shelf = NearShelf()
        self._on_shelf: set[int] = set()

    @property
    def searched(self) -> int:
        """How many examples are compared for near copies: none with images or tools."""
        return len(self._shelf.texts)

    def add(self, reading: Reading) -> None:
        """Take note of an example."""
        given = (reading.system, reading.asked, reading.beside)
        said = hash((given, reading.answered, reading.rejected, reading.beside_answer))
        self._lines.append(reading.line)
        self._raw.append(hash(reading.example.raw))
        self._said.append(said)
        if not reading.asked:
            self._asked.append(said)  # nothing is asked: nothing to have two answers
        elif reading.example.kind is Kind.PREFERENCE:
            # Which of these two is better? Several pairs with one prompt are no conflict.
            self._asked.append(hash((given, frozenset((reading.answered, reading.rejected)))))
        else:
            self._asked.append(hash(given))
        self._answered.append(hash(reading.answered))
        if len(self._answers) < _KEPT_ANSWERS:
            self._answers.append(reading.answer[: _QUOTED_CHARACTERS + 1])
        if not reading.beside and said not in self._on_shelf:
            if self._shelf.add(reading.line, near_text(reading)):
                self._on_shelf.add(said)
            else:
                self.left_out += 1

    def faults(self) -> Iterator[Fault]:
        """Copies, near copies and conflicting answers, each in the order of lines."""
        yield from self._copies()
        yield from self._near_copies()
        yield from self._conflicts()

    def _copies(self) -> Iterator[Fault]:
        for i, first in _later_ones(self._said):
            exact = self._raw[i] == self._raw[first]
            how = "byte for byte" if exact else "but for case, spaces or how its JSON is written"
            message = f"the same as line {self._lines[first]}, {how}; one of them is enough"
            yield Fault("JSL602", message, self._lines[i])

    def _near_copies(self) -> Iterator[Fault]:
        lines = self._shelf.lines
        for i, j in near_texts(self._shelf.texts):
            message = (
                f"nearly the same as line {lines[j]}: prompt and answer differ in a few "
                "characters; expected examples that differ in what they teach"
            )
            yield Fault("JSL603", message, lines[i])

    def _conflicts(self) -> Iterator[Fault]:
        for i, first in _later_ones(self._asked):
            if self._answered[i] == self._answered[first]:
                continue
            here, there = (
                f" {quoted(self._answers[at], _QUOTED_CHARACTERS)}"
                if at < len(self._answers)
                else ""
                for at in (i, first)
            )
            message = (
                f"the answer{here} to a prompt that has the answer{there} in line "
                f"{self._lines[first]}; expected one answer to one prompt"
            )
            yield Fault("JSL604", message, self._lines[i])


def near_text(reading: Reading) -> NearText:
    """What is compared of an example to find near copies."""
    return NearText(reading.asked, f"{reading.answered}\n{reading.rejected}".rstrip())


def _later_ones(hashes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(i, j) of every element i that equals an earlier one, j being the first of them."""
    first = dict.fromkeys((a for a, b in pairwise(sorted(hashes)) if a == b), -1)
    if not first:
        return
    for i, value in enumerate(hashes):
        j = first.get(value)
        if j == -1:
            first[value] = i
        elif j is not None:
            yield i, j

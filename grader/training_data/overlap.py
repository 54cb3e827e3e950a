"""Questions that stand in two sets that should have none in common (JSL605)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from heapq import merge
from operator import attrgetter
from typing import Final

from grader.training_data.examples import Example
from grader.training_data.faults import Fault
from grader.training_data.near import NEAR_MAX_TEXTS, NearShelf, NearText, near_texts
from grader.training_data.reading import Reading, read

OVERLAP_NEAR_MAX_PROMPTS: Final = NEAR_MAX_TEXTS // 2  # of either file compared for near copies


def overlap(examples: Iterable[Example], others: Iterable[Example]) -> Iterator[Fault]:
    """A fault for each example whose prompt, in folded form, is that of one of the others.

    Prompts that are nearly the same count as well, among the first OVERLAP_NEAR_MAX_PROMPTS of
    either file; system texts do not count. Each file is read once. Memory: about 130 bytes for
    each of `others`, and 12 for each example that is found.
    """
    known = _Prompts(others)
    unlike = NearShelf(OVERLAP_NEAR_MAX_PROMPTS)
    found = array("I")  # line, line of the other, whether the answers are equal
    for reading in _asking(examples):
        at = known.places.get(_prompt(reading))
        if at is not None:
            same = known.answers[at] == hash(reading.answered)
            found.extend((reading.line, known.lines[at], same))
        elif not reading.beside:
            unlike.add(reading.line, NearText(reading.asked))
    yield from merge(_equal(found), _nearly(unlike, known.shelf), key=attrgetter("line"))


class _Prompts:
    """The prompts of a file: `places` has the first of each by its hash."""

    def __init__(self, examples: Iterable[Example]) -> None:
        self.places: dict[int, int] = {}
        self.lines = array("I")
        self.answers = array("q")
        self.shelf = NearShelf(OVERLAP_NEAR_MAX_PROMPTS)
        for reading in _asking(examples):
            prompt = _prompt(reading)
            if prompt in self.places:
                continue
            self.places[prompt] = len(self.lines)
            self.lines.append(reading.line)
            self.answers.append(hash(reading.answered))
            if not reading.beside:
                self.shelf.add(reading.line, NearText(reading.asked))


def _asking(examples: Iterable[Example]) -> Iterator[Reading]:
    return (reading for example in examples if (reading := read(example)).asked)


def _prompt(reading: Reading) -> int:
    return hash((reading.asked, reading.beside))


def _equal(found: array[int]) -> Iterator[Fault]:
    for line, other, same in zip(found[::3], found[1::3], found[2::3], strict=True):
        answer = "with the same answer" if same else "with another answer"
        message = f"the prompt also stands in line {other} of the other file, {answer}"
        yield Fault("JSL605", message, line)


def _nearly(ours: NearShelf, theirs: NearShelf) -> Iterator[Fault]:
    known = len(theirs.texts)
    for i, j in near_texts(theirs.texts + ours.texts, known):
        message = f"nearly the same prompt stands in line {theirs.lines[j]} of the other file"
        yield Fault("JSL605", message, ours.lines[i - known])

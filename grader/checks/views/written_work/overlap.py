"""Words that a document shares, in the same order, with other texts: the passages side by side.

The time is linear in the length of the texts: each run of `RUN_WORDS` words is looked up once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

RUN_WORDS: Final = 8
"""How many words in a row make a copy; fewer are met by chance."""
_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Source:
    """A text that others may have copied from; `name` says whose or which it is."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Copy:
    """`text[start:end]` of the document has the words of `text[source_start:source_end]` there."""

    start: int
    end: int
    source: str
    source_start: int
    source_end: int
    words: int


class Sources:
    """Texts to compare documents with, indexed once. Memory: about 150 bytes a word."""

    def __init__(self, sources: Iterable[Source]) -> None:
        """Of words that several sources hold, the first source counts."""
        self._sources = tuple(sources)
        self._words = [_words(source.text) for source in self._sources]
        self._places: dict[tuple[str, ...], tuple[int, int]] = {}
        for number, words in enumerate(self._words):
            for at in range(len(words) - RUN_WORDS + 1):
                run = tuple(word for word, _, _ in words[at : at + RUN_WORDS])
                self._places.setdefault(run, (number, at))

    def copies(self, text: str) -> tuple[Copy, ...]:
        """The longest shared runs from left to right; they do not overlap."""
        words = _words(text)
        found = []
        at = 0
        while at <= len(words) - RUN_WORDS:
            place = self._places.get(tuple(word for word, _, _ in words[at : at + RUN_WORDS]))
            if place is None:
                at += 1
                continue
            number, there = place
            theirs = self._words[number]
            length = _shared(words, at, theirs, there)
            found.append(
                Copy(
                    start=words[at][1],
                    end=words[at + length - 1][2],
                    source=self._sources[number].name,
                    source_start=theirs[there][1],
                    source_end=theirs[there + length - 1][2],
                    words=length,
                )
            )
            at += length
        return tuple(found)


def covered(copies: Sequence[Copy], start: int, end: int) -> int:
    """How many characters from `start` to `end` are copied."""
    return sum(max(0, min(end, copy.end) - max(start, copy.start)) for copy in copies)


def _words(text: str) -> list[tuple[str, int, int]]:
    """Folded words, and where each starts and ends."""
    return [(word[0].casefold(), word.start(), word.end()) for word in _WORD.finditer(text)]


def _shared(
    words: list[tuple[str, int, int]], at: int, theirs: list[tuple[str, int, int]], there: int
) -> int:
    length = RUN_WORDS
    while (
        at + length < len(words)
        and there + length < len(theirs)
        and words[at + length][0] == theirs[there + length][0]
    ):
        length += 1
    return length

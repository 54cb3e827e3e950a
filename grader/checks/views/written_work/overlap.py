"""Words that a document shares, in the same order, with other texts: the passages side by side.

The time is linear in the length of the texts: each run of `RUN_WORDS` words is looked up once.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
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


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text as they are compared, and where each stands: some 16 bytes a word."""

    folded: tuple[str, ...]
    starts: array[int]
    ends: array[int]

    @classmethod
    def of(cls, text: str) -> Words:
        """All words of the text."""
        found = list(_WORD.finditer(text))
        return cls(
            tuple(sys.intern(word[0].casefold()) for word in found),
            array("L", [word.start() for word in found]),
            array("L", [word.end() for word in found]),
        )

    def __len__(self) -> int:
        return len(self.folded)

    def run(self, at: int) -> tuple[str, ...]:
        """The `RUN_WORDS` words from this one on."""
        return self.folded[at : at + RUN_WORDS]

    def in_common(self, at: int, theirs: Words, there: int) -> int:
        """How many words are the same from these places on."""
        pairs = zip(islice(self.folded, at, None), islice(theirs.folded, there, None), strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


class Sources:
    """Texts to compare documents with, indexed once. Memory: about 150 bytes a word."""

    def __init__(self, sources: Iterable[Source]) -> None:
        """Of words that several sources hold, the first source counts."""
        self._sources = tuple(sources)
        self._words = [Words.of(source.text) for source in self._sources]
        self._places: dict[tuple[str, ...], tuple[int, int]] = {}
        for number, words in enumerate(self._words):
            for at in range(len(words) - RUN_WORDS + 1):
                self._places.setdefault(words.run(at), (number, at))

    def copies(self, text: str) -> tuple[Copy, ...]:
        """The longest shared runs from left to right; they do not overlap."""
        words = Words.of(text)
        found = []
        at = 0
        while at <= len(words) - RUN_WORDS:
            place = self._places.get(words.run(at))
            if place is None:
                at += 1
                continue
            number, there = place
            theirs = self._words[number]
            length = words.in_common(at, theirs, there)
            found.append(
                Copy(
                    start=words.starts[at],
                    end=words.ends[at + length - 1],
                    source=self._sources[number].name,
                    source_start=theirs.starts[there],
                    source_end=theirs.ends[there + length - 1],
                    words=length,
                )
            )
            at += length
        return tuple(found)


def covered(copies: Sequence[Copy], start: int, end: int) -> int:
    """How many characters from `start` to `end` are copied."""
    return sum(max(0, min(end, copy.end) - max(start, copy.start)) for copy in copies)

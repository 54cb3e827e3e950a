"""Passages that the texts of a class have in common, beyond what everybody was given.

The time is linear in the length of all texts, as in `overlap`. Each text's beginning counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from grader.checks.views.written_work.overlap import RUN_WORDS, Sources, Words

MAX_CHARACTERS: Final = 60_000  # of one text: 20 pages
_COMPARED: Final = 20  # places of a run that are looked at; a whole class may share a quotation
_PLACE_BITS: Final = 24  # of a number that holds (text, word): more words than characters are read


@dataclass(frozen=True, slots=True)
class ClassText:
    """What a student submitted as one deliverable; `title` names it."""

    student: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where a passage stands, too, and how it reads there."""

    student: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class SharedPassage:
    """`text[start:end]` of a document stands in texts of other students, too.

    `others` are those with most of it first, one place each.
    """

    start: int
    end: int
    words: int
    others: tuple[Elsewhere, ...]


class ClassTexts:
    """All texts of a class, indexed once. Memory: about 150 bytes a word."""

    def __init__(self, texts: Iterable[ClassText], given: Sources) -> None:
        """What stands in `given` is shared by everybody and counts for nothing."""
        self._given = given
        self._texts: list[ClassText] = []
        self._words: list[Words] = []
        self._places: dict[int, list[int] | int] = {}
        for text in texts:
            self._add(text)

    def _add(self, text: ClassText) -> None:
        words = Words.of(text.text[:MAX_CHARACTERS])
        number = len(self._texts)
        self._texts.append(text)
        self._words.append(words)
        for at, run in self._own_runs(text.text, words):
            place = number << _PLACE_BITS | at
            held = self._places.setdefault(run, place)
            if isinstance(held, list):
                held.append(place)
            elif held >> _PLACE_BITS != number:  # once a text is enough
                self._places[run] = [held, place]

    def shared(self, student: str, text: str) -> tuple[SharedPassage, ...]:
        """What this student's text has in common with others', from left to right."""
        words = Words.of(text[:MAX_CHARACTERS])
        found = []
        end = 0
        for at, run in self._own_runs(text, words):
            if at < end:
                continue
            others = self._others(student, words, at, run)
            if others:
                length = max(size for size, _ in others)
                end = at + length
                found.append(
                    SharedPassage(
                        start=words.starts[at],
                        end=words.ends[end - 1],
                        words=length,
                        others=tuple(place for _, place in others),
                    )
                )
        return tuple(found)

    def _own_runs(self, text: str, words: Words) -> Iterator[tuple[int, int]]:
        """(word, hash of the words from there on) of each run without a word of what was given."""
        given = self._given.copies(text[:MAX_CHARACTERS])
        copy = 0
        free = 0  # words in a row, up to this one, that nobody was given
        for at, (start, end) in enumerate(zip(words.starts, words.ends, strict=True)):
            while copy < len(given) and given[copy].end <= start:
                copy += 1
            free = 0 if copy < len(given) and given[copy].start < end else free + 1
            if free >= RUN_WORDS:
                first = at - RUN_WORDS + 1
                yield first, hash(words.run(first))

    def _others(self, student: str, words: Words, at: int, run: int) -> list[tuple[int, Elsewhere]]:
        """(words in common, place) of each other student, most words first."""
        held = self._places.get(run, [])
        best: dict[str, tuple[int, Elsewhere]] = {}
        for place in (held if isinstance(held, list) else [held])[: 2 * _COMPARED]:
            number, there = place >> _PLACE_BITS, place & (1 << _PLACE_BITS) - 1
            source = self._texts[number]
            if source.student == student or len(best) == _COMPARED:
                continue
            theirs = self._words[number]
            length = words.in_common(at, theirs, there)
            if length >= RUN_WORDS and length > best.get(source.student, (0,))[0]:
                said = source.text[theirs.starts[there] : theirs.ends[there + length - 1]]
                best[source.student] = length, Elsewhere(source.student, source.title, said)
        return sorted(best.values(), key=lambda one: -one[0])

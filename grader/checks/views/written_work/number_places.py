"""Each number of a passage with the words that say what it is about.

In prose these are its sentence; in a table the labels of its row and column. A unit that is said
once for several numbers counts for all of them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import attrgetter
from typing import Final

from grader.checks.views.written_work import claim_words as words
from grader.checks.views.written_work.comparison_words import Vocabulary
from grader.checks.views.written_work.number_units import Dimension, Value
from grader.checks.views.written_work.numbers_in_text import Number, Shape, in_unit, numbers
from grader.checks.views.written_work.passages import Passage, rows, sentences

NEAR: Final = 60  # characters within which a word speaks of a number
NOWHERE: Final = 10_000
_CLAUSES: Final = re.compile(r"[;,](?=\s)|\s(?:and|but|while|whereas|where)\s")
_CLAUSE: Final = 25  # characters that the end of a clause between a number and a word counts for
_AFTER: Final = 8  # and that a word counts for that stands behind the number
_ABOVE: Final = 2_000  # characters before a sentence that say what it goes on about
_ELLIPSIS: Final = 40  # characters between two numbers of one statement: "OpenAI 80 and DSPy 65"


@dataclass(frozen=True, slots=True)
class Place:
    """A number with the words before and after it in its sentence, or those of its cell.

    `above` stands before the sentence: the rest of the passage and the headings. `labels` are those
    of its row and column in a table. `phase` is "before" or "after" where it is one of two in "from
    this to that". `approach` is the one whose place it has in a list. `repeats`: it says the number
    before it in another way; `continues`: it is the next of the same kind, of another approach.
    """

    number: Number
    before: str
    after: str
    above: str
    labels: tuple[str, ...] = ()
    phase: str = ""
    approach: str = ""
    repeats: bool = False
    continues: bool = False

    @property
    def tabular(self) -> bool:
        """Whether it stands in a table."""
        return bool(self.labels)


class Places:
    """Finds the numbers of a document's passages and the words beside them."""

    def __init__(self, vocabulary: Vocabulary, comma_decimal: bool) -> None:
        self._patterns = {id: words.cue(*cues) for id, cues in vocabulary.approaches.items()}
        self._comma = comma_decimal

    def mentions(self, text: str) -> list[tuple[int, int, str]]:
        """Where approaches are named: start, end and which, from left to right."""
        return sorted(
            (match.start(), match.end(), id)
            for id, pattern in self._patterns.items()
            for match in pattern.finditer(text)
        )

    def in_prose(self, passage: Passage) -> Iterator[Place]:
        """The numbers of a paragraph, an item or a heading."""
        text = passage.text
        found = list(numbers(text, self._comma))
        headings = "\n".join(passage.headings)
        at = 0
        for start, sentence in sentences(passage):
            end = start + len(sentence)
            here = []
            while at < len(found) and found[at].start < end:
                here.append(found[at])
                at += 1
            above = text[max(0, start - _ABOVE) : start]
            yield from self._sentence(text, start, end, here, f"{headings}\n{above}")

    def _sentence(
        self, text: str, start: int, end: int, here: Sequence[Number], above: str
    ) -> Iterator[Place]:
        phases = _phases(text, here)
        listed = self._listed(text, start, here, above)
        price: Number | None = None
        previous: Number | None = None
        for k, number in enumerate(here):
            between = "" if previous is None else text[previous.stop : number.start]
            continues = previous is not None and self._continues(between)
            if number.is_bare:
                if continues and previous is not None:
                    number = _like(number, previous)
                number = _with_unit_beside(text, number, price, here[k + 1 : k + 2])
            if number.dimension is Dimension.USD:
                price = number
            first, approach = listed.get(k, (number.start, ""))
            yield Place(
                number,
                text[start:first],
                text[number.stop : end],
                above,
                phase=phases.get(k, ""),
                approach=approach,
                repeats=previous is not None and words.APPOSITION.fullmatch(between) is not None,
                continues=continues,
            )
            previous = number

    def _continues(self, between: str) -> bool:
        """Whether nothing but another approach's name stands between two numbers."""
        if len(between) > _ELLIPSIS:
            return False
        named = self.mentions(between)
        if not named:
            return False
        ahead, behind = between[: named[0][0]], between[named[-1][1] :]
        return bool(words.NEXT_ONE.fullmatch(ahead) and words.HAS.fullmatch(behind))

    def _listed(
        self, text: str, start: int, here: Sequence[Number], above: str
    ) -> Mapping[int, tuple[int, str]]:
        """Numbers in a bare list, "9, 3 and 1", that stand for the approaches in the same order.

        For each, where its list starts, and its approach.
        """
        found: dict[int, tuple[int, str]] = {}
        k = 0
        while k < len(here):
            last = k
            while last + 1 < len(here) and words.THEN.fullmatch(
                text[here[last].stop : here[last + 1].start]
            ):
                last += 1
            size = last - k + 1
            first = here[k].start
            if size >= 2 and not self.mentions(text[start:first]):
                names = list(dict.fromkeys(id for _, _, id in self.mentions(above)))
                if len(names) != size and len(self._patterns) == size:
                    names = list(self._patterns)
                if len(names) == size:
                    found.update({k + n: (first, name) for n, name in enumerate(names)})
            k = last + 1
        return found

    def in_table(self, passage: Passage) -> Iterator[Place]:
        """The numbers of a table; those of its labels have no values."""
        table = rows(passage)
        headings = "\n".join(passage.headings)
        width = max((len(row) for row in table), default=0)
        head = [cell.text.strip() for cell in table[0]] if table else []
        if len(head) == width - 1:
            head.insert(0, "")
        is_head = not any(
            cell[:1].isdigit() or cell[:1] in (".", "$", "~") for cell in head[1:] if cell
        )
        at = 0
        for number in numbers(passage.text, self._comma):
            while at + 1 < len(table) and table[at + 1][0].start <= number.start:
                at += 1
            row = table[at] if table else []
            if not row or row[0].start > number.start:
                yield Place(replace(number, values=()), "", "", headings)
                continue
            column = bisect_right(row, number.start, key=attrgetter("start")) - 1
            if column == 0 or (at == 0 and is_head):
                yield Place(replace(number, values=()), "", "", headings)
                continue
            label = row[0].text.strip()
            above = head[column] if is_head and column < len(head) else ""
            cell = row[column]
            beside = row[column + 1].text.strip() if column + 1 < len(row) else ""
            for unit in (above, label, beside):
                number = in_unit(number, unit)
            yield Place(
                number,
                f"{label} | {above} | {passage.text[cell.start : number.start]}",
                passage.text[number.stop : cell.start + len(cell.text)],
                headings,
                labels=(label, above),
            )


@dataclass(frozen=True, slots=True)
class Claim:
    """What the words allow, the likeliest path first, and the values in that quantity's unit.

    `tentative`: nothing is claimed unless the number agrees.
    """

    paths: tuple[str, ...]
    values: tuple[Value, ...]
    tentative: bool = False


class Subject:
    """Of which approach numbers speak, and which of its quantities are measured."""

    def __init__(self, vocabulary: Vocabulary, places: Places) -> None:
        self.approaches = tuple(vocabulary.approaches)
        self.facts = vocabulary.facts
        self.mentions = places.mentions

    def approach(self, place: Place) -> tuple[str, bool]:
        """The approach that a number speaks of, or "", and whether its own sentence says so."""
        if place.approach:
            return place.approach, True
        behind = self.mentions(clause(place.after))
        ahead_of = place.after[: behind[0][0]] if behind and not place.tabular else None
        if ahead_of is not None and words.OF_APPROACH.fullmatch(ahead_of):
            return behind[0][2], True
        if ahead := self.mentions(place.before):
            return ahead[-1][2], True
        if behind:
            return behind[0][2], True
        above = self.mentions(place.above)
        return (above[-1][2], False) if above else ("", False)

    def paths(self, name: str) -> tuple[str, ...]:
        """Every path that is measured under this name."""
        return tuple(fact for fact in self.facts if fact.endswith(f".{name}"))

    def only(self, place: Place, name: str, values: tuple[Value, ...]) -> Claim | None:
        """A quantity that some approaches alone have; nothing where only others are spoken of."""
        paths = self.paths(name)
        approach, own = self.approach(place)
        named = {id for _, _, id in self.mentions(f"{place.before} {place.after}")}
        fitting = tuple(path for path in paths if path.split(".")[0] in named)
        if f"{approach}.{name}" in paths:
            return Claim((f"{approach}.{name}",), values)
        if own and not fitting:
            return None
        return Claim(fitting or paths, values)


def nearest(pattern: re.Pattern[str], place: Place) -> int:
    """How far the nearest of these words is, in characters; `NOWHERE` where there is none.

    Ends of clauses before the number count as many characters; behind it, the first one ends all.
    """
    best = NOWHERE
    for match in pattern.finditer(place.before):
        between = place.before[match.end() :]
        best = min(best, len(between) + _CLAUSE * len(_CLAUSES.findall(between)))
    for match in pattern.finditer(clause(place.after)):
        between = place.after[: match.start()]
        best = min(best, len(between) + (0 if between.strip() in ("", "(") else _AFTER))
    return best


def clause(after: str) -> str:
    """What stands behind a number until the clause ends, or a bracket with another number opens."""
    return words.NEXT_NUMBER.split(_CLAUSES.split(after, maxsplit=1)[0], maxsplit=1)[0]


def last_of(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match of a pattern."""
    found = None
    for match in pattern.finditer(text):
        found = match
    return found


def _like(number: Number, other: Number) -> Number:
    """A bare number as one of the kind of the number before it."""
    if other.shape is Shape.FRACTION and other.whole and number.values:
        shares = tuple(Value(v.value / other.whole, 0.00051) for v in number.values)
        return replace(number, shape=Shape.FRACTION, values=shares, whole=other.whole)
    if other.dimension is Dimension.POINTS or other.shape is Shape.PERCENT:
        return in_unit(number, "%" if other.shape is Shape.PERCENT else " points")
    return number


def _phases(text: str, here: Sequence[Number]) -> dict[int, str]:
    """Of numbers in "from one to another", which is which."""
    found = {}
    for k, (one, other) in enumerate(pairwise(here)):
        between = text[one.end : other.start]
        arrow = words.ARROW.fullmatch(between) is not None
        opened = words.FROM.search(text[max(0, one.start - 40) : one.start])
        joined = words.CONNECTED.fullmatch(between) is not None
        if arrow or (joined and (opened or between.strip() == "to")):
            found[k], found[k + 1] = "before", "after"
    return found


def _with_unit_beside(
    text: str, number: Number, price: Number | None, following: Sequence[Number]
) -> Number:
    """A bare number with the unit of the next one, or of a price before it: "3 cents, then 5"."""
    if following and words.SAME_UNIT.fullmatch(text[number.end : following[0].start]):
        other = following[0]
        return in_unit(number, "%" if other.shape is Shape.PERCENT else other.unit)
    if price is not None and words.ENDS_THERE.match(text[number.end :]):
        ahead = text[max(0, number.start - 20) : number.start]
        if not words.PER.search(ahead) and not words.NO_PRICE.search(ahead):
            return in_unit(number, price.unit)
    return number

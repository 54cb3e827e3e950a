"""What each number of a comparison seems to claim, held against what was measured.

A number's unit and the words beside it say of which quantity it speaks; the approach is the one
named last before it. Where the words leave a choice, the quantity that the number agrees with is
taken, so that a doubt never counts against the writer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from grader.checks.views.written_work import claim_words as words
from grader.checks.views.written_work.aspects import is_on_topic, section
from grader.checks.views.written_work.comparison_words import Vocabulary
from grader.checks.views.written_work.measured import Measured, Verdict, verdict
from grader.checks.views.written_work.number_places import (
    NEAR,
    Claim,
    Place,
    Places,
    Subject,
    last_of,
    nearest,
)
from grader.checks.views.written_work.number_units import Dimension
from grader.checks.views.written_work.numbers_in_text import Number, Shape, is_comma_decimal
from grader.checks.views.written_work.overlap import Copy, covered
from grader.checks.views.written_work.passages import Kind, Passage, ordinal
from grader.checks.views.written_work.quantity_claims import HOUR, QuantityClaims
from grader.checks.views.written_work.score_claims import ScoreClaims

_CLAUSES: Final = re.compile(r"[;,](?=\s)|\s(?:and|but|while|whereas|where)\s")
_CLAUSE: Final = 25  # characters that the end of a clause between a number and a word counts for
_AFTER: Final = 8  # and that a word counts for that stands behind the number
_NEAR: Final = 60  # characters within which a word speaks of a number
_NOWHERE: Final = 10_000
_HOUR: Final = 3600


@dataclass(frozen=True, slots=True)
class NumberFact:
    """A number of the text with what it claims (see `Measured.fact`; or None), and the verdict."""

    start: int
    end: int
    text: str
    claims: str | None
    fact: float | None
    verdict: Verdict


def numbers_of(
    text: str,
    document: Sequence[Passage],
    vocabulary: Vocabulary,
    measured: Measured,
    spoken: Sequence[frozenset[str]],
    copies: Sequence[Copy] = (),
) -> Iterator[NumberFact]:
    """Every number outside of code, in order, with its claim and the verdict on it.

    `spoken` are the aspects that each passage speaks of.
    """
    reader = _Reader(text, vocabulary, measured, is_on_topic(document, vocabulary))
    for passage, aspects in zip(document, spoken, strict=True):
        if passage.kind is not Kind.CODE:
            yield from reader.read(passage, aspects, copies)


class _Reader:
    """Reads the numbers of one document."""

    def __init__(
        self, text: str, vocabulary: Vocabulary, measured: Measured, on_topic: bool
    ) -> None:
        self._vocabulary, self._measured, self._on_topic = vocabulary, measured, on_topic
        self._places = Places(vocabulary, is_comma_decimal(text))
        self._subject = Subject(vocabulary, self._places)
        self._quantities = QuantityClaims(self._subject)
        self._scores = ScoreClaims(self._subject, text)

    def read(
        self, passage: Passage, aspects: frozenset[str], copies: Sequence[Copy]
    ) -> Iterator[NumberFact]:
        """The numbers of one passage."""
        skip = ordinal(passage)
        about = aspects or section(passage, self._vocabulary)
        allowed: set[str] = {
            aspect.claims for aspect in self._vocabulary.aspects if aspect.id in about
        }
        silent = passage.kind is Kind.HEADING or allowed == {"none"} or not self._on_topic
        table = passage.kind is Kind.TABLE
        earlier: dict[Dimension, str] = {}
        last: str | None = None
        for place in self._places.in_table(passage) if table else self._places.in_prose(passage):
            number = place.number
            if number.end <= skip:
                continue
            start, end = passage.start + number.start, passage.start + number.end
            claim = None
            own = not covered(copies, start, end) and not _is_of_others(place)
            if not silent and number.values and own:
                claim = self._same(place, last) or self._claim(place, allowed, last)
                claim = claim or self._repeated(place, earlier) or self._tentative(place)
            path, values = None, number.values
            if claim is not None and claim.paths:
                path, values = self._likeliest(number, claim), claim.values
            if path is not None and number.dimension in (Dimension.SECONDS, Dimension.KIB):
                earlier[number.dimension] = path
            last = path
            fact = None if path is None else self._measured.fact(path)
            judged = verdict(number, values, path, self._measured)
            yield NumberFact(start, end, number.text, path, fact, judged)

    def _likeliest(self, number: Number, claim: Claim) -> str | None:
        """The first path that the number agrees with, or else the first of all."""
        for path in claim.paths:
            if verdict(number, claim.values, path, self._measured) is Verdict.AGREES:
                return path
        return None if claim.tentative else claim.paths[0]

    def _same(self, place: Place, last: str | None) -> Claim | None:
        """What the number before it claims, said in another way: "14 points, or 7 questions"."""
        if last is None or not place.repeats:
            return None
        number = place.number
        score = re.search(r"\.(?:before|after)\b", last) is not None
        if score and number.dimension in (Dimension.NONE, Dimension.POINTS, Dimension.OTHER):
            return Claim((last,), self._scores.readings(replace(number, dimension=Dimension.NONE)))
        return None

    def _repeated(self, place: Place, earlier: dict[Dimension, str]) -> Claim | None:
        """What the last number in this unit claimed, where no word says anything else."""
        number = place.number
        if number.dimension not in earlier:
            return None
        if number.dimension is Dimension.SECONDS and number.values[0].value >= HOUR:
            return None
        if number.dimension is Dimension.KIB and nearest(words.OTHER_BYTES, place) <= NEAR:
            return None
        return Claim((earlier[number.dimension],), number.values)

    def _tentative(self, place: Place) -> Claim | None:
        """Any quantity in the number's unit, if only it agrees."""
        number = place.number
        names = {
            Dimension.KIB: ("peak_mib", "adapter_kib"),
            Dimension.SECONDS: ("training_seconds", "seconds_per_query"),
        }.get(number.dimension, ())
        if not names or (number.values[0].value >= HOUR and number.dimension is Dimension.SECONDS):
            return None
        paths = tuple(path for name in names for path in self._subject.paths(name))
        return Claim(paths, number.values, tentative=True)

    def _claim(self, place: Place, allowed: set[str], last: str | None) -> Claim | None:
        number, scores = place.number, "scores" in allowed
        if number.dimension not in (Dimension.NONE, Dimension.POINTS):
            return self._quantities.measured(place)
        if number.shape is Shape.FACTOR or words.FACTOR_OF.search(place.before):
            of = words.FACTOR_OF.search(place.before) or words.BY.search(place.before)
            if not of and not words.RATIO_AFTER.match(place.after):
                return None
            if words.PRICE.search(f"{place.before} {place.after}"):
                return self._quantities.prices(place, number.values)
            return self._scores.ratio(place, scores)
        if number.shape in (Shape.PERCENT, Shape.FRACTION):
            if ratio := self._quantities.share_of_price(place):
                return ratio
        elif number.dimension is Dimension.NONE and (counted := self._quantities.counted(place)):
            return counted
        if allowed and allowed <= {"none", "no scores"}:
            return None
        return self._scores.score(place, scores, last)


def _is_of_others(place: Place) -> bool:
    """Whether a number is somebody else's: of a paper, a price list, a friend."""
    named = last_of(words.OTHERS, place.before)
    return named is not None and words.OWN.search(place.before[named.end() :]) is None

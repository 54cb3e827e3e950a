"""Claims of numbers with a unit, or of things counted: times, prices, sizes, speeds, queries."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from grader.checks.views.written_work import claim_words as words
from grader.checks.views.written_work.number_places import (
    NEAR,
    Claim,
    Place,
    Subject,
    clause,
    last_of,
    nearest,
)
from grader.checks.views.written_work.number_units import Dimension, Value
from grader.checks.views.written_work.numbers_in_text import Shape

HOUR: Final = 3600


class QuantityClaims:
    """What numbers say of times, prices, sizes, speeds and counts."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def measured(self, place: Place) -> Claim | None:
        """What a number with a unit claims."""
        values = place.number.values
        match place.number.dimension:
            case Dimension.SECONDS:
                return self._seconds(place)
            case Dimension.USD:
                return self._money(place)
            case Dimension.KIB:
                return self._bytes(place)
            case Dimension.TOKENS_PER_SECOND:
                return self._subject.only(place, "tokens_per_second", values)
            case Dimension.QUERIES_PER_SECOND if self._subject.approach(place)[0]:
                return self._subject.only(place, "seconds_per_query", _inverse(values))
            case _:
                return None

    def _seconds(self, place: Place) -> Claim | None:
        values = place.number.values
        if words.ONE_TOKEN.search(place.before[-40:]):
            return self._subject.only(place, "tokens_per_second", _inverse(values))
        latency, training = nearest(words.LATENCY, place), nearest(words.TRAINING, place)
        approach, own = self._subject.approach(place)
        answers = f"{approach}.seconds_per_query" in self._subject.facts
        if values[0].value >= HOUR and nearest(words.TRAINING_PRICE, place) > 25:
            return None  # somebody's hours and days, not a program's
        if answers and own:
            slow = values[0].value >= 60 and latency > 40
            return None if slow else Claim((f"{approach}.seconds_per_query",), values)
        if not own and words.PRICE.search(place.before) and latency > 40:
            payers = [path.split(".")[0] for path in self._subject.paths("training_usd")]
            return Claim(tuple(f"{payer}.training_seconds" for payer in payers), values)
        if latency < min(training, NEAR):
            return None if own else Claim(self._subject.paths("seconds_per_query"), values)
        if f"{approach}.training_seconds" in self._subject.facts and (own or training < NEAR):
            others = () if own else self._subject.paths("training_seconds")
            return Claim((f"{approach}.training_seconds", *others), values)
        if training < NEAR:
            return Claim(self._subject.paths("training_seconds"), values)
        return Claim(self._subject.paths("seconds_per_query"), values) if latency < NEAR else None

    def _money(self, place: Place) -> Claim | None:
        values = place.number.values
        if words.PER_TOKENS.match(place.after):
            return None
        training = nearest(words.TRAINING_PRICE, place)
        instead = nearest(words.INSTEAD, replace(place, after=""))
        base, tuned = min(instead, nearest(words.BASE, place)), nearest(words.TUNED, place)
        query = min(nearest(words.PER_QUERY, place), base, tuned)
        if many := words.MANY.search(clause(place.after)) or last_of(words.MANY, place.before):
            query, times = 0, _many(many[0])
            values = tuple(Value(v.value / times, v.slack / times) for v in values)
        if training < query or min(training, query) > 90:
            return self._subject.only(place, "training_usd", values)
        tuned_price = self._subject.only(place, "usd_per_query", values)
        base_price = self._subject.only(place, "base_usd_per_query", values)
        if tuned_price is None or base_price is None:
            return None
        if words.SAVED.search(place.before):
            return Claim((f"{tuned_price.paths[0]}-{base_price.paths[0]}",), values)
        if place.phase:
            return base_price if place.phase == "before" else tuned_price
        if base == tuned:
            return Claim(tuned_price.paths + base_price.paths, values)
        return base_price if base < tuned else tuned_price

    def _bytes(self, place: Place) -> Claim | None:
        memory, size = nearest(words.MEMORY, place), nearest(words.SIZE, place)
        other = nearest(words.OTHER_BYTES, place)
        values = place.number.values
        if (other < 40 and other <= min(memory, size)) or words.CARD_AFTER.match(place.after):
            return None
        if min(memory, size) > 90:
            approach, own = self._subject.approach(place)
            paths = (*self._subject.paths("peak_mib"), *self._subject.paths("adapter_kib"))
            fitting = tuple(path for path in paths if path.startswith(f"{approach}."))
            return Claim(fitting, values) if own and fitting else None
        names = ["peak_mib", "adapter_kib"] if memory <= size else ["adapter_kib", "peak_mib"]
        claim = self._subject.only(place, names[0], values)
        if claim is None or abs(memory - size) > 15:
            return claim
        return Claim(claim.paths + self._subject.paths(names[1]), values)

    def counted(self, place: Place) -> Claim | None:
        """Parameters, or queries until the training is paid."""
        number = place.number
        value = number.values[0].value
        if value < 2 or words.PER_TIME.match(place.after) or words.PER.search(place.before):
            return None
        near = replace(place, before=place.before[-90:], after=place.after[:60])
        if value >= 100 and nearest(words.PARAMETERS, near) < 30:
            own = nearest(words.TRAINABLE, near) < 90 or self._subject.approach(place)[1]
            claim = self._subject.only(place, "trainable_parameters", number.values)
            return claim and replace(claim, tentative=not own)
        counted = place.tabular or words.COUNTED.match(place.after)
        far = nearest(words.BREAK_EVEN, place)
        if counted and words.BREAK_EVEN.search(place.after):
            far = 0
        if far < (90 if counted else 40) and value >= (10 if number.in_digits else 50):
            return self._subject.only(place, "break_even_queries", number.values)
        return None

    def share_of_price(self, place: Place) -> Claim | None:
        """How much dearer a query is, or which part of a price it costs."""
        if not words.PRICE.search(f"{place.before} {place.after}"):
            return None
        values = place.number.values
        if place.number.shape is Shape.PERCENT:
            change = words.DEARER.match(place.after)
            if change is None:
                return None
            sign = 1 if change["more"] else -1
            values = tuple(Value(1 + sign * v.value, v.slack) for v in values)
        elif not words.OF_WHAT.match(place.after):
            return None
        return self.prices(place, values)

    def prices(self, place: Place, values: tuple[Value, ...]) -> Claim | None:
        """How the prices of a query stand to each other."""
        claim = self._subject.only(place, "usd_per_query", values)
        if claim is None:
            return None
        return Claim(tuple(f"{p}/{p.replace('usd', 'base_usd')}" for p in claim.paths), values)


def _many(text: str) -> float:
    digits = re.sub(r"\D", "", text)
    if digits and not re.search(r"[kM]", text):
        return float(digits)
    for word, value in (("million", 1e6), ("ten thousand", 1e4), ("hundred", 100.0)):
        if word in text.casefold():
            return value
    return 1e6 if text.endswith("M") else 1e3


def _inverse(values: Sequence[Value]) -> tuple[Value, ...]:
    return tuple(Value(1 / v.value, v.slack / v.value**2) for v in values if v.value)

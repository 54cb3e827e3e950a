"""The number of queries from which fine-tuning is cheaper than another way to the same answers.

All cost arithmetic is here, free of files: for `finegrade cost`, and for the checks of students'
calculations. Amounts are USD.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from grader.training_data.costs import Rates

_ROUNDING: Final = 1e-9  # of a volume: what floating point leaves of a whole number of queries
_LONGEST_DAYS: Final = 36_500  # a century: later dates say nothing, and overflow in the end


@dataclass(frozen=True, slots=True)
class QueryTokenUsage:
    """Tokens of one query: input, the cached part of it, and output.

    `cached` is a part of `input`, as in the service's own `usage`. Means may be fractions.
    """

    input: float
    output: float
    cached: float = 0.0


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to get answers: its fixed cost, and its cost per query."""

    name: str
    fixed: float
    per_query: float

    def total(self, queries: float) -> float:
        """USD for so many queries."""
        return self.fixed + queries * self.per_query


class BreakEvenRelation(StrEnum):
    """The relation of two ways' costs."""

    ALWAYS = "always"
    FROM = "from"
    UNTIL = "until"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class BreakEven:
    """When one way is no dearer than another, and the volume at which both cost the same.

    `queries` is exact, seldom a whole number; None where the two totals never meet.
    """

    relation: BreakEvenRelation
    queries: float | None = None

    @property
    def first(self) -> int | None:
        """The first whole number of queries from which it always pays; None if there is none."""
        if self.relation is BreakEvenRelation.ALWAYS:
            return 0
        if self.relation is BreakEvenRelation.FROM and self.queries is not None:
            return math.ceil(self.queries * (1 - _ROUNDING))
        return None


@dataclass(frozen=True, slots=True)
class Horizon:
    """Until when there is a tuned model: counted from `today`, at `queries_per_day`.

    `closes` is the last day on which training can start, `retires` the day on which the model and
    its fine-tunes are withdrawn; None where no such day is known.
    """

    today: date
    queries_per_day: float
    retires: date | None = None
    closes: date | None = None

    @property
    def trainable(self) -> bool:
        """Whether training can still start today."""
        open_ = self.closes is None or self.today <= self.closes
        return open_ and (self.retires is None or self.today < self.retires)

    @property
    def days_left(self) -> int | None:
        """Days for which a model trained today is served; None without an end."""
        if not self.trainable:
            return 0
        return None if self.retires is None else (self.retires - self.today).days

    @property
    def queries_left(self) -> float:
        """The number of queries before a model trained today is withdrawn."""
        days = self.days_left
        return math.inf if days is None else days * self.queries_per_day

    def reached(self, queries: float) -> date | None:
        """The day on which so many queries are made; None if that takes more than a century."""
        if queries > _LONGEST_DAYS * self.queries_per_day:
            return None
        days = math.ceil(queries / self.queries_per_day) if queries else 0
        try:
            return self.today + timedelta(days=days)
        except OverflowError:
            return None

    def pays(self, tuned: BreakEven) -> bool:
        """Whether fine-tuning can start and breaks even before the model is withdrawn."""
        return self.trainable and tuned.first is not None and tuned.first <= self.queries_left


def query_cost(usage: QueryTokenUsage, rates: Rates) -> float:
    """What one query costs. Without a price for cached tokens they cost what others do."""
    cached_rate = rates.input if rates.cached is None else rates.cached
    fresh = max(0.0, usage.input - usage.cached)
    written = usage.output * (rates.output or 0.0)
    return (fresh * rates.input + usage.cached * cached_rate + written) / 1e6


def break_even(tuned: Alternative, other: Alternative) -> BreakEven:
    """When `tuned` is no dearer than `other`.

    With equal prompts on the same base a tuned query is the dearer one, and it never pays.
    `until`: the way is cheaper to set up and dearer per query.
    """
    more_fixed = tuned.fixed - other.fixed
    saved = other.per_query - tuned.per_query
    if more_fixed <= 0 <= saved:
        return BreakEven(BreakEvenRelation.ALWAYS)
    if saved == 0 or (more_fixed >= 0 > saved):
        return BreakEven(BreakEvenRelation.NEVER)
    queries = more_fixed / saved
    if math.isinf(queries):  # a saving below what floating point can divide by
        return BreakEven(BreakEvenRelation.NEVER if saved > 0 else BreakEvenRelation.ALWAYS)
    return BreakEven(BreakEvenRelation.FROM if saved > 0 else BreakEvenRelation.UNTIL, queries)

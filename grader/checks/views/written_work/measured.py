"""What was measured of a student's work, and whether a number of a text is true of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from grader.checks.views.written_work.number_units import Dimension, Value
from grader.checks.views.written_work.numbers_in_text import Number, Shape

QUANTITIES: Final[Mapping[str, Dimension]] = {
    "before": Dimension.NONE,
    "after": Dimension.NONE,
    "seconds_per_query": Dimension.SECONDS,
    "training_seconds": Dimension.SECONDS,
    "training_usd": Dimension.USD,
    "usd_per_query": Dimension.USD,
    "base_usd_per_query": Dimension.USD,
    "break_even_queries": Dimension.NONE,
    "peak_mib": Dimension.KIB,
    "adapter_kib": Dimension.KIB,
    "tokens_per_second": Dimension.TOKENS_PER_SECOND,
    "trainable_parameters": Dimension.NONE,
}
"""What can be measured of an approach, and in which dimension a text gives it."""
_SCALES: Final = {"peak_mib": 1024.0}  # KiB in what the quantity is counted in
_PATH: Final = re.compile(r"[a-z_]+\.[a-z_]+")
_ROUNDED: Final = 0.00051  # how far a share that was measured is from its three decimals
_ABOUT: Final = 0.05


class Verdict(StrEnum):
    """How a number of a text stands to what was measured."""

    AGREES = "agrees"
    DIFFERS = "differs"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Measured:
    """`values` by path ("lora.after"): shares from 0 to 1, seconds, USD, MiB, KiB, counts.

    `slack` is how far an honest number may be from a value that was measured on other questions or
    on another machine.
    """

    values: Mapping[str, float]
    slack: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Measured:
        """Of quantities by approach; None is not measured. Raises ValueError for an unknown one."""
        values = {}
        for approach, quantities in facts.items():
            for name, value in (quantities or {}).items():
                if name not in QUANTITIES:
                    raise ValueError(f"{name} is no quantity that is measured")
                if value is not None:
                    values[f"{approach}.{name}"] = float(value)
        return cls(values)

    def fact(self, claim: str) -> float | None:
        """A path's value, or that of a difference "a-b", a ratio "a/b" or a rest "1-a"."""
        for sign in "-/":
            if sign in claim:
                first, second = claim.split(sign)
                one = 1.0 if first == "1" else self.values.get(first)
                other = self.values.get(second)
                if one is None or other is None or (sign == "/" and not other):
                    return None
                return one - other if sign == "-" else one / other
        value = self.values.get(claim)
        return None if value is None else value * _SCALES.get(claim.rpartition(".")[2], 1.0)


def verdict(
    number: Number, readings: Sequence[Value], claim: str | None, measured: Measured
) -> Verdict:
    """Whether one of the number's readings is true of the fact, with the rounding it shows."""
    fact = None if claim is None else measured.fact(claim)
    if claim is None or fact is None:
        return Verdict.NOTHING
    facts = [fact]
    if "-" in claim and not claim.startswith("1-"):
        facts = [abs(fact)]
    elif "/" in claim:
        facts = [fact, *([1 / fact] if fact else [])]
    spread = 2 * _ROUNDED if "-" in claim else 0.0
    spread += sum(measured.slack.get(path, 0.0) for path in _PATH.findall(claim))
    true = any(_true(number, reading, one, spread) for reading in readings for one in facts)
    return Verdict.AGREES if true else Verdict.DIFFERS


def _true(number: Number, reading: Value, fact: float, spread: float) -> bool:
    slack = reading.slack + spread
    if number.hedge or (not number.in_digits and number.shape is Shape.PLAIN):
        slack = max(slack, _ABOUT * abs(reading.value))
    slack *= 1 + 1e-9
    slack += 1e-12
    if number.hedge == "under" and fact <= reading.value:
        return True
    if number.hedge == "over" and fact >= reading.value:
        return True
    return abs(fact - reading.value) <= slack

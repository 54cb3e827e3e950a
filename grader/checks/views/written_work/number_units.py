"""Units of numbers in a text: of time, money, memory, speed; and shares of a hundred."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple


class Dimension(StrEnum):
    """What a unit measures, and the unit that values of it are turned into."""

    NONE = ""
    SECONDS = "s"
    USD = "USD"
    KIB = "KiB"
    TOKENS_PER_SECOND = "tokens/s"
    QUERIES_PER_SECOND = "queries/s"
    POINTS = "points"  # percentage points, as shares
    OTHER = "other"  # a unit of which nothing is measured


class Value(NamedTuple):
    """A value, and how far from it what it was rounded from can lie."""

    value: float
    slack: float

    def times(self, factor: float) -> Value:
        """Both in another unit."""
        return Value(self.value * factor, self.slack * factor)


class Unit(NamedTuple):
    """What a unit looks like behind a number, and the factors that it can stand for."""

    pattern: re.Pattern[str]
    dimension: Dimension
    factors: tuple[float, ...]


PERCENT: Final = re.compile(
    r"[\s\u00a0\u202f-]?(?:%|per[ -]?cent\b|pct\b|prozent\b|pour cent\b)", re.I
)
_GAP: Final = r"[\s\u00a0\u202f-]{0,3}(?:(?:of|a|an|full|long|short|GPU|wall-clock)\s){0,3}"
_PER: Final = r"\s?(?:per|an?|each|every|in(?: (?:one|a))?|by|for|pro|par|por|/)\s?"
_TIMES: Final = {  # seconds
    r"ms|milliseconds?": 1e-3,
    r"s|secs?|seconds?|sek(?:unden)?|secondes?|segundos?": 1,
    r"mins?|minutes?|minuten?|minutos?": 60,
    r"h|hrs?|hours?|stunden?|heures?|horas?": 3_600,
    r"days?": 86_400,
    r"weeks?": 604_800,
}
_BYTES: Final = {  # KiB; people write MB for both, and French ones Mo
    r"kib|kibibytes?": (1,),
    r"kb|kilobytes?|(?-i:[kK]o)": (1, 1000 / 1024),
    r"mib|mebibytes?|(?-i:Mio)": (1024,),
    r"mb|megabytes?|megs?|(?-i:Mo)": (1024, 1e6 / 1024),
    r"gib|gibibytes?|(?-i:Gio)": (1024**2,),
    r"gb|gigabytes?|gigs?|(?-i:Go)": (1024**2, 1e9 / 1024),
}
_MONEY: Final = {  # USD
    r"(?:us[ -]?)?cents?(?!\w)|cts?(?!\w)|\u00a2|centimes?(?!\w)|c(?!\w)": 0.01,
    r"(?:us[ -]?)?dollars?(?!\w)|usd(?!\w)|us\$|\$|bucks?(?!\w)": 1,
    r"millicents?(?!\w)": 1e-5,
}
_SPANS: Final = {  # of a second
    r"s|sec|secs|second|sekunde|seconde|segundo": 1,
    r"min|minute|minuto": 1 / 60,
    r"ms|millisecond": 1_000,
    r"h|hour": 1 / 3_600,
}
_OTHER: Final = (
    r"eur(?:os?)?|\u20ac|pounds?|\u00a3|chf|months?|years?|watts?|kwh|cores?|lines?|pairs?|"
    r"examples?|epochs?|tokens?|people|students|pupils|seeds?|steps?|pages?|words|layers|times|"
    r"runs|attempts|hyperparameters"
)


def _units() -> Iterator[Unit]:
    def unit(pattern: str, dimension: Dimension, *factors: float) -> Unit:
        return Unit(re.compile(pattern, re.I), dimension, factors)

    for span, factor in _SPANS.items():
        tokens = rf"{_GAP}(?:tok(?:en)?s?|t){_PER}(?:{span})\b"
        yield unit(tokens, Dimension.TOKENS_PER_SECOND, factor)
        queries = rf"{_GAP}(?:quer(?:y|ies)|questions?|answers?|requests?){_PER}(?:{span})\b"
        yield unit(queries, Dimension.QUERIES_PER_SECOND, factor)
    for time, factor in _TIMES.items():
        yield unit(rf"{_GAP}(?:{time})(?!\w|\.e)", Dimension.SECONDS, factor)
    for size, factors in _BYTES.items():
        yield unit(rf"{_GAP}(?:{size})(?!\w)", Dimension.KIB, *factors)
    for money, factor in _MONEY.items():
        yield unit(rf"{_GAP}(?:{money})", Dimension.USD, factor)
    points = r"[\s-](?:(?:more|full)\s)?(?:percentage[ -])?(?:points?|pp|pts?|p\.p\.)(?!\w)"
    yield unit(points, Dimension.POINTS, 0.01)
    yield unit(rf"\s?(?:\w{{1,20}}\s)?(?:{_OTHER})(?!\w)", Dimension.OTHER, 1)


_UNITS: Final = tuple(_units())
_DOLLAR: Final = re.compile(r"(?:\$|USD)\s?$")
_CENTS: Final = re.compile(r"\s?(?:cents?|ct)\b")
_LABEL_PARTS: Final = re.compile(r"[()\[\],|/]")


class Found(NamedTuple):
    """A unit in a text: what stands there, and where it ends."""

    text: str
    end: int
    dimension: Dimension
    factors: tuple[float, ...]


def unit_beside(text: str, start: int, end: int) -> Found | None:
    """The unit of the number from `start` to `end`: behind it, or a dollar sign before it."""
    if _DOLLAR.search(text[max(0, start - 5) : start]) and not _CENTS.match(text, end):
        return Found("$", end, Dimension.USD, (1,))
    for unit in _UNITS:
        if match := unit.pattern.match(text, end):
            return Found(match[0].strip(), match.end(), unit.dimension, unit.factors)
    return None


def unit_named(label: str) -> Found | None:
    """The unit that the label of a table names: "price (USD)", "After, %"."""
    parts = [part for part in _LABEL_PARTS.split(label) if part.strip()]
    for part in (*reversed(parts), *reversed(label.split())):
        probe = f" {part.strip()}"
        if PERCENT.fullmatch(probe):
            return Found("%", 0, Dimension.NONE, (0.01,))
        for unit in _UNITS:
            if unit.dimension is not Dimension.OTHER and unit.pattern.fullmatch(probe):
                return Found(part.strip(), 0, unit.dimension, unit.factors)
    return None

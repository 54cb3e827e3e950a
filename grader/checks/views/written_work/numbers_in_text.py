"""The numbers of a text, in digits and in words, with the rounding that they show and their unit.

A number may be read in more than one way: "1,234" is a thousand or, where commas are decimal, one
and a bit. All ways are kept, the likelier first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from grader.checks.views.written_work.number_units import (
    PERCENT,
    Dimension,
    Value,
    unit_beside,
    unit_named,
)


class Shape(StrEnum):
    """How a number is written."""

    PLAIN = "plain"
    PERCENT = "percent"
    FRACTION = "fraction"  # 55 of 60, 5/25, three quarters
    RANGE = "range"  # 3-4
    FACTOR = "factor"  # twice, tenfold, five times
    NAME = "name"  # part of a name: F1, BM25, a version


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a text, from `start` to `end`; what belongs to it, its unit too, ends at `stop`.

    `values` are in the dimension's unit; a name and a vague number have none. Of a fraction,
    `whole` is what it is of (60 of "5/60"). `hedge` is "about", "under", "over" or "".
    `in_digits`: it is not in words.
    """

    start: int
    end: int
    stop: int
    text: str
    shape: Shape
    values: tuple[Value, ...] = ()
    dimension: Dimension = Dimension.NONE
    unit: str = ""
    hedge: str = ""
    whole: int | None = None
    in_digits: bool = True

    @property
    def is_bare(self) -> bool:
        """Whether nothing but its value is said."""
        return self.shape is Shape.PLAIN and self.dimension is Dimension.NONE


_GROUPED: Final = (
    r"\d{1,3}(?:[,.'\u2019]\d{3}){1,6}(?!\d)|\d{1,3}(?:[ \u00a0\u202f]\d{3}){1,6}(?![\d,.]*\d)"
)
_DIGITS: Final = rf"(?:{_GROUPED}|\d+)(?:[.,]\d+)?|(?<!\d)\.\d+"
_VULGAR: Final = {
    "½": 1 / 2, "⅓": 1 / 3, "⅔": 2 / 3, "¼": 1 / 4, "¾": 3 / 4, "⅕": 1 / 5, "⅖": 2 / 5,
    "⅗": 3 / 5, "⅘": 4 / 5, "⅙": 1 / 6, "⅚": 5 / 6, "⅛": 1 / 8, "⅜": 3 / 8, "⅝": 5 / 8, "⅞": 7 / 8,
    "⅒": 1 / 10,
}  # fmt: skip
_ONES: Final = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14,
    "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20,
    "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_SCALES: Final = {
    "dozen": 12, "hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9,
}  # fmt: skip
_PARTS: Final = {
    "half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6,
    "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10, "hundredth": 100, "thousandth": 1_000,
}  # fmt: skip
_ONE: Final = "|".join(sorted(_ONES, key=len, reverse=True))
_SCALE: Final = "|".join(_SCALES)
_PART: Final = "|".join(f"{part}s?" for part in _PARTS)
_SUPERSCRIPTS: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_BIG: Final = r"(?:[ -]?(?:thousand|million|billion|mio|mrd)\b|[kKM](?!\w))"
_POWER: Final = r"(?:e|\s?[x\u00d7*]\s?10\^?)(?P<exponent>[-\u2212\u207b]?[\d⁰¹²³⁴-⁹]{1,4})"
_TOKEN: Final = re.compile(
    rf"""
    (?P<version>v?\d+(?:\.\d+){{2,}})
  | (?P<range>\d+(?:[.,]\d+)?\s?[\u2013-]\s?\d+(?:[.,]\d+)?(?![\w/]|[.,]\d))
  | (?P<clock>\d+\s?min(?:utes?)?\.?\s\d+(?:[.,]\d+)?\s?s(?:ec(?:onds?)?)?\b)
  | (?P<sum>(?:\d{{1,9}}\s?)?[{"".join(_VULGAR)}])
  | (?P<ratio>(?P<n>\d{{1,9}})\s?(?:/|(?:out\s)?of|von|sur|de)\s?(?P<d>\d{{1,9}})
      (?![\w/]|[.,]\d))
  | (?P<power>-?(?P<base>{_DIGITS}){_POWER}(?!\w))
  | (?P<plain>(?:(?<=[\s(])[-\u2212])?(?:{_DIGITS}){_BIG}?)
  | (?<!\w)(?:
      (?P<share>(?P<sn>{_ONE})\s(?:(?:test\s)?(?:questions?|answers?|cases?)\s)?
        (?:in|(?:out\s)?of(?:\severy)?)\s(?P<sd>{_ONE}|(?:a\s)?hundred|\d{{2,4}}(?![.,]\d))\b)
    | (?P<parts>(?:(?P<pn>{_ONE}|an?)[\s-])?(?P<pd>{_PART})\b)
    | (?P<fold>(?:twice|thrice|(?:{_ONE}|\d+)-?fold)\b)
    | (?P<words>(?:(?:(?:an?|{_ONE})(?:[- ](?:{_ONE}))?[- ])?(?:{_SCALE})s?
        (?:[- ](?:{_SCALE})s?){{0,3}}|(?:{_ONE})(?:[- ](?:{_ONE}))?)\b)
    )
    """,
    re.X | re.I,
)
_FACTOR: Final = re.compile(
    r"\s?(?:times|x|\u00d7)(?!\w)(?=\s?(?:(?:as|more|less|faster|slower|cheaper|smaller|bigger|larger|"
    r"better|higher|lower|dearer|longer|the)\b|[.,;)]))",
    re.I,
)
_POINTS: Final = re.compile(r"\s?(?:points?|pp)\b", re.I)
_HEDGE: Final = re.compile(
    r"(?:^|(?<=\W))(?:(?P<about>about|around|roughly|approx\w*\.?|ca\.?|circa|some|nearly|almost|"
    r"close to|~|≈|a good|or so|near)|(?P<under>under|below|less than|fewer than|not even|within|<)"
    r"|(?P<over>over|above|more than|at least|a bit more than|a little (?:more|over)|(?<!-)>))"
    r"\s?(?:(?:a|an|the|of|only)\s){0,2}[$(]?\s?$",
    re.I,
)
_HEDGE_CHARACTERS: Final = 28
_ORDINAL: Final = re.compile(r"\s+(?!(?:of|or|and)\b)[^\W\d]")
_COMMA: Final = re.compile(r"(?<![\d.,])(?:0,\d+|\d+,\d{1,2}|\d+,\d{4,})(?![\d.,]*\d)")
_POINT: Final = re.compile(r"(?<![\d.,])(?:0?\.\d+|\d+\.\d{1,2}|\d+\.\d{4,})(?![\d.,]*\d)")


def is_comma_decimal(text: str) -> bool:
    """Whether commas stand before decimals in it: more of them than points do."""
    return len(_COMMA.findall(text)) > len(_POINT.findall(text))


def numbers(text: str, comma_decimal: bool = False) -> Iterator[Number]:
    """The numbers from left to right. `comma_decimal`: what a comma before three digits is."""
    at = 0
    while match := _TOKEN.search(text, at):
        number = _number(text, match, comma_decimal)
        at = match.end() if number is None else number.end
        if number is not None:
            yield number


def in_unit(number: Number, label: str) -> Number:
    """A bare number in the unit that a table's label names."""
    if not number.is_bare or (found := unit_named(label)) is None:
        return number
    values = tuple(v.times(factor) for v in number.values for factor in found.factors)
    shape = Shape.PERCENT if found.dimension is Dimension.NONE else number.shape
    return replace(number, shape=shape, values=values, dimension=found.dimension, unit=found.text)


def _number(text: str, match: re.Match[str], comma_decimal: bool) -> Number | None:
    """What a match of `_TOKEN` is, or None where it is no number."""
    start, end, kind = match.start(), match.end(), str(match.lastgroup)
    before = text[start - 1 : start]
    in_name = (
        before.isalpha() or before == "_" or (before == "-" and text[: start - 1][-1:].isalpha())
    )
    number = Number(start, end, end, match[0], Shape.PLAIN)
    match kind:
        case _ if in_name and match[0][-1:].isalnum() and any(map(str.isdigit, match[0])):
            digits = re.match(r"-?\d+(?:[.,]\d+)*", match[0])
            end = start + (digits.end() if digits else len(match[0]))
            return Number(start, end, end, text[start:end], Shape.NAME)
        case "version":
            return replace(number, shape=Shape.NAME)
        case "range":
            return replace(number, shape=Shape.RANGE)
        case "clock":
            return replace(number, values=(_clock(match[0]),), dimension=Dimension.SECONDS)
        case "sum":
            head, part = match[0][:-1].strip(), _VULGAR[match[0][-1]]
            value = float(head or 0) + part
            shape = Shape.PLAIN if head else Shape.FRACTION
            number = replace(number, shape=shape, values=(Value(value, 0.04 * max(value, 1)),))
        case "ratio":
            n, d = int(match["n"]), int(match["d"])
            if not 0 < d <= 1500 or n > d:  # a year, two versions: the first number alone
                end = start + len(match["n"])
                number = Number(start, end, end, text[start:end], Shape.PLAIN)
                number = replace(number, values=tuple(_read(number.text, comma_decimal)))
            else:
                number = _fraction(number, n, d)
        case "power":
            exponent = int(match["exponent"].lstrip("-\u2212\u207b").translate(_SUPERSCRIPTS))
            small = match["exponent"][0] in "-\u2212\u207b"
            power = 10.0 ** max(-99, min(99, -exponent if small else exponent))
            values = tuple(v.times(power) for v in _read(match["base"], comma_decimal))
            number = replace(number, values=values)
        case "plain":
            number = replace(number, values=tuple(_read(match[0], comma_decimal)))
        case _:
            return _in_words(text, match, number)
    return _finished(text, number)


def _in_words(text: str, match: re.Match[str], number: Number) -> Number | None:
    number = replace(number, in_digits=False)
    word = match[0].casefold()
    if match["share"]:
        d = match["sd"].casefold().removeprefix("a").strip()
        whole = int(d) if d.isdigit() else int(_word_value(d))
        number = _fraction(number, int(_word_value(match["sn"])), whole)
        if whole <= 10:
            number = replace(number, values=(Value(number.values[0].value, 0.05),))
    elif match["parts"]:
        count, part = (match["pn"] or "").casefold(), match["pd"].casefold()
        whole = _PARTS.get(part) or _PARTS[part.removesuffix("s")]
        counts_places = whole not in (2, 4) and count in ("", "a", "an", "one")
        if counts_places and (not count or _ORDINAL.match(text, match.end())):
            return None  # "the third", "a third remark"
        n = 1 if count in ("", "a", "an") else int(_word_value(count))
        number = replace(
            number, shape=Shape.FRACTION, values=(Value(n / whole, 0.045),), whole=whole
        )
    elif match["fold"]:
        head = word.removesuffix("fold").rstrip("-")
        value = {"twice": 2.0, "thrice": 3.0}.get(head) or (
            float(head) if head.isdigit() else _word_value(head)
        )
        number = replace(number, shape=Shape.FACTOR, values=(Value(value, 0.1 * value),))
    elif word.removesuffix("s") not in _SCALES or not word.endswith("s"):  # "thousands" are vague
        value = _word_value(word)
        slack = 0.5 if value < 20 else 0.02 * value
        number = replace(number, values=(Value(value, slack),))
    found = unit_beside(text, number.start, number.end)
    if word == "one" and (found is None or found.dimension is Dimension.OTHER):
        return None  # an article or a pronoun
    return _finished(text, number)


def _fraction(number: Number, n: int, d: int) -> Number:
    """ "55 of 60": exact, but few parts are a way to round."""
    slack = 0.005 if d == 100 else 0.0051 if d < 20 else 0.00051
    return replace(number, shape=Shape.FRACTION, values=(Value(n / d, slack),), whole=d)


def _finished(text: str, number: Number) -> Number:
    """The number with what stands before and behind it: how sure it is, and its unit."""
    hedge = _HEDGE.search(text[max(0, number.start - _HEDGE_CHARACTERS) : number.start])
    number = replace(number, hedge=str(hedge.lastgroup) if hedge else "")
    if number.shape is Shape.PLAIN and (percent := PERCENT.match(text, number.end)):
        end = percent.end()
        shares = tuple(v.times(0.01) for v in number.values)
        number = replace(number, end=end, stop=end, text=text[number.start : end], values=shares)
        if points := _POINTS.match(text, end):
            return replace(number, dimension=Dimension.POINTS, unit="points", stop=points.end())
        return replace(number, shape=Shape.PERCENT, unit="%")
    if number.shape is Shape.PLAIN and (factor := _FACTOR.match(text, number.end)):
        end = factor.end()
        values = tuple(Value(v.value, max(v.slack, 0.05 * v.value)) for v in number.values)
        text = text[number.start : end]
        return replace(number, shape=Shape.FACTOR, end=end, stop=end, text=text, values=values)
    found = unit_beside(text, number.start, number.end)
    if found is None or number.text.casefold() == "zero":
        return number
    values = tuple(v.times(factor) for v in number.values for factor in found.factors)
    return replace(
        number, values=values, dimension=found.dimension, unit=found.text, stop=found.end
    )


def _clock(text: str) -> Value:
    """ "1 min 8 s"."""
    minutes, seconds = re.findall(r"\d+(?:[.,]\d+)?", text)
    return Value(60 * float(minutes) + float(seconds.replace(",", ".")), 0.5)


def _read(text: str, comma_decimal: bool) -> Iterator[Value]:
    """The values that digits can have, the likelier first."""
    body, factor = text.strip().replace("\u2212", "-"), 1.0
    if scale := re.search(rf"{_BIG}$", body, re.I):
        word = scale[0].strip(" -").casefold()
        factor = {"thousand": 1e3, "k": 1e3, "million": 1e6, "m": 1e6, "mio": 1e6}.get(word, 1e9)
        body = body[: scale.start()]
    for plain in dict.fromkeys(_plain(body, comma_decimal)):
        slack = 10.0 ** -len(plain.partition(".")[2]) / 2
        yield Value(float(plain), slack).times(factor)


def _plain(body: str, comma_decimal: bool) -> Iterator[str]:
    """The digits with a point before decimals and nothing between thousands."""
    body = re.sub(r"(?<=\d)[ \u00a0\u202f'\u2019](?=\d{3})", "", body)
    marks = re.findall(r"[.,]", body)
    if not marks:
        yield body
    elif len(set(marks)) == 2:
        thousands = "," if body.rfind(".") > body.rfind(",") else "."
        yield body.replace(thousands, "").replace(",", ".")
    else:
        decimal = [body.replace(",", ".")] if len(marks) == 1 else []
        grouped = re.fullmatch(r"-?[1-9]\d{0,2}(?:[.,]\d{3})+", body)
        thousand = [body.replace(marks[0], "")] if grouped else []
        is_decimal = (marks[0] == "." and not comma_decimal) or (marks[0] == "," and comma_decimal)
        yield from (decimal + thousand) if is_decimal else (thousand + decimal)


def _word_value(text: str) -> float:
    total, group = 0.0, 0.0
    for word in re.split(r"[- ]", text.casefold()):
        if word in _ONES:
            group += _ONES[word]
        elif word not in ("a", "an"):
            scale = _SCALES[word if word in _SCALES else word.removesuffix("s")]
            group = (group or 1) * scale
            if scale >= 1000:
                total, group = total + group, 0.0
    return total + group

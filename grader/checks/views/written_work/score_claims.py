"""Claims of scores: before and after, differences, and how many times one is another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from grader.checks.views.written_work import claim_words as words
from grader.checks.views.written_work.number_places import (
    NEAR,
    NOWHERE,
    Claim,
    Place,
    Subject,
    nearest,
)
from grader.checks.views.written_work.number_units import Dimension, Value
from grader.checks.views.written_work.numbers_in_text import Number, Shape


class ScoreClaims:
    """What numbers say of scores. `text` is the whole document."""

    def __init__(self, subject: Subject, text: str) -> None:
        self._subject = subject
        found = {int(n) for groups in words.TEST_SIZES.findall(text) for n in groups if n}
        self._sizes = tuple(sorted(size for size in found if 10 <= size <= 1500))

    def score(self, place: Place, expected: bool, last: str | None) -> Claim | None:
        number = place.number
        if words.UNSURE.search(place.before) or any(map(words.NO_SCORE_LABEL.search, place.labels)):
            return None
        if words.NO_SCORE_BEFORE.search(place.before) or words.NO_SCORE_AFTER.match(place.after):
            return None
        bare = number.shape is Shape.PLAIN and number.dimension is Dimension.NONE
        if bare and words.QUESTIONS_AFTER.match(place.after):
            return None
        spoken = expected or words.SCORE.search(f"{place.before}\0{place.after}")
        if not spoken and not self._looks_like_a_score(place):
            return None
        if place.continues and last is not None and "-" in last and not last.startswith("1-"):
            approach, _ = self._subject.approach(place)
            return Claim((f"{approach}.after-{approach}.before",), self.readings(number))
        if differs := self._difference(place):
            return differs
        if bare and not (place.continues and last) and not self._is_score(place, expected):
            return None
        claim = self._state(place)
        other = not place.tabular and nearest(words.OTHER_RUN, place) <= NEAR
        return replace(claim, tentative=other) if claim else None

    def _looks_like_a_score(self, place: Place) -> bool:
        """Whether it is a share with decimals, after an approach that its sentence names."""
        number = place.number
        share = number.shape is Shape.PLAIN and 0.01 <= number.values[0].value <= 1
        named = self._subject.mentions(place.before)
        return share and re.search(r"[.,]\d\d?", number.text) is not None and bool(named)

    def _is_score(self, place: Place, expected: bool) -> bool:
        """Whether a bare number is a score, by its form or by the words that touch it."""
        number = place.number
        value = number.values[0].value
        if not 0 <= value <= max(100, *self._sizes, 0):
            return False
        if re.search(r"[.,]\d", number.text) and value <= 1:
            return True
        if place.tabular:
            return expected and any(
                (
                    words.START.search(place.before),
                    words.FINISH.search(place.before),
                    words.RIGHT_AFTER.search(f" {place.before}"),
                    self._subject.approach(place)[1] and words.SCORE.search(place.before),
                )
            )
        touched = (
            place.phase
            or words.RIGHT_AFTER.match(place.after)
            or words.MISSES.search(place.before)
            or words.ADJACENT_START.search(place.before)
            or words.ADJACENT_FINISH.search(place.before)
            or words.FOLLOWED_BY_START.match(place.after)
            or words.FOLLOWED_BY_FINISH.match(place.after)
            or (place.approach and nearest(words.START, place) < NEAR)
        )
        return bool(touched) or number.text.casefold() == "zero"

    def readings(self, number: Number) -> tuple[Value, ...]:
        """The shares that a number can stand for: as it is, of a hundred, of the test questions."""
        if number.shape is not Shape.PLAIN or number.dimension is Dimension.POINTS:
            return number.values
        found = []
        for one in number.values:
            if one.value <= 1:
                found.append(one)
            if one.value >= 1 or one.value == 0:
                found.append(Value(one.value / 100, one.slack / 100))
                found += [Value(one.value / size, 0.00051) for size in self._sizes]
        return tuple(found)

    def _state(self, place: Place) -> Claim | None:
        """A score before or after."""
        approach, own = self._subject.approach(place)
        approaches = [approach] if own else [approach, *self._subject.approaches]
        phase = self._phase(place)
        phases = [phase] if phase else ["after", "before"]
        paths = [f"{a}.{p}" for p in phases for a in approaches if a]
        paths = list(dict.fromkeys(path for path in paths if path in self._subject.facts))
        if _counts_wrong(place):
            paths = [f"1-{path}" for path in paths]
        return Claim(tuple(paths), self.readings(place.number))

    def _phase(self, place: Place) -> str:
        """Whether a score was "before" or "after"; "" where no word says it."""
        if place.phase:
            return place.phase
        if place.tabular:
            start, finish = words.START.search(place.before), words.FINISH.search(place.before)
            return "" if bool(start) == bool(finish) else "before" if start else "after"
        if words.ADJACENT_START.search(place.before) or words.WAS.search(place.before):
            return "before"
        if words.ADJACENT_FINISH.search(place.before):
            return "after"
        if words.FOLLOWED_BY_START.match(place.after):
            return "before"
        if words.FOLLOWED_BY_FINISH.match(place.after):
            return "after"
        start_far, finish_far = nearest(words.START, place), nearest(words.FINISH, place)
        if min(start_far, finish_far) > NEAR or start_far == finish_far:
            return ""
        return "before" if start_far < finish_far else "after"

    def _difference(self, place: Place) -> Claim | None:
        """Between two approaches, or what one gained."""
        number = place.number
        gain, apart = nearest(words.GAIN, place), nearest(words.DIFFERENCE, place)
        if number.dimension is not Dimension.POINTS:
            if place.phase or (number.shape is Shape.FRACTION and number.whole and gain > 40):
                return None
            near = NOWHERE if words.BY.search(place.before) else 30
            if place.tabular:
                leads = words.GAIN.search(place.before) is not None
            else:
                opened = words.DIFFERENCE_BEFORE.search(place.before) is not None
                leads = opened and min(gain, apart) < near
            if not (words.DIFFERENCE_AFTER.match(place.after) or leads):
                return None
        values = self.readings(number)
        named = [id for _, _, id in self._subject.mentions(place.before)]
        clause = re.split(r"[,;]|\band\b|\d", place.after)[0]
        behind = [id for _, _, id in self._subject.mentions(clause)]
        above = [id for _, _, id in self._subject.mentions(place.above)]
        everyone = list(self._subject.approaches)
        if place.tabular or (gain < apart and len(set(named[-1:] + behind)) <= 1):
            who = (named or behind)[-1:] or [*above[-1:], *everyone]
            return Claim(tuple(dict.fromkeys(f"{a}.after-{a}.before" for a in who)), values)
        if pair := pair_of(named, behind):
            return Claim((f"{pair[0]}.after-{pair[1]}.after",), values)
        one = (named or behind)[:1]
        pairs = [(one[0], a) for a in reversed(above) if a != one[0]] if one else []
        pairs += [pair for pair in combinations(everyone, 2) if not one or one[0] in pair]
        paths = [f"{a}.after-{b}.after" for a, b in pairs]
        paths += [f"{a}.after-{a}.before" for a in one or everyone]
        return Claim(tuple(dict.fromkeys(paths)), values)

    def ratio(self, place: Place, expected: bool) -> Claim | None:
        """How many times one score, or one time of training, is another."""
        values = place.number.values
        of = words.FACTOR_OF.search(place.before) or words.BY.search(place.before)
        named = [id for _, _, id in self._subject.mentions(place.before)]
        behind = [id for _, _, id in self._subject.mentions(place.after)]
        pair = pair_of(named, behind)
        if pair and words.LONGER.search(place.after[:20]):
            return Claim((f"{pair[0]}.training_seconds/{pair[1]}.training_seconds",), values)
        scored = expected or words.SCORE.search(place.before) is not None
        if not scored or not (of or words.BETTER.search(place.after[:40]) or _counts_wrong(place)):
            return None
        if pair and behind:
            paths: tuple[str, ...] = (f"{pair[0]}.after/{pair[1]}.after",)
            if _counts_wrong(place):
                paths = ()
            return Claim(paths, values)
        approach, own = self._subject.approach(place)
        approaches = [approach] if own else list(self._subject.approaches)
        return Claim(tuple(f"{a}.after/{a}.before" for a in approaches), values)


def pair_of(named: Sequence[str], behind: Sequence[str]) -> tuple[str, str] | None:
    """The two approaches that something is between."""
    if behind and named and behind[0] != named[0]:
        return named[0], behind[0]
    for both in (list(dict.fromkeys(named)), list(dict.fromkeys(behind))):
        if len(both) >= 2:
            return both[0], both[-1]
    return None


def _counts_wrong(place: Place) -> bool:
    """Whether the number counts wrong answers."""
    if words.WRONG_AFTER.match(place.after):
        return True
    ahead = place.before if place.tabular else place.before[-28:]
    return words.WRONG_BEFORE.search(ahead) is not None

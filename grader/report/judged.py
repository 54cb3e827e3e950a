"""What a person judged, as a student's page shows it: levels, what they look like, comments."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Final

from grader.core.constants import REPORT_MAX_TEXT_CHARACTERS
from grader.core.nouns import Criterion
from grader.core.result import Score
from grader.core.review import Item, ItemScore, Level
from grader.core.text import clean

_KINDS: Final = {
    Level.FULL: ("pass", "✓"),
    Level.HALF: ("review", "◐"),
    Level.NONE: ("fail", "✗"),
}


@dataclass(frozen=True, slots=True)
class ItemView:
    """One item. `kind` is the CSS class of its level, and `looks` what the level looks like.

    `next` is what would have earned all of it, "" where all is earned. `comment` is in pieces that
    a page shows whole.
    """

    score: ItemScore
    kind: str
    sign: str
    word: str
    looks: str
    next: str
    comment: tuple[str, ...]


def judged_items(criterion: Criterion | None, score: Score) -> tuple[ItemView, ...]:
    """The items of this score that are decided."""
    items = {item.id: item for item in criterion.items} if criterion is not None else {}
    return tuple(
        _view(items.get(one.id), one, one.level) for one in score.items if one.level is not None
    )


def _view(item: Item | None, score: ItemScore, level: Level) -> ItemView:
    kind, sign = _KINDS[level]
    said = {} if item is None else {
        Level.FULL: item.full, Level.HALF: item.half, Level.NONE: item.none
    }  # fmt: skip
    return ItemView(
        score=score,
        kind=kind,
        sign=sign,
        word=level.capitalize(),
        looks=said.get(level, ""),
        next="" if level is Level.FULL else said.get(Level.FULL, ""),
        comment=tuple(_pieces(score.comment)),
    )


def _pieces(comment: str) -> list[str]:
    """The lines of a comment, long ones in parts: a page cuts longer texts off."""
    lines = [clean(line, 4 * len(line) + 1) for line in comment.splitlines()]
    return [piece for line in lines for piece in textwrap.wrap(line, REPORT_MAX_TEXT_CHARACTERS)]


def decided_codes(scores: tuple[Score, ...]) -> frozenset[str]:
    """The codes of checks that left something open and that a person then decided everywhere."""
    still = {item.id for s in scores for item in s.items if item.level is None}
    judged = {item.id for s in scores for item in s.items if item.level is not None}
    return frozenset(judged - still)

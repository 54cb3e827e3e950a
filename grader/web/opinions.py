"""Second opinions: a sample of decisions that another grader makes again without seeing the first.

Both stay in the log. A second opinion stands at a place of its own, beside the item's, and the
first stays in force. Where they differ, somebody settles it: by a decision at the item's own place,
and a mark that it was settled.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from grader.core.review import Level
from grader.course.decisions import ReviewRow, State
from grader.evidence.review import Place, Review

SECOND: Final = "#second"
SETTLED: Final = "#settled"
_RANKS: Final = {Level.NONE: 0, Level.HALF: 1, Level.FULL: 2}


def second_place(place: Place) -> Place:
    """Where the second opinion on this item stands; ids of items have no "#"."""
    return place._replace(item=place.item + SECOND)


def settled_place(place: Place) -> Place:
    """Where it stands that a disagreement was settled."""
    return place._replace(item=place.item + SETTLED)


def sampled(place: Place, assignment: str, share: float) -> bool:
    """Whether a second opinion is asked here: of a share from 0 to 1, always the same ones."""
    text = "\0".join((assignment, *place))
    digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


@dataclass(frozen=True, slots=True)
class Opinions:
    """One decided item with a second opinion; `second` is None as long as nobody gave one."""

    row: ReviewRow
    second: Review | None
    settled: bool

    @property
    def differ(self) -> bool:
        """Whether somebody has to settle it."""
        return (
            self.second is not None
            and not self.settled
            and self.second.level is not None
            and self.second.level != self.row.level
        )


def opinions_on(row: ReviewRow, held: Mapping[Place, Review]) -> Opinions:
    """What was said of this row; a second opinion on former work is none."""
    second = held.get(second_place(row.place))
    if second is not None and (second.revision != row.revision or second.level is None):
        second = None
    settled = held.get(settled_place(row.place))
    return Opinions(
        row,
        second,
        second is not None and settled is not None and settled.position > second.position,
    )


def is_blind(row: ReviewRow, held: Mapping[Place, Review], grader: str, wanted: bool) -> bool:
    """Whether this grader gives a second opinion here, and must not see the first."""
    if not wanted or row.state is not State.DONE or row.review is None:
        return False
    second = opinions_on(row, held).second
    return row.review.grader != grader and second is None


def first_opinion(history: Sequence[Review], second: Review) -> Level | None:
    """The level that was in force when the second opinion came in."""
    before = [entry.level for entry in history if entry.position < second.position]
    return before[-1] if before else None


def weighted_kappa(pairs: Sequence[tuple[Level, Level]]) -> float | None:
    """Cohen's kappa with quadratic weights (Cohen 1968): 1 is full agreement, 0 is chance.

    None where it is not defined: without pairs, or where both gave everybody the same level.
    """
    if not pairs:
        return None
    first, second = (Counter(_RANKS[pair[k]] for pair in pairs) for k in (0, 1))
    observed = sum((_RANKS[a] - _RANKS[b]) ** 2 for a, b in pairs) / len(pairs)
    expected = (
        sum(first[a] * second[b] * (a - b) ** 2 for a in first for b in second) / len(pairs) ** 2
    )
    return None if expected == 0 else 1 - observed / expected


def hidden(row: ReviewRow) -> ReviewRow:
    """The row as somebody sees it who has yet to give an opinion."""
    return replace(row, review=None)

"""What a person judges: an item of a criterion, its levels, and a decision on one.

Values without I/O, as those of `nouns`; `Criterion` and `Score` there hold them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How far a claim holds."""

    FULL = "full"
    HALF = "half"
    NONE = "none"


_SHARES = {Level.FULL: 1.0, Level.HALF: 0.5, Level.NONE: 0.0}


@dataclass(frozen=True, slots=True)
class Item:
    """One claim that a person judges, with what each level looks like.

    Without `half` it has two levels. An item whose id is the code of a check asks whether what the
    check could not decide holds; it is worth nothing of its own where the check is a requirement.
    """

    id: str
    claim: str
    points: float
    full: str
    none: str
    half: str = ""
    example: str = ""

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels that it has, the best first."""
        return tuple(level for level in Level if level is not Level.HALF or self.half)

    def worth(self, level: Level) -> float:
        """The points of this level."""
        return self.points * _SHARES[level]


@dataclass(frozen=True, slots=True)
class Decision:
    """The level that a person gave an item, and what the student is told about it."""

    level: Level
    comment: str = ""


Decisions = Mapping[tuple[str, str], Decision]
"""What is decided of one submission, by criterion and item."""


@dataclass(frozen=True, slots=True)
class ItemScore:
    """What one item earned. `level` and `points` are None as long as nobody decided it."""

    id: str
    title: str
    level: Level | None
    points: float | None
    max_points: float
    comment: str = ""

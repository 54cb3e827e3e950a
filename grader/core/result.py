"""What comes of grading one submission: the points of each criterion, their total, the result.

Values without I/O, as those of `nouns`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grader.core.nouns import Finding, Status
from grader.core.review import ItemScore


@dataclass(frozen=True, slots=True)
class Score:
    """The points of one criterion. `points` None means not known yet; 0 means zero."""

    id: str
    title: str
    category: str
    part: str | None
    points: float | None
    max_points: float
    status: Status
    because: tuple[str, ...]
    items: tuple[ItemScore, ...] = ()


@dataclass(frozen=True, slots=True)
class Total:
    """Points of a whole submission; `lower` and `upper` are equal when all is known.

    Extra points count too, so all three may be above `max_points`.
    """

    points: float | None
    max_points: float
    lower: float
    upper: float
    categories: Mapping[str, tuple[float, float]]
    counted_parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WrongAnswer:
    """A question that was answered wrongly; `before` is what the base or the original said."""

    question: str
    expected: str
    before: str
    given: str


@dataclass(frozen=True, slots=True)
class AnswerSheet:
    """Answers to questions that the student may read: how many were right before and after, and
    some of the wrong ones."""

    title: str
    asked: int
    right_before: int
    right: int
    wrong: tuple[WrongAnswer, ...]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The losses at a step of a training; None where one was not measured."""

    step: int
    training: float | None
    validation: float | None


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """The losses of one training by step, in order."""

    title: str
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """The result of grading one submission.

    `sheets` and `curves` are what it teaches beside its findings, without any hidden question.
    """

    assignment_id: str
    assignment_version: str
    student: str
    digest: str
    submitted_at: str | None
    status: Status
    total: Total
    scores: tuple[Score, ...]
    findings: tuple[Finding, ...]
    provenance: Mapping[str, Any]
    sheets: tuple[AnswerSheet, ...] = ()
    curves: tuple[LearningCurve, ...] = ()

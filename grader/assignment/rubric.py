"""What facts are worth: findings in, points out. Pure; never sees a file.

A student's fault (`fail`, or `skip` behind one) is 0. A grader's fault (`error`) or an open
question (`review`) leaves the points unknown: None, and the total becomes a range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grader.core.constants import RESULT_DECIMALS
from grader.core.nouns import (
    Assignment,
    Category,
    Criterion,
    Finding,
    Outcome,
    Score,
    Status,
    Total,
)

_LOST = (Outcome.FAIL, Outcome.SKIP)
_OPEN = (Outcome.ERROR, Outcome.REVIEW)


def score(assignment: Assignment, findings: Sequence[Finding]) -> tuple[Score, ...]:
    """One Score for each criterion of the assignment, in its order."""
    by_ref = {finding.code: finding for finding in findings}
    return tuple(_score(criterion, by_ref) for criterion in assignment.criteria)


def _score(criterion: Criterion, findings: Mapping[str, Finding]) -> Score:
    lost = [c for c in criterion.requires if findings[c].outcome in _LOST]
    unknown = [c for c in criterion.requires if findings[c].outcome in _OPEN]
    ref, _, measure = criterion.source.partition(".")
    points: float | None
    because: Sequence[str]
    if criterion.source == "review":
        points, because = None, ()
    else:
        points, because = _earned(criterion, findings[ref], measure), (ref,)
    if lost:
        points, because = 0.0, lost
    elif unknown and points != 0:  # what earns nothing anyway is not kept open
        points, because = None, unknown
    return Score(
        id=criterion.id,
        title=criterion.title,
        category=criterion.category,
        part=criterion.part,
        points=points,
        max_points=criterion.points,
        status=Status.PENDING_MANUAL if points is None else Status.FULLY_GRADED,
        because=tuple(because),
    )


def _earned(criterion: Criterion, finding: Finding, measure: str) -> float | None:
    if finding.outcome in _OPEN:
        return None
    if finding.outcome is Outcome.SKIP:
        return 0.0
    if not measure:
        return criterion.points if finding.outcome is Outcome.PASS else 0.0
    # A measure is worth what it is worth, whether or not its check calls it a pass.
    value = finding.measures.get(measure)
    if value is None:
        return 0.0 if finding.outcome is Outcome.FAIL else None
    reached = [band.points for band in criterion.bands if float(value) >= band.at_least]
    return max(reached, default=0.0)


def total(assignment: Assignment, scores: Sequence[Score]) -> Total:
    """All points of a submission: each category as (lower, upper), then their sum.

    Extra points are in the sum, and not in `max_points`.
    """
    ranges: dict[str, tuple[float, float]] = {}
    counted: list[str] = []
    for category in assignment.categories:
        mine = [s for s in scores if s.category == category.id]
        if category.best_parts is None:
            ranges[category.id] = (_sum(mine, upper=False), _sum(mine, upper=True))
        else:
            ranges[category.id], best = best_parts(category, mine)
            counted += best
    # Rounded: sums of fractions in another order may differ in the last bit, and equal bounds
    # must be seen as equal.
    lower = round(sum(low for low, _ in ranges.values()), RESULT_DECIMALS)
    upper = round(sum(high for _, high in ranges.values()), RESULT_DECIMALS)
    return Total(
        points=lower if lower == upper else None,
        max_points=assignment.max_points,
        lower=lower,
        upper=upper,
        categories=ranges,
        counted_parts=tuple(dict.fromkeys(counted)),
    )


def best_parts(
    category: Category, scores: Sequence[Score]
) -> tuple[tuple[float, float], list[str]]:
    """The n parts that earn most: ((lower, upper), parts counted so far by the lower bound).

    The best n of the lower bounds and the best n of the upper bounds bound the true sum, because
    the sum of the n largest values grows with each of them.
    """
    n = category.best_parts
    parts = sorted({s.part for s in scores if s.part is not None})
    mine = {part: [s for s in scores if s.part == part] for part in parts}
    lows = {part: _sum(mine[part], upper=False) for part in parts}
    highs = sorted((_sum(mine[part], upper=True) for part in parts), reverse=True)
    counted = sorted(parts, key=lambda part: (-lows[part], part))[:n]
    return (sum(lows[part] for part in counted), sum(highs[:n])), sorted(counted)


def _sum(scores: Sequence[Score], *, upper: bool) -> float:
    return sum((s.max_points if upper else 0.0) if s.points is None else s.points for s in scores)


def status(scores: Sequence[Score], findings: Sequence[Finding]) -> Status:
    """PendingManual as long as a point is unknown, a check ended in `error`, or a person has to
    decide about a fault of the grader's."""
    pending = any(s.points is None for s in scores)
    broken = any(
        f.outcome is Outcome.ERROR or (f.outcome is Outcome.REVIEW and f.code.startswith("GRD"))
        for f in findings
    )
    return Status.PENDING_MANUAL if pending or broken else Status.FULLY_GRADED

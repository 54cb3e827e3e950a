"""What facts are worth: findings in, points out. Pure; never sees a file.

A student's fault (`fail`, or `skip` behind one) is 0. A grader's fault (`error`) or an open
question (`review`) leaves the points unknown, None, until a person decides; the total is a range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from grader.core.constants import RESULT_DECIMALS
from grader.core.nouns import Assignment, Category, Criterion, Finding, Outcome, Status
from grader.core.result import Score, Total
from grader.core.review import Decision, Decisions, Item, ItemScore, Level

NOTHING: Final[Decisions] = {}
_LOST = (Outcome.FAIL, Outcome.SKIP)
_OPEN = (Outcome.ERROR, Outcome.REVIEW)


def score(
    assignment: Assignment, findings: Sequence[Finding], decisions: Decisions = NOTHING
) -> tuple[Score, ...]:
    """One Score for each criterion of the assignment, in its order.

    A decision counts where something is to be decided; others are left aside.
    """
    by_ref = {finding.code: finding for finding in findings}
    return tuple(_score(criterion, by_ref, decisions) for criterion in assignment.criteria)


def to_decide(criterion: Criterion, findings: Mapping[str, Finding]) -> tuple[Item, ...]:
    """What a person judges of one submission: nothing where its points are lost anyway.

    Beside the items of the criterion these are the checks that it reads and that ended in `review`
    or `error`, by their codes. What they found is a claim that holds or not.
    """
    if any(findings[ref].outcome in _LOST for ref in criterion.requires):
        return ()
    unknown = [ref for ref in criterion.requires if findings[ref].outcome in _OPEN]
    gates = tuple(_gate(findings[ref]) for ref in unknown)
    if criterion.source == "review":
        return (*gates, *criterion.items)
    ref, _, measure = criterion.source.partition(".")
    earned = _earned(criterion, findings[ref], measure)
    if earned == 0:  # what earns nothing anyway is not kept open
        return ()
    return gates if earned is not None else (*gates, _source(criterion, findings[ref]))


def _gate(finding: Finding) -> Item:
    return Item(finding.code, finding.title, 0.0, "It holds: go on.", "It does not: no points.")


def _source(criterion: Criterion, finding: Finding) -> Item:
    words = ("It holds in full.", "It does not hold.", "It holds in part.")
    return Item(finding.code, finding.title, criterion.points, *words)


def _score(criterion: Criterion, findings: Mapping[str, Finding], decisions: Decisions) -> Score:
    judged = tuple(
        _judged(item, decisions.get((criterion.id, item.id)))
        for item in to_decide(criterion, findings)
    )
    levels = {item.id: item.level for item in judged if item.level is not None}
    outcomes = {ref: _settled(findings[ref], levels.get(ref)) for ref in criterion.requires}
    lost = [ref for ref, outcome in outcomes.items() if outcome in _LOST]
    unknown = [ref for ref, outcome in outcomes.items() if outcome in _OPEN]
    ref, _, measure = criterion.source.partition(".")
    points: float | None
    because: Sequence[str]
    if criterion.source == "review":
        points, because = _sum_of(criterion.items, judged), ()
    else:
        points, because = _earned(criterion, findings[ref], measure), (ref,)
        if points is None:
            points = next((item.points for item in judged if item.id == ref), None)
    if lost:
        points, because = 0.0, lost
    elif unknown and points != 0:
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
        items=judged,
    )


def _judged(item: Item, decision: Decision | None) -> ItemScore:
    """A level that the item does not have leaves it open."""
    if decision is None or decision.level not in item.levels:
        return ItemScore(item.id, item.claim, None, None, item.points)
    points = item.worth(decision.level)
    return ItemScore(item.id, item.claim, decision.level, points, item.points, decision.comment)


def _settled(finding: Finding, level: Level | None) -> Outcome:
    if level is None:
        return finding.outcome
    return Outcome.PASS if level is Level.FULL else Outcome.FAIL


def _sum_of(items: Sequence[Item], judged: Sequence[ItemScore]) -> float | None:
    """The points of these items; None as long as one is open."""
    ids = {item.id for item in items}
    points = [item.points for item in judged if item.id in ids]
    known = [value for value in points if value is not None]
    return sum(known) if points and len(known) == len(points) else None


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
    return sum(_bound(score, upper=upper) for score in scores)


def _bound(score: Score, *, upper: bool) -> float:
    """The most or the least that it can still come to, with what is decided of its items."""
    if score.points is not None:
        return score.points
    known = [(item.points, item.max_points) for item in score.items if item.points is not None]
    if upper:
        return score.max_points - sum(most - earned for earned, most in known)
    # A requirement, which is worth nothing of its own, may still cost all of it.
    required = any(item.points is None and not item.max_points for item in score.items)
    return 0.0 if required else sum(earned for earned, _ in known)


def status(scores: Sequence[Score], findings: Sequence[Finding]) -> Status:
    """PendingManual as long as a point is unknown, or the grader failed and nobody looked.

    A failure on which no point hangs cannot be decided: that a person judged the rest is enough.
    """
    pending = any(s.points is None for s in scores)
    judged = any(item.level is not None for s in scores for item in s.items)
    broken = not judged and any(
        f.outcome is Outcome.ERROR or (f.outcome is Outcome.REVIEW and f.code.startswith("GRD"))
        for f in findings
    )
    return Status.PENDING_MANUAL if pending or broken else Status.FULLY_GRADED

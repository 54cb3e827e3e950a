"""What findings are worth: points beside them, shares by part, and what one more step earns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from grader.assignment.rubric import best_parts, total
from grader.assignment.rubric_text import measure_value
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.registry import all_needs, check_of, starts_of
from grader.core.nouns import Assignment, Criterion, Finding, Outcome
from grader.core.result import Result, Score
from grader.core.text import points

_ASKED: Final = frozenset({"answers", "predictions"})
"""Kinds of evidence in which questions are answered; hidden ones at grading."""
_NOT_TOLD: Final = _ASKED | {"metric_scores"}
"""Those whose measures a student reads in steps alone."""
_SKIP: Final = Outcome.SKIP


@dataclass(frozen=True, slots=True)
class Worth:
    """The points that hang on one finding: earned for certain, still open, and at most."""

    earned: float
    open: float
    most: float

    def plus(self, other: Worth) -> Worth:
        """Both together."""
        return Worth(self.earned + other.earned, self.open + other.open, self.most + other.most)


def worth_of(scores: Sequence[Score]) -> dict[str, Worth]:
    """By the code of a finding, what the criteria are worth that it decides.

    A criterion that several findings decide counts for the first: points are shown once.
    """
    found: dict[str, Worth] = {}
    for score in scores:
        if score.because:
            mine = Worth(
                score.points or 0.0,
                score.max_points if score.points is None else 0.0,
                score.max_points,
            )
            code = score.because[0]
            found[code] = found[code].plus(mine) if code in found else mine
    return found


def hidden_criteria(assignment: Assignment, kinds: frozenset[str] = _ASKED) -> frozenset[str]:
    """The criteria whose points follow from answers to hidden questions: on public questions they
    are estimates."""
    asked = {
        spec.id
        for spec in assignment.evidence
        if spec.kind in kinds and not spec.settings.get("questions_from")
    }
    return frozenset(
        criterion.id
        for criterion in assignment.criteria
        if any(
            not asked.isdisjoint(check_of(ref, assignment).evidence_ids) for ref in _refs(criterion)
        )
    )


def _refs(criterion: Criterion) -> tuple[str, ...]:
    ref = criterion.source.partition(".")[0]
    return criterion.requires if ref == "review" else (ref, *criterion.requires)


@dataclass(frozen=True, slots=True)
class Share:
    """Points of a part or of a category: certain, open, at most; and how many of the certain ones
    are estimates. `part` is false of a category, and `counts` of a part that does not count."""

    title: str
    certain: float
    open: float
    most: float
    estimated: float
    part: bool = False
    counts: bool = True

    @property
    def said(self) -> str:
        """As `finegrade check` says it."""
        text = f"{points(self.certain)} of {points(self.most)} certain on public data"
        if self.open:
            text += f", {points(self.open)} open"
        return text + (f"; {points(self.estimated)} of them estimated" if self.estimated else "")


def shares(assignment: Assignment, result: Result) -> tuple[Share, ...]:
    """Each category with its parts below it, then all together (without extra points on offer)."""
    hidden = hidden_criteria(assignment)
    titles = {part.id: part.title for part in assignment.parts}
    found, estimates = [], 0.0
    for category in assignment.categories:
        mine = [score for score in result.scores if score.category == category.id]
        lower, upper = result.total.categories.get(category.id, (0.0, 0.0))
        counted: Sequence[str] = ()
        if category.best_parts is not None:
            counted = best_parts(category, mine)[1]
        below = []
        for part in dict.fromkeys(score.part for score in mine):
            some = [score for score in mine if score.part == part]
            if part is not None:
                counts = part in counted or category.best_parts is None
                below.append(_share(titles[part], some, hidden, counts=counts))
        guessed = sum(
            score.points or 0.0
            for score in mine
            if score.id in hidden and (category.best_parts is None or score.part in counted)
        )
        estimates += guessed
        found += [
            Share(category.title, lower, upper - lower, category.points, guessed),
            *below,
        ]
    whole = result.total
    return (
        *found,
        Share("Together", whole.lower, whole.upper - whole.lower, whole.max_points, estimates),
    )


def _share(title: str, scores: Sequence[Score], hidden: frozenset[str], *, counts: bool) -> Share:
    return Share(
        title,
        sum(score.points or 0.0 for score in scores),
        sum(score.max_points for score in scores if score.points is None),
        sum(score.max_points for score in scores),
        sum(score.points or 0.0 for score in scores if score.id in hidden),
        part=True,
        counts=counts,
    )


@dataclass(frozen=True, slots=True)
class Step:
    """What the next step would earn: `gain` points more for what `titles` name.

    `now` is the measure as it is, "" where it is not told or there is none; `then` what it takes.
    `most`: it earns so many at most, since what comes then is not known.
    """

    code: str
    titles: tuple[str, ...]
    gain: float
    most: bool
    now: str
    then: str


def next_steps(assignment: Assignment, result: Result, *, tell_hidden: bool) -> tuple[Step, ...]:
    """What would earn more, the most points first; nothing that would not change the total.

    Of measures of hidden questions the next threshold is told, and the measure itself only with
    `tell_hidden`.
    """
    rubric = {criterion.id: criterion for criterion in assignment.criteria}
    findings = {finding.code: finding for finding in result.findings}
    hidden = frozenset[str]() if tell_hidden else hidden_criteria(assignment, _NOT_TOLD)
    lost: dict[str, dict[str, float]] = {}
    steps = []
    for score in result.scores:
        criterion = rubric.get(score.id)
        if criterion is None or score.points is None or not score.because:
            continue
        ref, _, measure = criterion.source.partition(".")
        finding = findings[score.because[0]]
        band = next((b for b in criterion.bands if b.points > score.points), None)
        if score.because == (ref,) and band is not None and measure in finding.measures:
            gain = _more(assignment, result, {score.id: band.points})
            if gain > 0:
                value = finding.measures[measure]
                known = score.id not in hidden and isinstance(value, int | float)
                now = measure_value(measure, float(value or 0)) if known else ""
                then = f"from {measure_value(measure, band.at_least)} on"
                steps.append(Step(ref, (score.title,), gain, most=False, now=now, then=then))
        elif finding.outcome in (Outcome.FAIL, _SKIP) and score.points < score.max_points:
            root = _root(finding.code, assignment, findings)
            if root is not None:
                lost.setdefault(root.code, {})[score.id] = score.max_points
    for code, criteria in lost.items():
        gain = _more(assignment, result, criteria)
        if gain > 0:
            titles = tuple(rubric[id].title for id in criteria)
            most = len(criteria) > 1 or any(rubric[id].bands for id in criteria)
            then = f"when it holds: {findings[code].title}"
            steps.append(Step(code, titles, gain, most, "", then))
    return tuple(sorted(steps, key=lambda step: (-step.gain, step.code, step.titles)))


def _root(code: str, assignment: Assignment, findings: Mapping[str, Finding]) -> Finding | None:
    """The failed finding behind this one; None where the student left the work out."""
    finding = findings[code]
    if finding.outcome is Outcome.SKIP:
        check = check_of(code, assignment)
        for needed in (*all_needs(check, assignment), *starts_of(check, assignment)):
            before = findings.get(needed)
            if before is not None and before.outcome in (Outcome.FAIL, _SKIP):
                return _root(needed, assignment, findings)
        return None if finding.left_out else finding
    return finding


def _more(assignment: Assignment, result: Result, better: Mapping[str, float]) -> float:
    """How many certain points more the total has with these criteria's points."""
    scores = [
        replace(score, points=better[score.id]) if score.id in better else score
        for score in result.scores
    ]
    return round(total(assignment, scores).lower - result.total.lower, 4)

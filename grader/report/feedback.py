"""The student's page: what was found, what it is worth, and what to do next.

Only findings that a student may read enter it, as `FindingView` values that have no note; measures
of hidden questions enter it rounded. The page carries no date, so the same result always gives the
same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grader.assignment.rubric import best_parts
from grader.core.constants import REPORT_MAX_FILES_LISTED, REPORT_MAX_STEPS
from grader.core.nouns import Assignment, Category, Criterion, Finding, Outcome, Status
from grader.core.result import Result, Score
from grader.core.text import points
from grader.report.curves import curve_view
from grader.report.judged import ItemView, decided_codes, judged_items
from grader.report.pages import (
    FindingView,
    for_student,
    measured,
    not_attempted,
    render,
    shown,
    summed_up,
    value,
)
from grader.report.worth import Step, next_steps

_GAIN, _GAIN_MEASURE = "EVL001", "delta_low95"
_GAIN_MEASURES: Final = (
    "before", "after", "chance", "delta", "delta_low95", "delta_high95", "n"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _CriterionView:
    """A line of the rubric; `findings` are those explained here, `above` those explained before.

    `step` says which band of a measure was reached and where the next begins, or is "".
    `attempted` is false of extra work that was not submitted. `items` are what a person judges.
    """

    score: Score
    attempted: bool
    step: str
    findings: tuple[FindingView, ...]
    above: tuple[FindingView, ...]
    items: tuple[ItemView, ...]


@dataclass(frozen=True, slots=True)
class _CriterionGroup:
    """The criteria of one part of a category, or of the category itself (`title` is "")."""

    title: str
    counted: bool
    criteria: tuple[_CriterionView, ...]


@dataclass(frozen=True, slots=True)
class _Section:
    """A category with what it earned so far (`lower`) and could still earn (`upper`)."""

    category: Category
    lower: float
    upper: float
    groups: tuple[_CriterionGroup, ...]

    @property
    def parts_decided(self) -> bool:
        """Whether only some parts count and these are known."""
        return self.category.best_parts is not None and self.lower == self.upper

    @property
    def attempted(self) -> bool:
        """Whether the student submitted anything for it."""
        return any(c.attempted for group in self.groups for c in group.criteria)


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """The adapter beside the base, as shares of right answers from 0 to 1.

    The gain counts from `reference`, the higher of base and guessing; `low` and `high` are the
    ends of its 95 % interval, so `reference + low` is where the adapter may truly stand.
    """

    before: float
    after: float
    chance: float
    delta: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class _Picture:
    """What a student sees of a BeforeAfter: shares in tens of percent, the interval widened to
    them. `real`: the gain is more than chance explains.
    """

    before: float
    after: float
    chance: float
    low_end: float
    high_end: float
    n: int
    real: bool
    over_guessing: bool


def feedback_html(assignment: Assignment, result: Result, *, released: bool = False) -> str:
    """The whole page of one student as HTML text; provisional until the marks are `released`."""
    decided = decided_codes(result.scores)
    findings = tuple(f for f in for_student(result.findings) if f.code not in decided)
    used: set[str] = set()
    sections = _sections(assignment, result, findings, used)
    files = result.provenance.get("files", ())
    return render(
        "feedback.html.j2",
        assignment=assignment,
        result=result,
        released=released,
        decided=points(result.total.lower) == points(result.total.upper),
        failed=result.status is Status.FAILED,
        sections=sections,
        comparison=_picture(before_after(findings)),
        measured=measured(findings),
        steps=_steps(assignment, result, findings),
        sheets=result.sheets,
        curves=tuple(curve_view(curve) for curve in result.curves),
        to_fix=_to_fix(result.scores, findings),
        pending=_pending(sections),
        others=tuple(shown(f) for f in summed_up([f for f in findings if f.code not in used])),
        files=files[:REPORT_MAX_FILES_LISTED],
        more_files=max(0, len(files) - REPORT_MAX_FILES_LISTED),
        file_count=len(files),
        submitted_bytes=sum(size for _, size, _ in files),
        provenance=result.provenance,
    )


def _steps(assignment: Assignment, result: Result, findings: Sequence[Finding]) -> tuple[Step, ...]:
    """The next steps that hang on findings which the student may read."""
    codes = {finding.code for finding in findings}
    steps = next_steps(assignment, result, tell_hidden=False)
    return tuple(step for step in steps if step.code in codes)[:REPORT_MAX_STEPS]


def before_after(findings: Sequence[Finding]) -> BeforeAfter | None:
    """The first comparison that EVL001 measured, or None when it was not measured."""
    for finding in findings:
        if finding.check == _GAIN:
            known = {name: value(finding.measures, name) for name in _GAIN_MEASURES}
            numbers = {name: number for name, number in known.items() if number is not None}
            if len(numbers) == len(known):
                return BeforeAfter(
                    before=numbers["before"],
                    after=numbers["after"],
                    chance=numbers["chance"],
                    delta=numbers["delta"],
                    low=numbers["delta_low95"],
                    high=numbers["delta_high95"],
                    n=int(numbers["n"]),
                )
    return None


def _picture(comparison: BeforeAfter | None) -> _Picture | None:
    """Rounded: a share to the percent would tell how many hidden questions are right."""
    if comparison is None:
        return None
    c = comparison
    reference = max(c.before, c.chance)
    low, high = (10 * min(1.0, max(0.0, reference + end)) for end in (c.low, c.high))
    return _Picture(
        before=round(10 * c.before) / 10,
        after=round(10 * c.after) / 10,
        chance=round(10 * c.chance) / 10,
        low_end=math.floor(low) / 10,
        high_end=math.ceil(high) / 10,
        n=c.n,
        real=c.low > 0,
        over_guessing=c.chance > c.before,
    )


def _sections(
    assignment: Assignment, result: Result, findings: Sequence[Finding], used: set[str]
) -> tuple[_Section, ...]:
    by_code = {finding.code: shown(finding) for finding in findings}
    rubric = {criterion.id: criterion for criterion in assignment.criteria}
    sections = []
    for category in assignment.categories:
        mine = [score for score in result.scores if score.category == category.id]
        lower, upper = result.total.categories.get(category.id, (0.0, 0.0))
        titles = {part.id: part.title for part in assignment.parts}
        parts = dict.fromkeys(score.part for score in mine)
        best = parts if category.best_parts is None else best_parts(category, mine)[1]
        groups = []
        for part in parts:
            criteria = []
            for score in (score for score in mine if score.part == part):
                because = [code for code in score.because if code in by_code]
                criteria.append(
                    _CriterionView(
                        score=score,
                        attempted=not not_attempted(category, score, findings),
                        step=_step(rubric.get(score.id), score, findings),
                        findings=tuple(by_code[c] for c in because if c not in used),
                        above=tuple(by_code[c] for c in because if c in used),
                        items=judged_items(rubric.get(score.id), score),
                    )
                )
                used.update(because)
            title = titles.get(part or "", "")
            groups.append(_CriterionGroup(title, part in best, tuple(criteria)))
        sections.append(_Section(category, lower, upper, tuple(groups)))
    return tuple(sections)


def _step(criterion: Criterion | None, score: Score, findings: Sequence[Finding]) -> str:
    """Explain the points of a measured gain: a tick beside half the points would puzzle."""
    mine = [f for f in findings if f.check == _GAIN and score.because == (f.code,)]
    if criterion is None or [criterion.source] != [f"{f.code}.{_GAIN_MEASURE}" for f in mine]:
        return ""
    comparison = before_after(mine)
    if comparison is None or score.points is None:
        return ""
    above = [band for band in criterion.bands if band.at_least > comparison.low]
    text = "Points follow the lower end of the gain's 95% interval."
    if above:
        text += f" From {above[0].at_least:+.0%} it earns {points(above[0].points)}."
    return text


def _to_fix(scores: Sequence[Score], findings: Sequence[Finding]) -> tuple[FindingView, ...]:
    """The failed findings, the most expensive first."""
    lost: dict[str, float] = {}
    for score in scores:
        for code in score.because:
            lost[code] = lost.get(code, 0.0) + score.max_points - (score.points or 0.0)
    failed = [finding for finding in findings if finding.outcome is Outcome.FAIL]
    failed.sort(key=lambda finding: -lost.get(finding.code, 0.0))
    return tuple(shown(finding) for finding in failed)


def _pending(sections: Sequence[_Section]) -> tuple[_CriterionView, ...]:
    return tuple(
        criterion
        for section in sections
        for group in section.groups
        for criterion in group.criteria
        if criterion.score.points is None
    )

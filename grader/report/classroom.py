"""The class page: where the class stands, what is hard, and who needs attention.

It names students, hidden questions and notes: it is for the instructor alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any, Final
from urllib.parse import quote

from markupsafe import Markup

from grader.core.constants import REPORT_MAX_LISTED_QUESTIONS
from grader.core.nouns import Assignment, Finding, Outcome, Status
from grader.core.result import Result
from grader.report import plots
from grader.report.attention import needs_attention
from grader.report.feedback import BeforeAfter, before_after
from grader.report.pages import SUMMED_UP, not_attempted, render


@dataclass(frozen=True, slots=True)
class OpenDecisions:
    """How many decisions on one criterion are open, of how many students."""

    title: str
    items: int
    stale: int
    students: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a class is from final marks.

    `released` are students whose marks were given out; `changed` maps those whose marks are others
    since to the points (or the range) that were given out. `requests` is the number of regrade
    requests that are open.
    """

    decisions: tuple[OpenDecisions, ...] = ()
    released: frozenset[str] = frozenset()
    changed: Mapping[str, str] = field(default_factory=dict)
    requests: int = 0


@dataclass(frozen=True, slots=True)
class ClassReport:
    """The content of the class page.

    `folders` maps a student to the name of their folders under `students/` and `staff/`.
    `question_shares` maps a hidden question's id to the share of adapters (0 to 1) that answered it
    right, and `question_texts` to its text; both are empty when nothing was run. `written` maps a
    student to (file name in the folder under `staff/`, title) of each written work that was read.
    """

    assignment: Assignment
    results: tuple[Result, ...]
    folders: Mapping[str, str]
    question_shares: Mapping[str, float]
    question_texts: Mapping[str, str]
    provenance: Mapping[str, Any]
    written: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    standing: Standing = Standing()


@dataclass(frozen=True, slots=True)
class _PartPoints:
    """Points of one part, and the gain (share of right answers) where a criterion reads one."""

    lower: float
    upper: float
    gain: float | None


@dataclass(frozen=True, slots=True)
class _StudentRow:
    """One student, with the link to the student's page, or "".

    `written` are (link, title) of the plain texts of written work; `parts` are in the assignment's
    order.
    """

    result: Result
    link: str
    written: tuple[tuple[str, str], ...]
    comparison: BeforeAfter | None
    direction: str
    parts: tuple[_PartPoints, ...]


@dataclass(frozen=True, slots=True)
class _Tally:
    """The number of students for each outcome of a check."""

    code: str
    title: str
    failed: int
    skipped: int
    unknown: int
    looked_at: int


@dataclass(frozen=True, slots=True)
class _Average:
    """Mean points of a criterion where they are known; `mean` is None where none are.

    Of an `extra` criterion only those count who tried it.
    """

    title: str
    category: str
    extra: bool
    max_points: float
    mean: float | None
    undecided: int


_GAIN_ENDS: Final = frozenset({"delta_low95", "share_low95"})  # what criteria on a gain read


def class_html(report: ClassReport) -> str:
    """The whole page of a class as HTML text."""
    results = sorted(report.results, key=lambda r: r.student)
    rows = [_row(result, report) for result in results]
    compared = [row for row in rows if row.comparison is not None]
    questions = sorted(report.question_shares.items(), key=lambda item: (item[1], item[0]))
    tallies = _tallies(results)
    return render(
        "class.html.j2",
        assignment=report.assignment,
        n=len(results),
        statuses={s.name: sum(r.status is s for r in results) for s in Status},
        lower=_spread([r.total.lower for r in results]),
        upper=_spread([r.total.upper for r in results]),
        passed=sum(r.total.lower >= report.assignment.pass_points for r in results),
        may_pass=sum(r.total.upper >= report.assignment.pass_points for r in results),
        distribution=_distribution(report, results),
        slopes=_slopes(compared),
        compared=len(compared),
        better=sum(row.direction == "better" for row in compared),
        attention=needs_attention(report.assignment, results),
        row_of={row.result.student: row for row in rows},
        standing=report.standing,
        rows=rows,
        written=any(row.written for row in rows),
        tallies=[tally for tally in tallies if tally.failed or tally.unknown],
        all_passed=[tally.code for tally in tallies if not (tally.failed or tally.unknown)],
        averages=_averages(report.assignment, results),
        difficulty=plots.difficulty([share for _, share in questions]) if questions else None,
        questions=questions[:REPORT_MAX_LISTED_QUESTIONS],
        question_count=len(questions),
        question_texts=report.question_texts,
        provenance=report.provenance,
    )


def _row(result: Result, report: ClassReport) -> _StudentRow:
    folder = report.folders.get(result.student)
    home = quote(folder, safe="") if folder else ""
    texts = report.written.get(result.student, ()) if home else ()
    comparison = before_after(result.findings)
    return _StudentRow(
        result=result,
        link=f"students/{home}/feedback.html" if home else "",
        written=tuple((f"staff/{home}/{quote(name, safe='')}", title) for name, title in texts),
        comparison=comparison,
        direction=_direction(comparison),
        parts=tuple(_part(part.id, result, report.assignment) for part in report.assignment.parts),
    )


def _part(part: str, result: Result, assignment: Assignment) -> _PartPoints:
    mine = [score for score in result.scores if score.part == part]
    sources = [c.source for c in assignment.criteria if c.part == part]
    refs = {ref for ref, _, measure in (s.partition(".") for s in sources) if measure in _GAIN_ENDS}
    gains = [
        float(gain)
        for finding in result.findings
        if finding.code in refs and isinstance(gain := finding.measures.get("delta"), int | float)
    ]
    return _PartPoints(
        sum(score.points or 0 for score in mine),
        sum(score.max_points if score.points is None else score.points for score in mine),
        max(gains, default=None),
    )


def _direction(comparison: BeforeAfter | None) -> str:
    """ "better" or "worse" only where the whole interval agrees."""
    if comparison is not None and comparison.low > 0:
        return "better"
    return "worse" if comparison is not None and comparison.high < 0 else "unclear"


def _spread(values: Sequence[float]) -> tuple[float, float, float] | None:
    """(lowest, median, highest), or None of an empty class."""
    return (min(values), median(values), max(values)) if values else None


def _distribution(report: ClassReport, results: Sequence[Result]) -> Markup | None:
    ranges = [plots.Range(r.student, r.total.lower, r.total.upper) for r in results]
    assignment = report.assignment
    if not ranges:
        return None
    return plots.distribution(ranges, assignment.max_points, assignment.pass_points)


def _slopes(rows: Sequence[_StudentRow]) -> Markup | None:
    lines = [
        plots.Slope(row.result.student, row.comparison.before, row.comparison.after, row.direction)
        for row in rows
        if row.comparison is not None
    ]
    if not lines:
        return None
    compared = [row.comparison for row in rows if row.comparison is not None]
    return plots.slopes(lines, fmean(c.before for c in compared), fmean(c.chance for c in compared))


def _tallies(results: Sequence[Result]) -> list[_Tally]:
    """One tally a code, the most failed first; of large families only failed rules."""
    by_code: dict[str, list[Finding]] = {}
    for result in results:
        for finding in result.findings:
            by_code.setdefault(finding.code, []).append(finding)
    tallies = []
    for code, findings in by_code.items():
        outcomes = [finding.outcome for finding in findings]
        unknown = outcomes.count(Outcome.ERROR) + outcomes.count(Outcome.REVIEW)
        skipped = outcomes.count(Outcome.SKIP)
        failed, looked_at = outcomes.count(Outcome.FAIL), len(findings) - skipped
        if not failed and not unknown and code[:3] in SUMMED_UP:
            continue
        tallies.append(_Tally(code, findings[0].title, failed, skipped, unknown, looked_at))
    return sorted(tallies, key=lambda tally: (-tally.failed, -tally.unknown, tally.code))


def _averages(assignment: Assignment, results: Sequence[Result]) -> list[_Average]:
    categories = {category.id: category for category in assignment.categories}
    earned: dict[str, list[float | None]] = {}
    for result in results:
        for score in result.scores:
            category = categories.get(score.category)
            if category is None or not not_attempted(category, score, result.findings):
                earned.setdefault(score.id, []).append(score.points)
    averages = []
    for criterion in assignment.criteria:
        points = earned.get(criterion.id, [])
        known = [p for p in points if p is not None]
        averages.append(
            _Average(
                title=criterion.title,
                category=categories[criterion.category].title,
                extra=categories[criterion.category].extra,
                max_points=criterion.points,
                mean=fmean(known) if known else None,
                undecided=len(points) - len(known),
            )
        )
    return averages

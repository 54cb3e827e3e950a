"""Results, findings and score changes as Rich tables. Student text is never read as markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from types import MappingProxyType
from typing import Any, Final

from rich import box
from rich.table import Table
from rich.text import Text

from grader.core.constants import REPORT_MAX_NAME_CHARACTERS, REPORT_MAX_STEPS
from grader.core.nouns import Finding, Outcome, Severity, Status
from grader.core.result import AnswerSheet, Result
from grader.core.text import clean as clean
from grader.core.text import points, where
from grader.report.pages import summed_up
from grader.report.worth import Share, Step, Worth

# A symbol and a word: colour is never the only sign.
_OUTCOMES: Final = {
    Outcome.PASS: ("✓ pass", "green"),
    Outcome.FAIL: ("✗ fail", "bold red"),
    Outcome.SKIP: ("– skip", "dim"),  # noqa: RUF001
    Outcome.ERROR: ("! error", "bold magenta"),
    Outcome.REVIEW: ("? review", "yellow"),
}
_ORDER: Final = (Outcome.PASS, Outcome.SKIP, Outcome.REVIEW, Outcome.ERROR, Outcome.FAIL)
_SHOWN_TITLES: Final = 3  # criteria behind one step
_SHOWN_WRONG: Final = 10  # answers of one sheet: a screen
_SEVERITIES: Final = (Severity.NOTE, Severity.WARNING, Severity.ERROR)
_STATUSES: Final = {
    Status.FULLY_GRADED: ("✓ graded", "green"),
    Status.PENDING_MANUAL: ("? pending", "yellow"),
    Status.FAILED: ("✗ not taken in", "bold red"),
}


def gradebook_table(results: Sequence[Result]) -> Table:
    """One row a student, sorted by student: status, points or the range they lie in."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Student", overflow="fold")
    table.add_column("Status", no_wrap=True)
    table.add_column("Points", justify="right", no_wrap=True)
    table.add_column("Out of", justify="right", no_wrap=True)
    for result in sorted(results, key=lambda r: r.student):
        total = result.total
        if total.points is None:
            earned = f"{points(total.lower)} to {points(total.upper)}"
        else:
            earned = points(total.points)
        table.add_row(
            Text(clean(result.student, REPORT_MAX_NAME_CHARACTERS)),
            Text(*_STATUSES[result.status]),
            Text(earned),
            Text(points(total.max_points)),
        )
    return table


def findings_table(
    findings: Sequence[Finding], worths: Mapping[str, Worth] = MappingProxyType({})
) -> Table:
    """Outcome, code, place and fix; failures come last, next to the prompt.

    A fault has a row of its own. What passed is one row, and so are checks that were not looked at,
    or not yet, for one and the same reason. With `worths` by code, points stand beside.
    """
    table = Table(box=box.SIMPLE_HEAD, show_lines=False)
    table.add_column("", no_wrap=True)
    table.add_column("Code", no_wrap=True)
    if worths:
        table.add_column("Points", justify="right", no_wrap=True)
    table.add_column("What", overflow="fold", ratio=1)
    for group in _groups(summed_up(findings)):
        first = group[0]
        what = Text(clean(first.title), style="bold")
        if len(group) > 1:
            codes = ", ".join(clean(finding.code) for finding in group)
            what = Text.assemble((f"{len(group)} checks", "bold"), f" {codes}")
        if first.outcome is not Outcome.PASS:
            place = where(first.location)
            what.append(f"\n{place}: " if place else "\n", style="not bold dim")
            what.append(clean(first.message), style="not bold not dim")
        # The fault behind what was not looked at has a row, and says there what to do.
        if first.hint and first.outcome not in (Outcome.PASS, Outcome.SKIP):
            what.append(f"\nNext: {clean(first.hint)}", style="not bold cyan")
        code = Text(clean(first.code) if len(group) == 1 else "")
        cells = [_earned(group, worths)] if worths else []
        table.add_row(Text(*_sign(first)), code, *cells, what)
    return table


def _earned(group: Sequence[Finding], worths: Mapping[str, Worth]) -> Text:
    """The points that hang on these findings together."""
    some = [worths[finding.code] for finding in group if finding.code in worths]
    if not some:
        return Text("")
    whole = reduce(Worth.plus, some)
    earned = f"{points(whole.earned)} of {points(whole.most)}"
    if whole.open == whole.most:
        return Text(f"{points(whole.open)} open")
    return Text(f"{earned}, {points(whole.open)} open" if whole.open else earned)


def shares_table(found: Sequence[Share]) -> Table:
    """Points by category and part: what is certain, what is open and what is an estimate."""
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for share in found:
        title = f"  {share.title}" if share.part else share.title
        said = share.said if share.counts else f"{share.said} (not among the best)"
        table.add_row(Text(clean(title), style="" if share.part else "bold"), Text(said))
    return table


def sheet_title(sheet: AnswerSheet) -> Text:
    """How many answers were right, before and now."""
    scores = f"{sheet.right} of {sheet.asked} right, {sheet.right_before} before"
    return Text(f"{clean(sheet.title)}: {scores}")


def sheet_table(sheet: AnswerSheet) -> Table:
    """Wrong answers of one sheet: question, expected, before and now."""
    table = Table(title=sheet_title(sheet), title_justify="left", box=box.SIMPLE_HEAD, expand=True)
    for heading in ("Wrong: question", "Expected", "Before", "Now"):
        table.add_column(heading, overflow="fold")
    for row in sheet.wrong[:_SHOWN_WRONG]:
        texts = (row.question, row.expected, row.before or "-", row.given or "-")
        table.add_row(*(Text(clean(text)) for text in texts))
    if (more := sheet.asked - sheet.right - _SHOWN_WRONG) > 0:
        table.caption = f"{more} more; --format json has some of them."
    return table


def steps_table(steps: Sequence[Step]) -> Table:
    """What one more step would earn, the most points first."""
    table = Table(title="What one more step is worth", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("Points", no_wrap=True)
    table.add_column("Code", no_wrap=True)
    table.add_column("For", overflow="fold", ratio=1)
    for step in steps[:REPORT_MAX_STEPS]:
        gain = f"{'up to ' if step.most else ''}+{points(step.gain)}"
        more = len(step.titles) - _SHOWN_TITLES
        titles = ", ".join(step.titles[:_SHOWN_TITLES]) + (f" and {more} more" if more > 0 else "")
        said = f"{titles}: {step.then}"
        table.add_row(
            gain, step.code, Text(clean(f"{said} (now {step.now})" if step.now else said))
        )
    return table


def _groups(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Findings that share a row, in the order of the rows."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for place, finding in enumerate(findings):
        key: tuple[object, ...] = (_ORDER.index(finding.outcome),)
        if finding.outcome is Outcome.FAIL:
            key = (*key, _SEVERITIES.index(finding.severity), place)
        elif finding.outcome is not Outcome.PASS:
            key = (*key, 0, finding.message, finding.hint, finding.location)
        groups.setdefault(key, []).append(finding)
    return [group for _, group in sorted(groups.items(), key=lambda item: item[0][:2])]


def _sign(finding: Finding) -> tuple[str, str]:
    """Symbol, word and style; a failed warning or note says so."""
    if finding.outcome is Outcome.FAIL and finding.severity is not Severity.ERROR:
        return f"✗ {finding.severity}", "yellow"
    return _OUTCOMES[finding.outcome]


def changes(before: Sequence[Result], after: Sequence[Result]) -> list[dict[str, Any]]:
    """Rows {"student", "criterion", "before", "after", "why"}; a total has criterion "total".

    Points are None where unknown. `why` says what differs in the rubric, or which findings decide.
    """
    rows: list[dict[str, Any]] = []
    for old, new in zip(before, after, strict=True):
        earlier = {s.id: s for s in old.scores}
        for score in new.scores:
            was = earlier.pop(score.id, None)
            if was is not None and (was.points, was.max_points) == (score.points, score.max_points):
                continue
            why = "new criterion"
            if was is not None and was.max_points != score.max_points:
                why = f"worth {points(score.max_points)} points, was {points(was.max_points)}"
            elif was is not None and was.items != score.items:
                why = "decided by a person"
            elif was is not None:
                why = "other bands or requirements"
            if score.because:
                why += f" (by {', '.join(score.because)})"
            rows.append(_row(new, score.id, was.points if was else None, score.points, why))
        for gone in earlier.values():
            rows.append(_row(new, gone.id, gone.points, None, "no longer in the rubric"))
        if (old.total.lower, old.total.upper) != (new.total.lower, new.total.upper):
            rows.append(_row(new, "total", _range(old), _range(new), "the sum of these"))
    return rows


def _row(result: Result, criterion: str, before: Any, after: Any, why: str) -> dict[str, Any]:
    return {
        "student": result.student,
        "criterion": criterion,
        "before": before,
        "after": after,
        "why": why,
    }


def _range(result: Result) -> float | list[float]:
    total = result.total
    return total.points if total.points is not None else [total.lower, total.upper]


def changes_table(rows: Sequence[dict[str, Any]]) -> Table:
    """The rows as a table for a terminal."""
    table = Table(title="What changed")
    for heading in ("Student", "Criterion", "Before", "After", "Why"):
        table.add_column(heading)
    for row in rows:
        cells = (
            clean(row["student"]),
            row["criterion"],
            _points(row["before"]),
            _points(row["after"]),
            row["why"],
        )
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _points(value: float | list[float] | None) -> str:
    if isinstance(value, list):
        return f"{points(value[0])} to {points(value[1])}"
    return "not known" if value is None else points(value)

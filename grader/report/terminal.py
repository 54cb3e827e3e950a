"""Results as Rich tables. Nothing here prints, and no student's text is read as Rich markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

from grader.constants import REPORT_MAX_NAME_CHARACTERS
from grader.model import Finding, Outcome, Result, Severity, Status
from grader.report.findings import summed_up
from grader.report.text import clean as clean
from grader.report.text import points, where

# A symbol and a word: colour is never the only sign.
_OUTCOMES: Final = {
    Outcome.PASS: ("✓ pass", "green"),
    Outcome.FAIL: ("✗ fail", "bold red"),
    Outcome.SKIP: ("– skip", "dim"),  # noqa: RUF001
    Outcome.ERROR: ("! error", "bold magenta"),
    Outcome.REVIEW: ("? review", "yellow"),
}
_ORDER: Final = (Outcome.PASS, Outcome.SKIP, Outcome.REVIEW, Outcome.ERROR, Outcome.FAIL)
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


def findings_table(findings: Sequence[Finding]) -> Table:
    """Outcome, code, place and what to do; what is to be mended comes last, where people look.

    A fault has a row of its own. What passed is one row, and so are checks that were not looked at,
    or not yet, for one and the same reason.
    """
    table = Table(box=box.SIMPLE_HEAD, show_lines=False)
    table.add_column("", no_wrap=True)
    table.add_column("Code", no_wrap=True)
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
        table.add_row(Text(*_sign(first)), code, what)
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
    """Symbol, word and style; a fail that is a warning or a note says so."""
    if finding.outcome is Outcome.FAIL and finding.severity is not Severity.ERROR:
        return f"✗ {finding.severity}", "yellow"
    return _OUTCOMES[finding.outcome]

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
    """One row a finding, in order and summed up: outcome, code, place, what to do."""
    table = Table(box=box.SIMPLE_HEAD, show_lines=False)
    table.add_column("", no_wrap=True)
    table.add_column("Code", no_wrap=True)
    table.add_column("Where", overflow="fold")
    table.add_column("What", overflow="fold", ratio=1)
    for finding in summed_up(findings):
        what = Text(clean(finding.title), style="bold")
        if finding.outcome is not Outcome.PASS:
            what.append(f"\n{clean(finding.message)}", style="not bold")
        if finding.hint and finding.outcome is not Outcome.PASS:
            what.append(f"\nNext: {clean(finding.hint)}", style="not bold cyan")
        place, code = Text(where(finding.location)), Text(clean(finding.code))
        table.add_row(Text(*_sign(finding)), code, place, what)
    return table


def _sign(finding: Finding) -> tuple[str, str]:
    """Symbol, word and style; a fail that is a warning or a note says so."""
    if finding.outcome is Outcome.FAIL and finding.severity is not Severity.ERROR:
        return f"✗ {finding.severity}", "yellow"
    return _OUTCOMES[finding.outcome]

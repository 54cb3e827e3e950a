"""gradebook.csv: one row a student, one column a criterion, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Final

from grader.core.constants import REPORT_MAX_TEXT_CHARACTERS
from grader.core.nouns import Result
from grader.core.text import clean, number

# What a spreadsheet takes for the start of a formula (OWASP, "CSV injection"); tab and carriage
# return are on that list too, but no control character survives `clean`.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001


def gradebook_csv(results: Sequence[Result], criteria: Sequence[str]) -> str:
    """The gradebook as CSV text with a header row, sorted by student.

    `criteria` are the ids of the assignment's criteria, in the order of their columns. A cell is
    blank where points are not known yet. Numbers have a point as decimal mark, whatever the locale.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    header = ["student", "status", "points", "max_points", "lower", "upper"]
    writer.writerow([*header, *map(safe_cell, criteria)])
    for result in sorted(results, key=lambda r: r.student):
        earned = {score.id: score.points for score in result.scores}
        total = result.total
        writer.writerow(
            [
                safe_cell(result.student),
                safe_cell(result.status.value),
                _cell(total.points),
                _cell(total.max_points),
                _cell(total.lower),
                _cell(total.upper),
                *(_cell(earned.get(id)) for id in criteria),
            ]
        )
    return out.getvalue()


def safe_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe goes before such a start."""
    line = clean(text, REPORT_MAX_TEXT_CHARACTERS)
    return f"'{line}" if line.startswith(_FORMULA_STARTS) else line


def _cell(points: float | None) -> str:
    return "" if points is None else number(points)

"""gradebook.csv: one row a student, one column a criterion, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from grader.core.constants import REPORT_MAX_TEXT_CHARACTERS
from grader.core.result import Result
from grader.core.text import clean, number

# Where a formula could start (OWASP, "CSV injection"): at the start of a cell, and behind whatever
# some program takes for the end of one, quoted or not. Tab and carriage return are on that list
# too, but no control character survives `clean`.
_STARTS: Final = re.compile(r"(?:^|[,;|])(?=[\s\"]*(\S))")
OF_FORMULAS: Final = frozenset("=+-@\N{MINUS SIGN}")


def gradebook_csv(results: Sequence[Result], criteria: Sequence[str]) -> str:
    """The gradebook as CSV text with a header row, sorted by student.

    `criteria` are the ids of the assignment's criteria, in the order of their columns. A cell is
    blank where points are not known yet. Numbers have a point as decimal mark, whatever the locale.
    Every cell is in quotes, so that it is one cell whatever separates them.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
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
    return _STARTS.sub(_marked, clean(text, REPORT_MAX_TEXT_CHARACTERS))


def _marked(start: re.Match[str]) -> str:
    first = unicodedata.normalize("NFKC", start[1])[0]  # full-width and other forms of a sign
    return f"{start[0]}'" if first in OF_FORMULAS else start[0]


def _cell(points: float | None) -> str:
    return "" if points is None else number(points)

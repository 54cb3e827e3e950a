"""What a new rubric changed: one row for each score that is not what it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from grader.model import Result
from grader.report.text import clean, points


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

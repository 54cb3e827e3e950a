"""How far the review of a class is: what is decided, open and stale, and whose work it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from grader.course.decisions import ReviewRow, State
from grader.course.review import ClassReview


def progress_of(review: ClassReview) -> dict[str, Any]:
    """What is decided and what is open, by criterion, by student and by grader, as JSON."""
    rows = review.rows()
    waiting = [row for row in rows if review.pending(row)]
    stale = [row for row in rows if row.state is State.STALE]
    return {
        "open": len(waiting),
        "by_criterion": _tally(
            *([row.criterion.id for row in some] for some in (rows, waiting, stale))
        ),
        "by_student": dict(
            sorted(
                _tally(*([row.student for row in some] for some in (rows, waiting, stale))).items()
            )
        ),
        "by_grader": dict(
            sorted(
                Counter(
                    row.review.grader
                    for row in rows
                    if row.review is not None and row.level is not None
                ).items()
            )
        ),
        "stale": [_stale(review, row) for row in stale],
        "requests": [asdict(request) for request in review.store.marks.requests()],
        "reworded": [_named(row) for row in rows if row.reworded],
        "not_taken_in": [
            {"student": student, "code": first.code, "message": first.message, "hint": first.hint}
            for student, first in review.not_taken_in()
        ],
    }


def _tally(
    rows: Sequence[str], waiting: Sequence[str], stale: Sequence[str]
) -> dict[str, dict[str, int]]:
    counts = {"rows": Counter(rows), "open": Counter(waiting), "stale": Counter(stale)}
    return {id: {name: count[id] for name, count in counts.items()} for id in dict.fromkeys(rows)}


def _named(row: ReviewRow) -> dict[str, Any]:
    return {"student": row.student, "criterion": row.criterion.id, "item": row.item.id}


def _stale(review: ClassReview, row: ReviewRow) -> dict[str, Any]:
    was = row.review
    return _named(row) | {
        "was": None if was is None else was.level,
        "grader": None if was is None else was.grader,
        "difference": review.difference(row),
    }

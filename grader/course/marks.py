"""A student's marks, and how far a class is from final ones.

The marks of a student are their points, levels and comments. What changes later, by a decision or
a new grading, stands beside them for the instructor; students see it when it is released.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from grader.core.nouns import Assignment
from grader.core.result import Result
from grader.core.text import points
from grader.course.decisions import State, review_rows
from grader.evidence.marks import RequestState
from grader.evidence.store import EvidenceStore
from grader.report.classroom import OpenDecisions, Standing
from grader.report.result_json import to_json


def marks_text(result: Result) -> str:
    """The marks of one student as JSON text: the same marks always give the same text."""
    written = to_json(result)  # numbers as they are read back
    value = {
        "status": written["status"],
        "total": [written["lower"], written["upper"], written["max_points"]],
        "criteria": [
            [c["id"], c["points"], c["max_points"], [_judged(i) for i in c.get("items", ())]]
            for c in written["criteria"]
        ],
    }
    return json.dumps(value, sort_keys=True)


def _judged(item: Mapping[str, Any]) -> list[Any]:
    return [item["id"], item["level"], item["comment"]]


def marks_key(result: Result) -> str:
    """The digest of a student's marks, under which a release keeps them."""
    return hashlib.sha256(marks_text(result).encode()).hexdigest()


def standing_of(
    results: Sequence[Result], assignment: Assignment, store: EvidenceStore
) -> Standing:
    """How far the class is from final marks."""
    held = store.marks.released()
    here = {result.student: result for result in results}
    changed = {
        student: _told(json.loads(store.reviews.kept(key) or "{}"))
        for student, key in held.items()
        if student in here and marks_key(here[student]) != key
    }
    return Standing(
        decisions=_open_decisions(results, assignment, store),
        released=frozenset(held) & frozenset(here),
        changed=changed,
        requests=sum(r.state is RequestState.OPEN for r in store.marks.requests()),
    )


def _told(marks: dict[str, Any]) -> str:
    lower, upper = (points(value) for value in marks["total"][:2])
    return lower if lower == upper else f"{lower} to {upper}"


def _open_decisions(
    results: Sequence[Result], assignment: Assignment, store: EvidenceStore
) -> tuple[OpenDecisions, ...]:
    reviews = store.reviews.latest()
    waiting = [
        row
        for result in results
        for row in review_rows(result, assignment, reviews)
        if row.state is not State.DONE
        and any(s.id == row.criterion.id and s.points is None for s in result.scores)
    ]
    mine = [
        (criterion.title, [row for row in waiting if row.criterion.id == criterion.id])
        for criterion in assignment.criteria
    ]
    return tuple(
        OpenDecisions(
            title,
            len(rows),
            sum(row.state is State.STALE for row in rows),
            len({row.student for row in rows}),
        )
        for title, rows in mine
        if rows
    )

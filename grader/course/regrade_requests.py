"""Regrade requests: students ask to look at a mark again, and every request gets an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from grader.core.constants import REVIEW_MAX_COMMENT_CHARACTERS, REVIEW_MAX_TABLE_BYTES
from grader.core.errors import UsageError
from grader.core.text import clean
from grader.course.review import ClassReview, as_kept
from grader.course.review_table import Imported, NotPlaced, Refused, known_student
from grader.evidence.marks import RegradeRequest, RequestState
from grader.report.exports.review_table import TableRow, read_table

_NEEDED: Final = ("student", "criterion", "text")
_STATES: Final = {state.value: state for state in RequestState}


def import_requests(review: ClassReview, path: Path) -> Imported:
    """Take the requests of a table with the columns student, criterion and text, in one
    transaction; rows that cannot be placed are left out.

    A row that has a request's words again, with a `state` and a `reason`, answers it. No request
    is ever removed, whatever later tables leave out. Raises UsageError when it is no such table.
    """
    with path.open("rb") as file:
        data = file.read(REVIEW_MAX_TABLE_BYTES + 1)
    if len(data) > REVIEW_MAX_TABLE_BYTES:
        raise UsageError(f"{path} has more than {REVIEW_MAX_TABLE_BYTES:,} bytes: no such table.")
    held = {request.key: request for request in review.store.marks.requests()}
    new: dict[tuple[str, str, str], RegradeRequest] = {}
    refused: list[Refused] = []
    unchanged = 0
    for row in read_table(data, str(path), _NEEDED):
        try:
            request = _request(review, row, held)
        except NotPlaced as why:
            name = clean(" / ".join(row.cells[column] for column in _NEEDED), 200)
            refused.append(Refused(row.line, name, str(why)))
            continue
        if held.get(request.key) == request:
            unchanged += 1
        else:
            new[request.key] = held[request.key] = request
    review.store.marks.note_requests(list(new.values()))
    return Imported(len(new), unchanged, tuple(refused))


def _request(
    review: ClassReview, row: TableRow, held: dict[tuple[str, str, str], RegradeRequest]
) -> RegradeRequest:
    student = known_student(review, row.cells["student"].strip())
    criterion = row.cells["criterion"].strip()
    text = as_kept(row.cells["text"]).strip()
    reason = as_kept(row.cells.get("reason", "")).strip()
    if criterion not in {c.id for c in review.assignment.criteria}:
        raise NotPlaced(f"there is no criterion {clean(criterion, 60)!r}")
    if not text:
        raise NotPlaced("its text is blank: a request says what it is about")
    if max(len(text), len(reason)) > REVIEW_MAX_COMMENT_CHARACTERS:
        raise NotPlaced(f"its text is longer than {REVIEW_MAX_COMMENT_CHARACTERS:,} characters")
    known = held.get((student, criterion, text))
    said = row.cells.get("state", "").strip().casefold()
    if not said:  # a table of requests alone: one that was answered stays so
        return known or RegradeRequest(student, criterion, text)
    if said not in _STATES:
        raise NotPlaced(f"state {clean(said, 40)!r} is none of {', '.join(_STATES)}, or blank")
    if _STATES[said] is RequestState.DECLINED and not reason:
        raise NotPlaced("it is declined without a reason")
    return RegradeRequest(student, criterion, text, _STATES[said], reason)

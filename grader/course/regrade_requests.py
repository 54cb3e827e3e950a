"""Regrade requests: students ask to look at a mark again, and every request gets an answer."""

from __future__ import annotations

from dataclasses import replace
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
    said = row.cells.get("state", "").strip().casefold()
    asked = request_of(review, row.cells["student"], row.cells["criterion"], row.cells["text"])
    if not said:  # a table of requests alone: one that was answered stays so
        return held.get(asked.key, asked)
    if said not in _STATES:
        raise NotPlaced(f"state {clean(said, 40)!r} is none of {', '.join(_STATES)}, or blank")
    return answered(asked, _STATES[said], row.cells.get("reason", ""))


def request_of(review: ClassReview, student: str, criterion: str, text: str) -> RegradeRequest:
    """A student's open request, by their name or anonymous id. Raises NotPlaced."""
    known = known_student(review, student.strip())
    criterion = criterion.strip()
    if criterion not in {c.id for c in review.assignment.criteria}:
        raise NotPlaced(f"there is no criterion {clean(criterion, 60)!r}")
    said = as_kept(text).strip()
    if not said:
        raise NotPlaced("its text is blank: a request says what it is about")
    return RegradeRequest(known, criterion, _short(said))


def answered(request: RegradeRequest, state: RequestState, reason: str) -> RegradeRequest:
    """The request with what became of it. Raises NotPlaced."""
    said = as_kept(reason).strip()
    if state is RequestState.DECLINED and not said:
        raise NotPlaced("it is declined without a reason")
    return replace(request, state=state, reason=_short(said))


def _short(text: str) -> str:
    if len(text) > REVIEW_MAX_COMMENT_CHARACTERS:
        raise NotPlaced(f"its text is longer than {REVIEW_MAX_COMMENT_CHARACTERS:,} characters")
    return text

"""Regrade requests on a page: staff enter what students ask, and answer it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from grader.core.errors import UsageError
from grader.core.text import points
from grader.course.decisions import rescored
from grader.course.regrade_requests import answered, request_of
from grader.course.review_table import NotPlaced
from grader.evidence.marks import RegradeRequest, RequestState
from grader.web.access import Viewer
from grader.web.desk import Desk
from grader.web.pages import render
from grader.web.routes import Class, Entrance, Viewing

router = APIRouter()

_WORDS: Final = {
    RequestState.OPEN: "open",
    RequestState.CHANGED: "the mark was changed",
    RequestState.DECLINED: "declined",
    RequestState.WITHDRAWN: "withdrawn by the student",
}


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request with its number in the log's order, and its criterion's title, mark and worth.

    `mark` follows from all decisions of now, `released` is what the student was told, "" where
    nothing was. `judged`: the page has items for it.
    """

    number: int
    request: RegradeRequest
    title: str
    mark: str
    worth: str
    released: str
    judged: bool


def _views(desk: Desk, viewer: Viewer) -> list[RequestView]:
    told = desk.store.marks.released()
    return [
        _view(desk, number, one, desk.store.reviews.kept(told.get(one.student, "")))
        for number, one in desk.requests(viewer)
    ]


def _view(desk: Desk, number: int, one: RegradeRequest, told: str | None) -> RequestView:
    criterion = next((c for c in desk.assignment.criteria if c.id == one.criterion), None)
    if criterion is None:  # of a former rubric: the request stays
        return RequestView(number, one, one.criterion, "", "", _released(told, one), judged=False)
    return RequestView(
        number,
        one,
        criterion.title,
        _mark(desk, one),
        points(criterion.points),
        _released(told, one),
        judged=bool(desk.rows(one.student, criterion)),
    )


def _mark(desk: Desk, request: RegradeRequest) -> str:
    result = rescored(desk.results[request.student], desk.assignment, desk.held)
    score = next(score for score in result.scores if score.id == request.criterion)
    return "pending" if score.points is None else points(score.points)


def _released(told: str | None, request: RegradeRequest) -> str:
    criteria: Sequence[Any] = () if told is None else json.loads(told)["criteria"]
    mark = next((mark for id, mark, *_ in criteria if id == request.criterion), None)
    return "" if mark is None else points(mark)


@router.get("/requests")
async def requests_page(desk: Class, viewer: Viewing) -> Response:
    """All requests of those whom the viewer may see, open ones first."""
    views = _views(desk, viewer)
    is_open = [view for view in views if view.request.state is RequestState.OPEN]
    return render(
        "requests.html.j2",
        viewer=viewer,
        desk=desk,
        page="requests",
        waiting=is_open,
        requests=is_open + [view for view in views if view not in is_open],
        criteria=desk.assignment.criteria,
        students=[(desk.alias(s), s) for s in desk.students(viewer)],
        words=_WORDS,
    )


class Asked(BaseModel):
    """What a student asks, by their name or anonymous id."""

    model_config = ConfigDict(extra="forbid")
    student: str
    criterion: str
    text: str


@router.post("/requests")
async def enter_request(asked: Asked, desk: Class, viewer: Viewing, access: Entrance) -> Response:
    """Note a student's request."""
    try:
        request = request_of(desk.review, asked.student, asked.criterion, asked.text)
    except NotPlaced as why:
        raise UsageError(f"Not entered: {why}.") from why
    if not desk.sees(viewer, request.student):
        raise UsageError("Not entered: this student is in another section.")
    if request.key in {one.key for one in desk.store.marks.requests()}:
        raise UsageError("Not entered: this request is there already, in the same words.")
    desk.note_request(request)
    access.note(viewer.grader, f"entered a regrade request on {request.criterion}")
    return Response(status_code=204)


class Answer(BaseModel):
    """What became of a request, and the state in which the page showed it."""

    model_config = ConfigDict(extra="forbid")
    number: int
    seen: RequestState
    state: RequestState
    reason: str


@router.post("/requests/answer")
async def answer_request(
    answer: Answer, desk: Class, viewer: Viewing, access: Entrance
) -> Response:
    """Note what became of a request, unless somebody else did meanwhile."""
    request = dict(desk.requests(viewer)).get(answer.number)
    if request is None:
        return JSONResponse({"detail": "Not saved: there is no such request."}, 410)
    if request.state is not answer.seen:
        text = (
            f"Not saved: somebody set it to {request.state} meanwhile. Reload the page to see it."
        )
        return JSONResponse({"detail": text}, 409)
    try:
        done = answered(request, answer.state, answer.reason)
    except NotPlaced as why:
        raise UsageError(f"Not saved: {why}.") from why
    if done != request:
        desk.note_request(done)
        access.note(viewer.grader, f"set regrade request {answer.number + 1} to {done.state}")
    return Response(status_code=204)

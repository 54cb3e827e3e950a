"""The addresses of the review page, and who may use them.

All handlers are coroutines: they run in the thread of the event loop, as SQLite's connections must.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict

from grader.core.constants import WEB_SESSION_SECONDS
from grader.core.nouns import Criterion
from grader.core.review import Level
from grader.core.text import clean_lines
from grader.evidence.review import Conflict, Place
from grader.web import views
from grader.web.access import Access, TooManyAttempts, Viewer
from grader.web.desk import Desk
from grader.web.facts import FactCache, side_by_side
from grader.web.opinions import opinions_on
from grader.web.pages import STATIC, render, static
from grader.web.texts import Document, documents_of, marked_pieces, program_pieces, says

_ENTRIES: Final = 500  # of the log in one answer; a page that saw fewer asks again

router = APIRouter()


class NotIn(Exception):
    """Whoever asks has no session."""


class NotThere(Exception):
    """There is no such page, or it is not for this viewer."""


async def who(request: Request) -> Viewer | None:
    """Whose session the request belongs to."""
    access: Access = request.app.state.access
    return access.viewer(request.cookies.get(request.app.state.cookie, ""))


async def _viewer(request: Request) -> Viewer:
    viewer = await who(request)
    if viewer is None:
        raise NotIn
    return viewer


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    desk.refresh()
    return desk


async def _access(request: Request) -> Access:
    access: Access = request.app.state.access
    return access


Viewing = Annotated[Viewer, Depends(_viewer)]
Class = Annotated[Desk, Depends(_desk)]
Entrance = Annotated[Access, Depends(_access)]


@router.get("/static/{name}")
async def own_file(name: str) -> Response:
    """Our script and style sheet; their addresses change with them."""
    if name not in STATIC:
        raise NotThere
    kept = {"cache-control": "public, max-age=31536000, immutable"}
    return Response(static(name), headers=kept, media_type=STATIC[name])


@router.get("/enter")
async def entrance(viewer: Annotated[Viewer | None, Depends(who)]) -> Response:
    """Where links lead. The token is behind the "#", which browsers never send: the page's script
    does, so that it stands in no log and nothing that fetches links ahead uses it up.
    """
    return render("enter.html.j2", viewer=viewer, page="enter")


class Login(BaseModel):
    """The token of a link."""

    model_config = ConfigDict(extra="forbid")
    token: str


@router.post("/enter")
async def enter(request: Request, login: Login, access: Entrance) -> Response:
    """Open a session."""
    client = request.client.host if request.client else ""
    try:
        session = access.enter(login.token, client)
    except TooManyAttempts:
        return JSONResponse({"detail": "Too many attempts. Wait a minute."}, 429)
    if session is None:
        text = "This link does not work: it was used already, or revoked, or the server has ended."
        return JSONResponse({"detail": text}, 401)
    response = Response(status_code=204)
    response.set_cookie(
        request.app.state.cookie,
        session,
        max_age=WEB_SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/leave")
async def leave(request: Request, viewer: Viewing, access: Entrance) -> Response:
    """End the session."""
    access.leave(viewer)
    response = RedirectResponse("/enter", 303)
    response.delete_cookie(request.app.state.cookie)
    return response


class Naming(BaseModel):
    """Whether names are shown."""

    model_config = ConfigDict(extra="forbid")
    show: bool


@router.post("/names")
async def names(naming: Naming, viewer: Viewing, access: Entrance) -> Response:
    """Show students' names in this session, or their anonymous ids."""
    access.show_names(viewer, naming.show)
    return Response(status_code=204)


@router.get("/")
async def start_page(desk: Class, viewer: Viewing) -> Response:
    """Where the class stands."""
    return render(
        "start.html.j2", viewer=viewer, desk=desk, page="start", **views.start(desk, viewer)
    )


@router.get("/criterion/{id}")
async def criterion_page(id: str, desk: Class, viewer: Viewing) -> Response:
    """One criterion: its students, in an order that is its own."""
    criterion = desk.criterion(id)
    if criterion is None:
        raise NotThere
    order = desk.order(criterion, viewer)
    return render(
        "criterion.html.j2",
        viewer=viewer,
        desk=desk,
        page="criterion",
        criterion=criterion,
        students=[(s, desk.rows(s, criterion)) for s in order],
        first=views.first_open(desk, viewer, criterion),
    )


@router.get("/criterion/{id}/{alias}")
async def one_criterion(id: str, alias: str, desk: Class, viewer: Viewing) -> Response:
    """One criterion of one student."""
    criterion = desk.criterion(id)
    student = desk.student(alias, viewer)
    if criterion is None or student is None or not desk.rows(student, criterion):
        raise NotThere
    return _work(desk, viewer, student, criterion)


@router.get("/student/{alias}")
async def one_student(alias: str, desk: Class, viewer: Viewing) -> Response:
    """All criteria of one student."""
    student = desk.student(alias, viewer)
    if student is None:
        raise NotThere
    return _work(desk, viewer, student, None)


def _work(desk: Desk, viewer: Viewer, student: str, criterion: Criterion | None) -> Response:
    order = desk.students(viewer) if criterion is None else desk.order(criterion, viewer)
    before, after, number = views.neighbours(order, student)
    chosen = desk.criteria if criterion is None else [criterion]
    every = _documents(desk, student)
    judged = {id for one in chosen for id in one.judges}
    return render(
        "work.html.j2",
        viewer=viewer,
        desk=desk,
        page="work",
        student=student,
        criterion=criterion,
        groups=list(views.groups(desk, viewer, student, chosen)),
        documents=[
            (n, document, list(_plain(desk, document)))
            for n, document in enumerate(every)
            if document.deliverable in judged or not document.deliverable
        ],
        before=before,
        after=after,
        next=views.first_open(desk, viewer, criterion, student),
        number=number,
        of=len(order),
    )


def _documents(desk: Desk, student: str) -> list[Document]:
    result = desk.results[student]
    chosen = [c for c in desk.criteria if desk.rows(student, c)]
    return documents_of(desk.store, desk.assignment, result, chosen)


def _plain(desk: Desk, document: Document) -> Any:
    """A text before its facts are known; a program's lines of the kit are known at once."""
    if document.is_program:
        return program_pieces(desk.assignment.id, document.shown)
    return []


def _document(desk: Desk, viewer: Viewer, alias: str, number: int) -> tuple[str, Document]:
    student = desk.student(alias, viewer)
    documents: Sequence[Document] = [] if student is None else _documents(desk, student)
    if student is None or not 0 <= number < len(documents) or documents[number].text is None:
        raise NotThere
    return student, documents[number]


@router.get("/facts/{alias}/{number}")
async def facts(
    request: Request, alias: str, number: int, desk: Class, viewer: Viewing
) -> Response:
    """A document with its facts marked, to be put into the page."""
    student, document = _document(desk, viewer, alias, number)
    if not document.is_written:
        raise NotThere
    cache: FactCache = request.app.state.facts
    found, shared = await cache.of(desk.assignment, desk.results, student, document)
    return render(
        "facts.html.j2",
        viewer=viewer,
        desk=desk,
        facts=found,
        shared_words=sum(passage.words for passage in shared),
        shared=list(side_by_side(desk, viewer, document, shared)),
        pieces=marked_pieces(document.shown, found, shared, f"aspect-{number}"),
        number=number,
        says=says,
    )


@router.get("/shared/{alias}/{number}")
async def shared_code(
    request: Request, alias: str, number: int, desk: Class, viewer: Viewing
) -> Response:
    """What a program has in common with classmates' programs, to be put into the page."""
    student, document = _document(desk, viewer, alias, number)
    if not document.is_program:
        raise NotThere
    cache: FactCache = request.app.state.facts
    shared = await cache.shared(desk.assignment, desk.results, student, document)
    return render(
        "shared.html.j2",
        viewer=viewer,
        desk=desk,
        words=sum(passage.words for passage in shared),
        passages=list(side_by_side(desk, viewer, document, shared)),
    )


@router.get("/text/{alias}/{number}")
async def whole_text(alias: str, number: int, desk: Class, viewer: Viewing) -> Response:
    """All of a text, as text."""
    _, document = _document(desk, viewer, alias, number)
    return PlainTextResponse(clean_lines(document.text or ""))


class Decide(BaseModel):
    """One decision, and what the page saw: the entry in force, and the revision of the work."""

    model_config = ConfigDict(extra="forbid")
    student: str
    criterion: str
    item: str
    opinion: Literal["first", "second"] = "first"
    level: Level | None
    comment: str
    seen: int
    revision: str
    settles: bool = False


@router.post("/decide")
async def decide(asked: Decide, desk: Class, viewer: Viewing) -> Response:
    """Record a decision. When the answer comes it is on disk."""
    student = desk.student(asked.student, viewer)
    row = desk.row(Place(student, asked.criterion, asked.item)) if student is not None else None
    if student is None or row is None:
        return JSONResponse({"detail": "There is no such item any more. Reload the page."}, 410)
    if asked.revision != row.revision:
        text = "The student's work changed since the page was opened. Reload it."
        return JSONResponse({"detail": text}, 410)
    is_second = asked.opinion == "second"
    if is_second:
        done = desk.give_second(row, asked.level, asked.comment, viewer.grader, asked.seen)
    else:
        differs = opinions_on(row, desk.held).differ
        done = desk.decide(row, asked.level, asked.comment, viewer.grader, asked.seen)
        if asked.settles and differs and not isinstance(done, Conflict):
            desk.settle(row, done.level, viewer.grader)
    held = done.held if isinstance(done, Conflict) else done
    view = views.entry_view(desk, viewer, held)
    return JSONResponse({"entry": view}, 409 if isinstance(done, Conflict) else 200)


@router.get("/changes")
async def changes(after: int, desk: Class, viewer: Viewing) -> Response:
    """What was decided after this position of the log, that the viewer may see."""
    entries = desk.store.reviews.since(after)[:_ENTRIES]
    shown = [views.entry_view(desk, viewer, entry) for entry in entries]
    position = entries[-1].position if entries else max(after, 0)
    return JSONResponse({"position": position, "entries": [one for one in shown if one]})

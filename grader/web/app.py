"""The review page's application over one class."""

from __future__ import annotations

import hashlib

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response

from grader.core.errors import GraderFault, UsageError
from grader.course.output import STORE_NAME
from grader.web import requests
from grader.web.access import Access
from grader.web.desk import Desk
from grader.web.facts import FactCache
from grader.web.guard import Guard
from grader.web.pages import render
from grader.web.routes import NotIn, NotThere, router, who


def create_app(desk: Desk, access: Access, *, loopback: bool) -> FastAPI:
    """The application. It must run in the thread that opened both."""
    app = FastAPI(title="finegrade review", openapi_url=None)
    app.state.desk, app.state.access = desk, access
    app.state.facts = FactCache(desk.out / STORE_NAME)
    # Browsers keep cookies by host, whatever the port: two classes must not share one.
    name = hashlib.sha256(str(desk.out.resolve()).encode("utf-8", "replace")).hexdigest()[:8]
    app.state.cookie = f"finegrade_{name}"
    app.add_middleware(Guard, loopback=loopback)
    app.add_exception_handler(NotIn, _not_in)
    app.add_exception_handler(NotThere, _not_there)
    app.add_exception_handler(404, _not_there)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UsageError, _refused)
    app.add_exception_handler(GraderFault, _fault)
    app.include_router(router)
    app.include_router(requests.router)
    return app


async def _not_in(request: Request, _: Exception) -> Response:
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/enter", 303)
    return JSONResponse({"detail": "Your session has ended. Open your link again."}, 401)


async def _not_there(request: Request, _: Exception) -> Response:
    return render("nothing.html.j2", 404, viewer=await who(request), page="nothing")


async def _invalid(_: Request, __: Exception) -> Response:
    return JSONResponse({"detail": "This request is not one that the page sends."}, 422)


async def _refused(_: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 422)


async def _fault(_: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 503)

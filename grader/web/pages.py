"""Pages from templates: every text escaped, one style sheet and one script, nothing else loaded."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi.responses import HTMLResponse
from jinja2 import Environment

from grader import __version__
from grader.core.text import clean_lines, number, points, templates
from grader.web.texts import path_shown

_TEMPLATES: Final = Path(__file__).parent / "templates"
STATIC: Final = {"review.css": "text/css", "review.js": "text/javascript"}


def render(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """The page."""
    page = _environment().get_template(template).render(version=__version__, **values)
    return HTMLResponse(page, status)


@cache
def static(name: str) -> bytes:
    """Our own script or style sheet."""
    return (_TEMPLATES / name).read_bytes()


def address(name: str) -> str:
    """Where the page gets it; another version of it has another address."""
    return f"/static/{name}?v={hashlib.sha256(static(name)).hexdigest()[:16]}"


@cache
def _environment() -> Environment:
    environment = templates(_TEMPLATES, clean_lines)
    environment.filters.update(points=points, number=number, path=path_shown)
    environment.globals.update(static=address)
    return environment

"""Pages from templates: every text escaped, one style sheet and one script, nothing loaded."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from grader import __version__

_TEMPLATES: Final = Path(__file__).parent / "templates"
_SHEET, _SCRIPT = "page.css", "page.js"
_UNSEEN: Final = frozenset({"Cc", "Cs"})  # control characters and lone surrogates
_TURNING: Final = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def render(template: str, **values: Any) -> HTMLResponse:
    """The page, with a policy that lets a browser run and style by our own two files alone."""
    page = _environment().get_template(template).render(version=__version__, **values)
    return HTMLResponse(
        page,
        headers={
            "content-security-policy": _policy(),
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
        },
    )


def clean(text: str) -> str:
    """The text without what a browser cannot be sent, or would show as something else."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_unseen(c) else c for c in text)


def clock(seconds: float) -> str:
    """A Unix time as this machine's clock showed it."""
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}"


def span(seconds: float) -> str:
    """A length of time for people: 0.35 s, 12 s, 2 min 5 s, 3 h 20 min."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(number: int) -> str:
    """A number of bytes for people."""
    if number < 1000:
        return f"{number} B"
    return f"{number / 1000:.1f} kB" if number < 1_000_000 else f"{number / 1e6:.1f} MB"


def loss(value: float) -> str:
    """A loss with what can be told of it, however small it is."""
    return f"{value:.3f}" if value >= 0.01 or value == 0 else f"{value:.2g}"


def _is_unseen(character: str) -> bool:
    if unicodedata.category(character) in _UNSEEN:
        return character not in "\n\t"
    return unicodedata.bidirectional(character) in _TURNING


def _harmless(value: Any) -> Any:
    """What every `{{ ... }}` goes through before Jinja escapes it."""
    return clean(value) if type(value) is str else value


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
        loader=FileSystemLoader(_TEMPLATES),
    )
    environment.filters.update(clock=clock, span=span, size=size, loss=loss)
    environment.globals.update(sheet=Markup(_own(_SHEET)), script=Markup(_own(_SCRIPT)))
    return environment


@cache
def _own(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _policy() -> str:
    def digest(name: str) -> str:
        return "sha256-" + base64.b64encode(hashlib.sha256(_own(name).encode()).digest()).decode()

    return (
        f"default-src 'none'; style-src '{digest(_SHEET)}'; script-src '{digest(_SCRIPT)}'; "
        "connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )

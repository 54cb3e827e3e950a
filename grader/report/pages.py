"""Self-contained HTML pages from templates: no script, nothing loaded, every text escaped."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from grader.report.text import clean, file_size, percent, points, short_digest

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """The page as text. The same values always give the same bytes."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        loader=FileSystemLoader(_TEMPLATES),
        finalize=_harmless,
    )
    environment.filters.update(
        clean=clean, file_size=file_size, percent=percent, points=points, short_digest=short_digest
    )
    css = (_TEMPLATES / "page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    # Our own style sheet, so no student's text is in it; the policy allows these bytes only.
    environment.globals.update(css=Markup(css), css_hash=f"sha256-{digest}")
    return environment


def _harmless(value: Any) -> Any:
    """What every `{{ ... }}` goes through: plain text is cleaned, and then escaped by Jinja."""
    return clean(value) if type(value) is str else value

"""Paths of the files that ship beside the package, and of the cache folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from grader.core.errors import GraderFault

_PACKAGE = Path(__file__).parents[1]


def resource(kind: Literal["starter", "datasets", "rubrics"], *parts: str) -> Path:
    """The folder of this kind, or the path `parts` below it.

    In an installed wheel it stands in `grader/_shipped`, in a checkout beside the package. Beside
    an installed package it is never looked for: `site-packages/datasets` is another project's.
    Raises GraderFault when neither holds it.
    """
    checkout = _PACKAGE.parent
    roots = [_PACKAGE / "_shipped"]
    if (checkout / "pyproject.toml").is_file():
        roots.append(checkout)
    for root in roots:
        path = root.joinpath(kind, *parts)
        if path.exists():
            return path
    missing = "/".join((kind, *parts))
    raise GraderFault(f"{missing} did not come with this installation. Install finegrade again.")


def home() -> Path:
    """The folder of finegrade's caches: FINEGRADE_HOME, else the user's cache."""
    named = os.environ.get("FINEGRADE_HOME")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "finegrade"

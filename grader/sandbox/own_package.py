"""Where this package would be seen in a sandbox: its source says what hidden checks look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import grader


def own_package(shown: Mapping[str, Path]) -> list[str]:
    """The folders to hide, by their paths inside; `shown` maps paths inside to the machine's."""
    return [
        f"{inside}/{hidden.relative_to(place)}"
        for inside, place in shown.items()
        for hidden in own_folders([place])
        if hidden.is_relative_to(place)
    ]


def own_folders(shown: Iterable[Path]) -> list[Path]:
    """This package, and the files beside it in an editable installation."""
    beside = [
        place / "grader"
        for place in shown
        if place.name == "site-packages" and (place / "grader").is_dir()
    ]
    return [*dict.fromkeys([Path(grader.__file__).resolve().parent, *beside])]

"""`trials.jsonl`: what a student tried before the settings of the submitted adapter.

One trial a line: {"settings": {"rank": 8, "lr": 0.005}, "validation_loss": 0.4, "seconds": 9.3}.
A setting is an option of the training script, so {"rank": 8} is `--rank 8`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from grader.core.constants import TRIALS_MAX, TRIALS_MAX_BYTES
from grader.core.errors import FileRefused
from grader.core.nouns import Submission
from grader.core.strict_json import StrictJsonError, loads
from grader.intake.paths import shown
from grader.intake.submission import read_file

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,40}")
_VALUE_CHARACTERS: Final = 100
_FORM: Final = (
    'Write one JSON object a line: {"settings": {"rank": 8}, "validation_loss": 0.4, '
    '"seconds": 9.3}, with options of your training script as settings.'
)


@dataclass(frozen=True, slots=True)
class Trial:
    """One training: its settings, its validation loss, and how long it took."""

    settings: Mapping[str, str | int | float | bool]
    validation_loss: float
    seconds: float

    @property
    def arguments(self) -> tuple[str, ...]:
        """The settings as options of the training script; true is an option without a value."""
        found: list[str] = []
        for name, value in self.settings.items():
            if value is False:
                continue
            found.append(f"--{name.replace('_', '-')}")
            found += [] if value is True else [str(value)]
        return tuple(found)


def read_trials(submission: Submission, path: str) -> list[Trial]:
    """The trials of this file in its order. Raises FileRefused for a line that is none."""
    body = read_file(submission, path, TRIALS_MAX_BYTES)
    lines = [(n, line) for n, line in enumerate(body.splitlines(), 1) if line.strip()]
    if not lines or len(lines) > TRIALS_MAX:
        what = f"holds {len(lines)} trials; expected are 1 to {TRIALS_MAX}"
        raise FileRefused("ADP023", f"{shown(path)} {what}.", _FORM, path)
    return [_trial(line, number, path) for number, line in lines]


def _trial(line: bytes, number: int, path: str) -> Trial:
    try:
        value = loads(line, max_bytes=len(line))
    except StrictJsonError as error:
        raise FileRefused(
            "ADP023", f"{shown(path)}, line {number}: {shown(str(error), 200)}.", _FORM, path
        ) from None
    settings = value.get("settings") if isinstance(value, dict) else None
    if not isinstance(settings, dict) or not settings:
        raise _refused(path, number, "it has no settings")
    for name, setting in settings.items():
        if not _NAME.fullmatch(name):
            raise _refused(path, number, f"the setting {shown(name)!r} is no name of an option")
        if not isinstance(setting, str | int | float) or len(str(setting)) > _VALUE_CHARACTERS:
            raise _refused(path, number, f"the setting {shown(name)!r} is no text or number")
    loss, seconds = (_number(value, name, path, number) for name in ("validation_loss", "seconds"))
    return Trial(settings, loss, seconds)


def _number(value: Mapping[str, Any], name: str, path: str, number: int) -> float:
    found = value.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise _refused(path, number, f"{name} is no number")
    return float(found)


def _refused(path: str, number: int, what: str) -> FileRefused:
    return FileRefused("ADP023", f"{shown(path)}, line {number}: {what}.", _FORM, path)

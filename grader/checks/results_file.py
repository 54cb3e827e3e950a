"""What a workflow says in openai_results.json that it found out: a claim, and no evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from grader.checks.transcript_view import Transcript
from grader.constants import MIB
from grader.strict_json import StrictJsonError, loads

RESULTS: Final = "openai_results.json"


class ResultsError(Exception):
    """There are no such results, or they cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Results:
    """Shares of right answers, 0 to 1, and whether they are called a simulation."""

    simulated: bool
    before: float
    after: float


def results_of(run: Transcript) -> Results:
    """What the run wrote. Raises ResultsError."""
    places = [path for path in run.files if path.rsplit("/", 1)[-1] == RESULTS]
    if len(places) != 1:
        raise ResultsError("it was not written" if not places else "it was written twice")
    try:
        value = loads(run.files[places[0]], max_bytes=MIB)
    except StrictJsonError as error:
        raise ResultsError(f"it cannot be read: {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("simulated"), bool):
        raise ResultsError('its "simulated" is not true or false')
    return Results(value["simulated"], _share(value, "before"), _share(value, "after"))


def _share(value: dict[str, object], when: str) -> float:
    part = value.get(when)
    share = part.get("exact_match") if isinstance(part, dict) else None
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ResultsError(f'"{when}" has no "exact_match" from 0 to 1')
    return float(share)

"""What a workflow says in openai_results.json that it found out: a claim, and no evidence.

Several things that must hold together, as one verdict with the share of them that does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from grader.checks.api.context import Verdict, failed, passed
from grader.checks.views.transcript import Transcript
from grader.core.constants import MIB
from grader.core.nouns import Measures
from grader.core.payloads import RUN_RESULTS
from grader.core.strict_json import StrictJsonError, loads
from grader.core.text import counted

RESULTS: Final = RUN_RESULTS


class WorkflowResultsError(Exception):
    """There are no such results, or they cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class WorkflowResults:
    """Shares of right answers, 0 to 1, and whether they are called a simulation."""

    simulated: bool
    before: float
    after: float


def results_of(run: Transcript) -> WorkflowResults:
    """What the run wrote. Raises ResultsError."""
    places = [path for path in run.files if path.rsplit("/", 1)[-1] == RESULTS]
    if len(places) != 1:
        raise WorkflowResultsError("it was not written" if not places else "it was written twice")
    try:
        value = loads(run.files[places[0]], max_bytes=MIB)
    except StrictJsonError as error:
        raise WorkflowResultsError(f"it cannot be read: {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("simulated"), bool):
        raise WorkflowResultsError('its "simulated" is not true or false')
    return WorkflowResults(value["simulated"], _share(value, "before"), _share(value, "after"))


def _share(value: dict[str, object], when: str) -> float:
    part = value.get(when)
    share = part.get("exact_match") if isinstance(part, dict) else None
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise WorkflowResultsError(f'"{when}" has no "exact_match" from 0 to 1')
    return float(share)


_DECIMALS: Final = 3


class PartialCredit(NamedTuple):
    """Something that must hold; `wanted` says what was expected, without a full stop."""

    holds: bool
    wanted: str
    weight: float = 1.0


def verdict(
    seen: str, claims: Sequence[PartialCredit], hint: str, measures: Measures | None = None
) -> Verdict:
    """Pass where all claims hold; the measure `share` is the weight of those that do, 0 to 1.

    `seen` says what was seen, `hint` what to do next.
    """
    held = sum(claim.weight for claim in claims if claim.holds)
    share = round(held / sum(claim.weight for claim in claims), _DECIMALS)
    all_measures = {**(measures or {}), "share": share}
    missing = [claim.wanted for claim in claims if not claim.holds]
    if not missing:
        return passed(seen, measures=all_measures)
    return failed(f"{seen} Expected: {'; '.join(missing)}.", hint, measures=all_measures)


def never_met(run: Transcript, what: str, hint: str, measures: Measures | None = None) -> Verdict:
    """The program did not come as far as what is to be seen, so that nothing of it holds."""
    text = f"The program never {what}: {requests(run)}, and it {ending(run)}."
    return failed(text, hint, measures={**(measures or {}), "share": 0.0})


def requests(run: Transcript) -> str:
    """How much the program asked of the service."""
    if not run.calls:
        return "it sent no request to the service"
    return f"it sent {counted(len(run.calls), 'request')}"


def ending(run: Transcript) -> str:
    """How the run ended, after a subject."""
    match run.verdict:
        case "ok" | "exit":
            return f"ended with exit code {run.exit_code}"
        case "timeout":
            return "was stopped, still running after its time"
        case "signal":
            return "was killed by a signal"
        case _:
            return f"was stopped, because it used too much {run.verdict}"

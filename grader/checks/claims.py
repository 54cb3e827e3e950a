"""Several things that must hold together, as one verdict with the share of them that does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from grader.checks.registry import Verdict, failed, passed
from grader.checks.transcript_view import Transcript
from grader.model import Measures
from grader.training_data.faults import counted

_DECIMALS: Final = 3


class Claim(NamedTuple):
    """Something that must hold; `wanted` says what was expected, without a full stop."""

    holds: bool
    wanted: str
    weight: float = 1.0


def verdict(
    seen: str, claims: Sequence[Claim], hint: str, measures: Measures | None = None
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
    after = f"after {run.wall_seconds:.0f} s"
    match run.verdict:
        case "ok" | "exit":
            return f"ended with exit code {run.exit_code} {after}"
        case "timeout":
            return f"was stopped {after}, still running"
        case "signal":
            return f"was killed by a signal {after}"
        case _:
            return f"was stopped {after}, because it used too much {run.verdict}"

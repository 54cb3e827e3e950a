"""EVL005: the comparison of all approaches on identical questions, held against our runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grader.checks.api.context import Context, Verdict, failed, passed, skipped
from grader.checks.api.registry import check
from grader.checks.views.comparison_claims import (
    COMPARISON,
    ComparisonClaim,
    ComparisonError,
    claims_of,
)
from grader.checks.views.gain import correct
from grader.core.constants import CLAIM_TOLERANCE
from grader.core.metrics import chance_apart, mean
from grader.core.nouns import Severity
from grader.core.payloads import Answers, Predictions, read
from grader.core.text import counted

_LORA: Final = {"lora_base": "before", "lora_adapter": "after"}  # evidence, by approach


@check(
    "EVL005",
    deliverables=(COMPARISON,),
    measures=("claims", "compared", "differ"),
    severity=Severity.WARNING,
)
def comparison_agrees(ctx: Context) -> Verdict:
    """The numbers of the comparison agree with the grader's

    Why: An analysis stands on its numbers. comparison.json says how each approach did on the public
    test set; the grader asks your programs and your adapter its own questions. Honest numbers may
    differ by what chance allows, and a little more. Models of the service that only your machine
    has are not compared.

    Fix: Run `finegrade simulate -- python compare.py` again with the programs and the adapter that
    you submit, and submit the comparison.json that it writes.
    """
    hint = "Run compare.py again, and submit the comparison.json that it writes."
    try:
        claims = claims_of(ctx)
    except ComparisonError as error:
        return failed(f"comparison.json {error}.", hint)
    if claims is None:
        return skipped("No comparison.json was submitted; it is voluntary.")
    measured = {name: _measured(ctx, name, claim) for name, claim in claims.items()}
    compared = {name: right for name, right in measured.items() if right}
    off = {}
    for name, right in compared.items():
        claim, ours = claims[name], mean(right)
        luck = chance_apart(claim.exact_match, claim.n, ours, len(right))
        if abs(claim.exact_match - ours) > CLAIM_TOLERANCE + luck:
            off[name] = f"{name}: {claim.exact_match:.0%} reported, {ours:.0%} measured"
    measures = {"claims": len(claims), "compared": len(compared), "differ": len(off)}
    if not compared:
        return skipped("None of its numbers was measured here.")
    if off:
        return failed(
            f"The reported exact match of {', '.join(off)} is further from the measured one than "
            "chance allows.",
            hint,
            measures=measures,
            exact=f"Exact match {'; '.join(off.values())}; more apart than chance allows.",
        )
    text = f"The exact match of {counted(len(compared), 'approach', 'approaches')} agrees with"
    return passed(f"{text} the measured one.", measures=measures)


def _measured(ctx: Context, name: str, claim: ComparisonClaim) -> list[float]:
    """Which of the grader's questions the same thing answered rightly; none if it was not asked."""
    if name in _LORA:
        found = ctx.evidence.get(_LORA[name])
        return correct(read(found, Predictions).answers) if found else []
    run = next((ctx.evidence[id] for id in _runs(ctx, name, claim.model)), None)
    return correct(read(run, Answers).answers) if run else []


def _runs(ctx: Context, name: str, model: str) -> Iterator[str]:
    """The ids of collected runs of a DSPy program on the grader's questions with this model."""
    for spec in ctx.assignment.evidence:
        same = spec.id.startswith(name) and spec.settings.get("model") == model
        if same and spec.id in ctx.evidence:
            yield spec.id

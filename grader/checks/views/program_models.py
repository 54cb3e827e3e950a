"""Which of the models that a DSPy program ran on counts for it.

A way to improve a prompt may suit one model and not another: one reads passages, one learns from
demonstrations. So a program runs on each, beside the original on the same one, and the model on
which it gains most counts for all that is said of the program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from grader.checks.api.context import Context, EvidenceRole
from grader.checks.views.gain import correct, guessed
from grader.core.metrics import Gain, mean, paired_gain
from grader.core.payloads import Answers


class ProgramRuns(NamedTuple):
    """The original's answers and the enhanced program's on one model; its name, and the gains of
    the enhanced program on every model."""

    model: str
    original: Answers
    enhanced: Answers
    gains: Mapping[str, Gain]


def counted_runs(original: Answers, enhanced: Answers) -> ProgramRuns:
    """Both on the model that counts: where the lower end of the gain's 95 % interval is highest.

    Of equal ones the first counts. A model that the program never asked does not count, unless it
    asked none.
    """
    called = {one.model for one in enhanced.answers if one.calls}
    gains = {
        model: _gain_on(original, enhanced, model)
        for model in enhanced.models
        if model in called or not called
    }
    best = max(gains, key=lambda model: gains[model].low95)  # max keeps the first of equal ones
    return ProgramRuns(best, original.on(best), enhanced.on(best), gains)


def counted_in(
    ctx: Context, original: EvidenceRole[Answers], enhanced: EvidenceRole[Answers]
) -> ProgramRuns:
    """The same of the evidence in these roles."""
    return counted_runs(ctx.read(original), ctx.read(enhanced))


def _gain_on(original: Answers, enhanced: Answers, model: str) -> Gain:
    before, after = original.on(model).answers, enhanced.on(model).answers
    right, guess = correct(before), guessed(before)
    reference = guess if mean(guess) > mean(right) else right
    return _gain(tuple(reference), tuple(correct(after)))


@lru_cache(maxsize=64)
def _gain(before: Sequence[float], after: Sequence[float]) -> Gain:
    """Every check of a program needs it, and it draws samples."""
    return paired_gain(before, after)

"""INT: the work is the student's own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from grader.checks.registry import (
    Classmate,
    Context,
    Verdict,
    check,
    failed,
    needs_review,
    passed,
)
from grader.constants import COPY_COSINE, NEAR_COPY_COSINE
from grader.intake import locate
from grader.predict.adapter_files import read_adapter, sketch

_ORIGINAL = "No other adapter with the same effect was handed in before this one."


@check("INT001", needs=("ADP010",))
def adapter_is_not_a_copy(context: Context) -> Verdict:
    """The adapter is not a copy of a classmate's

    Why: Two trainings with different seeds or data never end with the same effect on the base, and
    one file under two names always does, however it is renamed, rescaled or saved in another
    precision. Of two equal adapters the one handed in first is taken as the original.

    Fix: Train your own adapter with your own seed and data. If you and a classmate ran the kit
    unchanged with the same seed, the results are equal without anyone copying: tell your
    instructor, choose your own seed, and train again.
    """
    folder = locate(context.submission, context.assignment.deliverable("adapter"))
    if folder is None:
        raise ValueError("ADP010 passed without an adapter folder")
    mine = sketch(read_adapter(context.submission, folder))
    alike = [
        (mate, _cosine(mine, mate.sketch))
        for mate in context.classmates
        if mate.student != context.submission.student
    ]
    near = [mate for mate, cosine in alike if cosine >= NEAR_COPY_COSINE]
    if not near:
        return passed(_ORIGINAL)
    same = all(cosine >= COPY_COSINE for mate, cosine in alike if mate in near)
    return _of_equals(context.submission.submitted_at, near, same)


def _of_equals(submitted_at: str | None, near: Sequence[Classmate], same: bool) -> Verdict:
    """The verdict on an adapter that these classmates' adapters equal, or nearly equal."""
    names = ", ".join(f"{m.student} ({m.submitted_at or 'time not known'})" for m in near)
    alike = "Same effect as" if same else "Nearly the same effect as"
    note = f"{alike} the adapter of: {names}. This one: {submitted_at or 'time not known'}."
    mine = _time(submitted_at)
    theirs = [_time(mate.submitted_at) for mate in near]
    later = mine is not None and any(other is not None and other < mine for other in theirs)
    if later and same:
        return failed(
            "This adapter has the same effect on the base as one that was handed in earlier.",
            "Train with your own seed and data. If you both ran the kit with the same seed, tell "
            "your instructor.",
            note=note,
        )
    if (
        mine is not None
        and not later
        and all(other is not None and mine < other for other in theirs)
    ):
        return passed(_ORIGINAL)  # word for word as without a copy: it changes no other result
    return needs_review("Your instructor looks at where this adapter comes from.", note=note)


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of two unit vectors, or 0 where one has no effect at all."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)

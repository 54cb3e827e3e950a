"""Learning curves as a student's page shows them: a small picture, drawn by the page's own colours,
and a table of the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from grader.core.result import CurvePoint, LearningCurve
from grader.core.text import clean

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 640, 220, 44, 12, 28
_ROWS: Final = 12  # of the table; more tell nothing new
_RISES: Final = 1.05  # times the lowest validation loss: then it rises and is no noise


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, in units of the picture, and what stands there."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class CurveView:
    """A curve to draw: `training` and `validation` are the points of a line, or "".

    `said` is what the curve says, in a sentence or two.
    """

    title: str
    training: Markup
    validation: Markup
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]
    rows: tuple[tuple[str, str, str], ...]
    said: str
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    bottom: int = _HEIGHT - _BOTTOM


def curve_view(curve: LearningCurve) -> CurveView:
    """The picture and the table of a curve with at least two points."""
    points = curve.points
    losses = [v for p in points for v in (p.training, p.validation) if v is not None]
    most, last = max(losses) or 1.0, max(1, points[-1].step)

    def x(step: int) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - 8) * step / last, 1)

    def y(loss: float) -> float:
        return round(_TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - max(0.0, loss) / most), 1)

    def line(values: Sequence[tuple[int, float | None]]) -> Markup:
        found = [f"{x(step)},{y(loss)}" for step, loss in values if loss is not None]
        return Markup(" ".join(found) if len(found) > 1 else "")  # numbers of ours

    return CurveView(
        title=clean(curve.title),
        training=line([(p.step, p.training) for p in points]),
        validation=line([(p.step, p.validation) for p in points]),
        x=tuple(Tick(x(step), f"{step:,}") for step in dict.fromkeys((0, last // 2, last))),
        y=tuple(Tick(y(loss), f"{loss:.3g}") for loss in (0.0, most / 2, most)),
        rows=tuple(_row(point) for point in _some(points)),
        said=_said(points),
    )


def _some(points: Sequence[CurvePoint]) -> list[CurvePoint]:
    """The first, the last, and some between."""
    stride = max(1, -(-(len(points) - 1) // (_ROWS - 1)))
    return [*points[:-1:stride], points[-1]]


def _row(point: CurvePoint) -> tuple[str, str, str]:
    losses = (point.training, point.validation)
    training, validation = ("" if loss is None else f"{loss:.4g}" for loss in losses)
    return f"{point.step:,}", training, validation


def _said(points: Sequence[CurvePoint]) -> str:
    """How the losses went."""
    training = [p.training for p in points if p.training is not None]
    text = ""
    if len(training) > 1:
        text = f"The training loss went from {training[0]:.3g} to {training[-1]:.3g}."
    validation = [(p.validation, p.step) for p in points if p.validation is not None]
    if len(validation) < 2:
        return f"{text} Without a validation set nobody sees where it begins to learn by heart."
    (best, step), (end, _) = min(validation), validation[-1]
    text += f" The validation loss was lowest at step {step:,} ({best:.3g})"
    if end > _RISES * best:
        return f"{text} and {end:.3g} at the end: from there on it learned by heart. Stop earlier."
    return f"{text} and {end:.3g} at the end."

"""The data of the overview page: jobs with their loss curves, and files with their findings."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from grader.core.openai_wire import ENDED
from grader.openai_sim.store.store import FileRow, JobRow, SimulatorStore, now

if TYPE_CHECKING:
    from grader.openai_sim.store.records import CheckpointRow, EventRow

PLOT: Final = 1000
"""Width and height of the plot in the units of a line's points; y goes down."""

_POINTS: Final = 200  # of one line: enough to see, few enough to smooth single examples
_X_TICKS, _Y_TICKS = 7, 4  # at most so many, but for the ends
_WIDE: Final = 30.0  # a logarithmic axis from this ratio of the losses on
_DEEPEST: Final = 1e4  # that it goes below the greatest loss

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tick:
    """A number on an axis, at a share of its length in per cent."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Series:
    """One line: `points` of an SVG polyline in units of PLOT, and the first and last loss."""

    points: str
    first: float
    last: float
    steps: int


@dataclass(frozen=True, slots=True)
class LossCurve:
    """What the template draws. `x`, `y` and `checkpoints` are in per cent of the plot.

    `of_batches` tells validation losses of a few examples each from those of the whole file.
    """

    train: Series
    valid: Series | None
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]
    logarithmic: bool
    of_batches: bool
    checkpoints: tuple[Tick, ...]


def loss_curve(
    events: Sequence[EventRow], checkpoints: Sequence[CheckpointRow]
) -> LossCurve | None:
    """The loss curve of a job with these events, newest first; None before its second step.

    The x axis is as long as the job, so that the line of a running one grows into it. Of a
    validation file the losses over all of it are drawn where there are two, else those of batches.
    """
    metrics = [e.data for e in reversed(events) if e.type == "metrics" and e.data]
    train = _points(metrics, "train_loss")
    if len(train) < 2:
        return None
    whole = _points(metrics, "full_valid_loss")
    valid = whole if len(whole) > 1 else _points(metrics, "valid_loss")
    last = max(int(metrics[-1].get("total_steps", 0)), round(train[-1][0]))
    width = math.ceil(last / _POINTS)  # of the whole job, so that a growing line keeps its shape
    drawn = [_thinned(train, width), _thinned(valid, width)]
    axis = _Axis.of([loss for points in drawn for _, loss in points])
    return LossCurve(
        train=_series(train, drawn[0], last, axis),
        valid=_series(valid, drawn[1], last, axis) if len(valid) > 1 else None,
        x=tuple(Tick(_share(at, last), f"{at:,}") for at in _x_ticks(last)),
        y=tuple(Tick(round(axis.down(loss), 2), f"{loss:.4g}") for loss in axis.ticks),
        logarithmic=axis.logarithmic,
        of_batches=len(whole) < 2,
        checkpoints=tuple(
            Tick(_share(row.step, last), f"{row.step:,}")
            for row in reversed(checkpoints)
            if row.step <= last
        ),
    )


@dataclass(frozen=True, slots=True)
class _Axis:
    """The y axis: from its first to its last tick."""

    ticks: tuple[float, ...]
    logarithmic: bool

    @classmethod
    def of(cls, losses: Sequence[float]) -> _Axis:
        """An axis for these losses: logarithmic where a linear one would show a flat line."""
        most = max(losses) or 1.0
        positive = [loss for loss in losses if loss > 0]
        least = max(min(positive, default=most), most / _DEEPEST)
        if most / least >= _WIDE:
            low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
            return cls(tuple(10.0**power for power in range(low, high + 1)), True)
        step = _round_step(most / _Y_TICKS)
        return cls(tuple(k * step for k in range(math.ceil(most / step) + 1)), False)

    def down(self, loss: float) -> float:
        """How far below the top a loss is, in per cent."""
        low, high = self.ticks[0], self.ticks[-1]
        if self.logarithmic:
            loss, low, high = (math.log10(max(value, low)) for value in (loss, low, high))
        return 100 * (1 - (loss - low) / (high - low))


def _points(metrics: Sequence[Any], name: str) -> list[Point]:
    """Step and loss of all steps that have this loss, in order."""
    return [
        (float(data.get("step", place)), float(data[name]))
        for place, data in enumerate(metrics, 1)
        if isinstance(data.get(name), int | float) and math.isfinite(data[name])
    ]


def _thinned(points: Sequence[Point], width: int) -> list[Point]:
    """The means of stretches of so many steps, from the first step to the last."""
    if width < 2 or len(points) < 2:
        return list(points)
    parts = [list(part) for _, part in groupby(points, lambda point: (point[0] - 1) // width)]
    means = [(fmean(x for x, _ in part), fmean(y for _, y in part)) for part in parts]
    return [points[0], *means[1:-1], (points[-1][0], means[-1][1])]


def _series(points: Sequence[Point], drawn: Sequence[Point], last: int, axis: _Axis) -> Series:
    to_plot = PLOT / 100
    text = " ".join(
        f"{_share(x, last) * to_plot:.1f},{axis.down(y) * to_plot:.1f}" for x, y in drawn
    )
    return Series(text, points[0][1], points[-1][1], len(points))


def _share(step: float, last: int) -> float:
    """Where a step is on the x axis, in per cent: the first step is at its left end."""
    return round(100 * (step - 1) / max(last - 1, 1), 2)


def _x_ticks(last: int) -> list[int]:
    """The first and the last step, and round ones between that leave room for both."""
    step = max(1, round(_round_step(last / _X_TICKS)))
    between = [at for at in range(step, last, step) if at > step / 2 and last - at > step / 2]
    return list(dict.fromkeys((1, *between, last)))


def _round_step(least: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(k * power for k in (1, 2, 5, 10) if k * power >= least * 0.999)


_SHOWN: Final = 50  # jobs, and files
_CURVES: Final = 10  # jobs with a loss curve
_WAITING: Final = {
    "validating_files": "The service is checking its files.",
    "queued": "It waits for its turn: one job is trained at a time.",
    "paused": "It is paused; resume it with client.fine_tuning.jobs.resume(id).",
    "pausing": "It stops after the step under way.",
}


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it is shown. `step` of `steps` is 0 of 0 before the first one."""

    row: JobRow
    step: int = 0
    steps: int = 0
    curve: LossCurve | None = None
    checkpoints: tuple[CheckpointRow, ...] = ()

    @property
    def under_way(self) -> bool:
        """Whether it changes by itself."""
        return self.row.status not in ENDED and self.row.status != "paused"

    @property
    def waiting(self) -> str:
        """Why nothing happens, "" when something does."""
        return _WAITING.get(self.row.status, "")

    @property
    def seconds_left(self) -> int | None:
        """Until it is done, as the service estimates it; None where that is not known."""
        finish = self.row.estimated_finish
        if self.row.status != "running" or finish is None:
            return None
        return max(0, finish - now())


@dataclass(frozen=True, slots=True)
class FileView:
    """A file as it is shown; `examples` is None for one that is no training file."""

    row: FileRow
    examples: int | None = None
    errors: int = 0
    warnings: int = 0


def jobs(store: SimulatorStore) -> list[JobView]:
    """The newest jobs, the running one first; the first few with their loss curves."""
    rows = store.list_jobs(limit=_SHOWN)
    rows.sort(key=lambda row: row.status not in ("running", "pausing"))
    return [_job(store, row, at < _CURVES) for at, row in enumerate(rows)]


def counts(shown: Sequence[JobView]) -> dict[str, int]:
    """How many jobs there are of each status, in the words of the page."""
    return dict(Counter(job.row.status.replace("_", " ") for job in shown))


def files(store: SimulatorStore) -> list[FileView]:
    """The newest files."""
    return [file_view(row) for row in store.list_files(limit=_SHOWN)]


def file_view(row: FileRow) -> FileView:
    """The file with the number of its errors and warnings."""
    report = findings(row)
    if report is None:
        return FileView(row)
    number: Counter[str] = Counter()
    for code, severity in {f["code"]: f["severity"] for f in failed(report)}.items():
        number[severity] += report["counts"][code]
    return FileView(row, report["examples"], number["error"], number["warning"])


def findings(row: FileRow) -> Mapping[str, Any] | None:
    """The data rules' report on a file; None for one that they do not read."""
    if not row.findings:
        return None
    [report] = json.loads(row.findings)["files"]
    found: Mapping[str, Any] = report
    return found


def failed(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The findings that failed."""
    return [finding for finding in report["findings"] if finding["outcome"] == "fail"]


def _job(store: SimulatorStore, row: JobRow, drawn: bool) -> JobView:
    if not drawn:
        return JobView(row)
    events = store.list_events(row.id)
    checkpoints = store.list_checkpoints(row.id)
    last = next((e.data for e in events if e.type == "metrics" and e.data), {})
    return JobView(
        row,
        int(last.get("step", 0)),
        int(last.get("total_steps", 0)),
        loss_curve(events, checkpoints),
        tuple(checkpoints),
    )

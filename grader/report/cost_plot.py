"""What each way costs over the number of queries, as a picture for a page or a report."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any, Final

from grader.report.cost_text import usd, way_name
from grader.report.plots import BLUE, GREY, INK, ORANGE, new_figure
from grader.training_data.break_even import Relation, Way
from grader.training_data.cost_study import CostStudy
from grader.training_data.ways import FEW_SHOT, PLAIN, RAG, TUNED

FORMATS: Final = ("png", "svg")
_DOTS_PER_INCH: Final = 160
_LOOKS: Final = {  # of the Okabe-Ito palette; lines differ in their dashes as well
    PLAIN: (GREY, (0, (1, 1.4)), 2.0),
    FEW_SHOT: (ORANGE, (0, (5, 2)), 2.0),
    RAG: ("#009E73", (0, (6, 2, 1, 2)), 2.0),
    TUNED: (BLUE, "solid", 2.6),
}
_MOST_QUERIES: Final = 1e9  # to the right of that nothing is of interest
_ROOM_FOR_A_LABEL: Final = 10  # beside a ring, as a factor of queries
_LABEL_STEP: Final = 0.07  # of the height: two lines of text


def cost_plot(study: CostStudy, format: str) -> bytes:
    """The picture as a file of one of FORMATS; both axes are logarithmic."""
    low, high = _range(study)
    with new_figure("cost", 9.0, 5.0) as (figure, axes):
        axes.set_xscale("log")
        axes.set_yscale("log")
        for name, way in study.ways.items():
            colour, dashes, width = _LOOKS[name]
            xs = [low * (high / low) ** (i / 200) for i in range(201)]
            totals = [way.total(x) for x in xs]
            axes.plot(xs, totals, color=colour, ls=dashes, lw=width, zorder=3)
        axes.set_xlim(low, high)
        _draw_end(axes, study, low, high)
        _draw_break_evens(axes, study, low, high)
        _label_ends(axes, study, high)
        axes.set_xlabel("queries in all")
        axes.set_ylabel("USD in all")
        axes.xaxis.set_major_formatter(lambda value, _: _count(value))
        axes.yaxis.set_major_formatter(lambda value, _: _amount(value))
        axes.minorticks_off()
        axes.grid(color="#e3e7ec", lw=0.7, zorder=0)
        axes.set_title(_title(study), loc="left", fontsize=11, color=INK)
        return _file(figure, format)


def _title(study: CostStudy) -> str:
    other = study.assumed.other_fixed
    once = f"training {usd(study.training.usd or 0.0)} USD"
    if other:
        once += f" and {usd(other)} USD besides"
    return f"{study.tuned_price.model}, prices of {study.tuned_price.valid_from}: {once}"


def _count(queries: float) -> str:
    return f"{queries:,.0f}" if queries < 1e6 else f"{queries / 1e6:,.0f} million"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else usd(value)


def _range(study: CostStudy) -> tuple[float, float]:
    """Queries from and to, whole powers of ten around all that is marked."""
    marks = [at for _, at in _marks(study)]
    left = study.horizon.queries_left
    ends = [10_000.0, *marks]
    if math.isfinite(left) and left > 0:
        ends.append(3 * left)  # with room for its words
    low = max(1.0, 10.0 ** math.floor(math.log10(min([*marks, 1000.0]) / 3)))
    high = 10.0 ** math.ceil(math.log10(max(ends) * 3))
    return low, max(min(high, _MOST_QUERIES), low * 1000)


def _marks(study: CostStudy) -> list[tuple[str, float]]:
    """(name of the other way, queries) where its line meets that of fine-tuning."""
    return [
        (name, found.queries)
        for name, found in study.break_evens.items()
        if found.relation in (Relation.FROM, Relation.UNTIL) and found.queries
    ]


def _draw_break_evens(axes: Any, study: CostStudy, low: float, high: float) -> None:
    """A ring at each crossing; of crossings close together the first is labelled on the left."""
    tuned = study.ways[TUNED]
    marks = sorted(((at, name) for name, at in _marks(study) if low <= at <= high))
    for number, (queries, name) in enumerate(marks):
        total = tuned.total(queries)
        axes.plot([queries], [total], "o", ms=9, mfc="white", mec=INK, mew=1.8, zorder=5)
        close = [at for at, _ in marks[number + 1 :] if at < queries * _ROOM_FOR_A_LABEL]
        left = number == 0 and bool(close) and queries > low * _ROOM_FOR_A_LABEL
        below = -14 - 17 * len(close)
        axes.annotate(
            f"{math.ceil(queries * (1 - 1e-9)):,} queries",
            (queries, total),
            xytext=(-7, 9) if left else (9, below),
            textcoords="offset points",
            ha="right" if left else "left",
            fontsize=9.5,
            fontweight="bold",
            color=_LOOKS[name][0],
            zorder=6,
            bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
        )


def _draw_end(axes: Any, study: CostStudy, low: float, high: float) -> None:
    """What lies behind the model's withdrawal is grey: nobody gets there."""
    horizon = study.horizon
    left = horizon.queries_left
    if math.isinf(left) or left >= high:
        return
    start = max(left, low)
    axes.axvspan(start, high, color="#f0f1f3", lw=0, zorder=0)
    axes.axvline(start, color=INK, lw=1.1, ls=(0, (6, 4)), zorder=2)
    words = (
        f"withdrawn {horizon.retires}:\n{left:,.0f} queries at {horizon.queries_per_day:,.6g} a day"
        if horizon.trainable
        else f"no training possible\non {horizon.today}"
    )
    axes.annotate(
        words,
        (start, 0),  # all lines rise, so that the lower right is free
        xycoords=("data", "axes fraction"),
        xytext=(6, 5),
        textcoords="offset points",
        va="bottom",
        fontsize=9,
    )


def _label_ends(axes: Any, study: CostStudy, high: float) -> None:
    """Names at the right ends of the lines, pushed apart so that none covers another."""
    ways: Sequence[Way] = sorted(study.ways.values(), key=lambda way: way.total(high))
    bottom, top = (math.log10(limit) for limit in axes.get_ylim())
    heights: list[float] = []
    for way in ways:
        total = way.total(high)
        share = (math.log10(total) - bottom) / (top - bottom) if total > 0 else 0.0
        heights.append(max(share, heights[-1] + _LABEL_STEP) if heights else share)
    for way, height in zip(ways, heights, strict=True):
        axes.annotate(
            f"{_label(study, way.name)}\n{usd(way.per_query)} USD a query",
            (1.015, height),
            xycoords="axes fraction",
            color=_LOOKS[way.name][0],
            fontsize=9,
            va="center",
            linespacing=1.1,
            annotation_clip=False,
        )


def _label(study: CostStudy, name: str) -> str:
    found = study.break_evens.get(name)
    never = found is not None and found.relation is Relation.NEVER
    return f"{way_name(study, name)}{': always cheaper' if never else ''}"


def _file(figure: Any, format: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    if format == "png":
        out = io.BytesIO()
        figure.set_dpi(_DOTS_PER_INCH)
        FigureCanvasAgg(figure).print_png(out)
        return out.getvalue()
    text = io.StringIO()
    FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
    return text.getvalue().encode()

"""The instructor's charts as inline SVG: small, deterministic, and safe to put into a page.

Colours are of the Okabe-Ito palette, which colour-blind readers can tell apart; direction is also
said in words. The charts are drawn for a white card, whatever the page's colours.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from markupsafe import Markup

from grader.core.constants import REPORT_MAX_LABELLED_LINES, REPORT_MAX_NAMED_STUDENTS
from grader.core.text import clean

BLUE: Final = "#0072B2"
ORANGE: Final = "#D55E00"
GREY: Final = "#767676"
PALE: Final = "#9CCBE8"
INK: Final = "#1a1d21"

_NAME_CHARACTERS: Final = 24  # beside a chart
_STYLE: Final[Mapping[str, Any]] = {
    "svg.fonttype": "none",  # text stays text: small, selectable, read aloud
    "font.family": "DejaVu Sans",  # ships with matplotlib, so the layout is the same everywhere
    "font.size": 10,
    "text.parse_math": False,  # a "$" in a student's name is a dollar sign
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "path.simplify": False,
}


@dataclass(frozen=True, slots=True)
class Range:
    """A student's certain (`lower`) and possible (`upper`) points."""

    student: str
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Slope:
    """Shares of right answers from 0 to 1. `direction` is "better", "worse" or "unclear"."""

    student: str
    before: float
    after: float
    direction: str


_DIRECTIONS: Final = {
    "unclear": (GREY, (0, (4, 3)), "no clear change"),
    "worse": (ORANGE, (0, (1, 1.5)), "worse"),
    "better": (BLUE, "solid", "better"),
}


def distribution(ranges: Sequence[Range], max_points: float, pass_points: float) -> Markup:
    """Points of the class: a named row for each student, or a histogram for a large class.

    The axis goes on beyond `max_points` where extra points do.
    """
    if len(ranges) <= REPORT_MAX_NAMED_STUDENTS:
        return _rows(ranges, max_points, pass_points)
    return _histogram(ranges, max_points, pass_points)


def _rows(ranges: Sequence[Range], max_points: float, pass_points: float) -> Markup:
    ordered = sorted(ranges, key=lambda r: (r.lower, r.upper, r.student))
    with new_figure("distribution", 7.2, 1.3 + 0.24 * max(3, len(ordered))) as (figure, axes):
        rows = range(len(ordered))
        axes.hlines(rows, [r.lower for r in ordered], [r.upper for r in ordered], PALE, lw=7)
        certain = [r.lower for r in ordered]
        axes.plot(certain, rows, "o", color=BLUE, ms=6, label="points for certain")
        axes.plot([], [], color=PALE, lw=7, label="still to be decided")
        axes.set_yticks(rows, [_name(r.student) for r in ordered])
        axes.set_ylim(-0.7, max(2.0, len(ordered) - 0.3))
        axes.tick_params(axis="y", length=0)
        _points_axis(axes, ranges, max_points, pass_points)
        add_legend(figure, axes, 3)
        words = f"Points of {len(ordered)} students, lowest first at the bottom."
        return as_svg(figure, "distribution", "Points of each student", words)


def _histogram(ranges: Sequence[Range], max_points: float, pass_points: float) -> Markup:
    steps = math.ceil(20 * _highest(ranges, max_points) / max_points)
    edges = [max_points * i / 20 for i in range(steps + 1)]
    with new_figure("distribution", 7.2, 3.8) as (figure, axes):
        lower, upper = [r.lower for r in ranges], [r.upper for r in ranges]
        axes.hist(lower, edges, color=BLUE, label="points for certain", rwidth=0.92)
        axes.hist(upper, edges, histtype="step", color=ORANGE, lw=2, label="at most")
        axes.set_ylabel("students")
        _points_axis(axes, ranges, max_points, pass_points)
        add_legend(figure, axes, 3)
        step = f"{max_points / 20:g}"
        words = f"Histogram of the points of {len(ranges)} students in steps of {step}."
        return as_svg(figure, "distribution", "Distribution of points", words)


def slopes(lines: Sequence[Slope], base: float, chance: float) -> Markup:
    """Before and after of each adapter, with the base's and guessing's share as references."""
    with new_figure("slopes", 7.2, 4.6) as (figure, axes):
        many = len(lines) > REPORT_MAX_NAMED_STUDENTS
        for direction, (colour, dashes, words) in _DIRECTIONS.items():
            mine = [line for line in lines if line.direction == direction]
            if mine:
                # One path for all, the pen lifted by a NaN: a large class stays a small picture.
                heights = [y for line in mine for y in (line.before, line.after, math.nan)]
                label = f"{words} ({len(mine)})"
                width = 0.7 if many else 1.8
                style = {"color": colour, "ls": dashes, "lw": width, "label": label}
                axes.plot([0, 1, math.nan] * len(mine), heights, **style)
                ends = [line.after for line in mine]
                axes.plot([1] * len(mine), ends, "o", color=colour, ms=3 if many else 5)
        axes.axhline(base, color=INK, lw=0.9, label=f"base model {base:.0%}")
        axes.axhline(chance, color=INK, lw=1.2, ls=(0, (6, 4)), label=f"guessing {chance:.0%}")
        if len(lines) <= REPORT_MAX_LABELLED_LINES:
            _label_ends(axes, lines)
        axes.set_xlim(-0.04, 1.04)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xticks([0, 1], ["base model", "with the adapter"])
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
        axes.set_ylabel("hidden questions right")
        add_legend(figure, axes, 3)
        counts = ", ".join(
            f"{sum(line.direction == direction for line in lines)} {words}"
            for direction, (_, _, words) in reversed(_DIRECTIONS.items())
        )
        words = f"{len(lines)} adapters: {counts}. Base model {base:.0%}, guessing {chance:.0%}."
        return as_svg(figure, "slopes", "Right answers before and after fine-tuning", words)


def _label_ends(axes: Any, lines: Sequence[Slope]) -> None:
    """Names at the right end, pushed apart so that none covers another."""
    step = 0.047  # of the axis: a little more than a line of text is high
    ordered = sorted(lines, key=lambda line: (line.after, line.student))
    heights: list[float] = []
    for line in ordered:
        heights.append(max(line.after, heights[-1] + step) if heights else line.after)
    ceiling = 1.0
    for i in reversed(range(len(heights))):  # what was pushed off the top comes down again
        heights[i] = min(heights[i], ceiling)
        ceiling = heights[i] - step
    for line, height in zip(ordered, heights, strict=True):
        colour = _DIRECTIONS[line.direction][0]
        axes.plot([1.005, 1.03], [line.after, height], color=colour, lw=0.7, clip_on=False)
        axes.text(1.035, height, _name(line.student), fontsize=8.5, va="center")


def difficulty(shares: Sequence[float]) -> Markup:
    """How many adapters answered each question right: all questions, hardest first."""
    with new_figure("difficulty", 7.2, 2.8) as (figure, axes):
        ordered = sorted(shares)
        axes.fill_between(
            range(len(ordered) + 1), [*ordered, *ordered[-1:]], step="post", color=BLUE, lw=0
        )
        axes.set_xlim(0, max(1, len(ordered)))
        axes.set_ylim(0, 1)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
        axes.set_ylabel("adapters right")
        axes.set_xlabel("hidden questions, hardest first")
        axes.grid(axis="y", color="#d5d9df", lw=0.7)
        words = f"Share of adapters that answered each of {len(shares)} questions right."
        return as_svg(figure, "difficulty", "Difficulty of the hidden questions", words)


def _highest(ranges: Sequence[Range], max_points: float) -> float:
    """The end of the axis: extra points may exceed full marks."""
    return max([max_points, *(r.upper for r in ranges)])


def _points_axis(axes: Any, ranges: Sequence[Range], max_points: float, pass_points: float) -> None:
    axes.axvline(
        pass_points, color=INK, lw=1.2, ls=(0, (6, 4)), label=f"pass line {pass_points:g}", zorder=3
    )
    axes.set_xlim(-0.015 * max_points, _highest(ranges, max_points) + 0.015 * max_points)
    axes.set_xlabel(f"points of {max_points:g}")


def add_legend(figure: Any, axes: Any, columns: int) -> None:
    axes.grid(axis="x" if axes.get_xlabel() else "y", color="#e3e7ec", lw=0.7, zorder=-1)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper left", ncols=columns, frameon=False, fontsize=9.5)


def _name(student: str) -> str:
    return clean(student, _NAME_CHARACTERS)


@contextmanager
def new_figure(salt: str, width: float, height: float) -> Iterator[tuple[Any, Any]]:
    """A figure of so many inches with one set of axes; `salt` keeps its ids its own in a page."""
    import matplotlib  # half a second: only when there is something to draw
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": salt}), warnings.catch_warnings():
        # The browser has fonts for every script; matplotlib only measures with its own.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        warnings.filterwarnings("ignore", "Matplotlib currently does not support")
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots()


def as_svg(figure: Any, salt: str, title: str, description: str) -> Markup:
    """The figure as an SVG element for a page, without unneeded ids and URLs."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    out = io.StringIO()
    FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None})
    text = out.getvalue()
    view = re.search(r'viewBox="([\d. ]+)"', text)
    start = text.index(">", text.index("<svg")) + 1
    body = text[start : text.rindex("</svg>")]
    # The style would reach the whole page, and comments repeat each label.
    body = re.sub(r"<(metadata|style)\b.*?</\1>|<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = body.replace("'DejaVu Sans'", "system-ui, sans-serif")
    body = re.sub(r"\n\s*", "\n", body).strip()
    head = (
        f'<svg viewBox="{view[1] if view else "0 0 100 100"}" role="img" '
        f'aria-label="{escape(f"{title}. {description}")}" '
        'stroke-linejoin="round" stroke-linecap="butt">'
    )
    return Markup(f"{head}\n{body}\n</svg>")  # matplotlib escaped every label

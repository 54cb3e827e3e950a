"""Histograms of a training file, in the style of the other charts."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from markupsafe import Markup

from grader.report.dataset_numbers import Lengths, percentile
from grader.report.plots import BLUE, INK, ORANGE, add_legend, as_svg, new_figure

_BARS: Final = 40  # about: finer bars show noise
_TAIL: Final = 2.0  # beyond so many times the 99th percentile the rest becomes one bar


@dataclass(frozen=True, slots=True)
class _Bars:
    """Equal bars from `start` on, `width` lengths each; `beyond` examples are longer than all."""

    start: int
    width: int
    heights: tuple[int, ...]
    beyond: int

    @property
    def end(self) -> int:
        """The first length behind the bars."""
        return self.start + self.width * len(self.heights)


def histogram(lengths: Lengths, name: str, what: str) -> Markup:
    """How many examples have which length in `what`, with the median and the 95th percentile.

    A few far longer examples share one bar of another colour, so that they do not flatten the
    rest. `name` keeps the chart's ids its own in a page. There must be an example.
    """
    bars = _bars(lengths)
    median, high = percentile(lengths, 0.5), percentile(lengths, 0.95)
    with new_figure(name, 7.2, 3.1) as (figure, axes):
        _draw(axes, bars, max(lengths))
        axes.axvline(median, color=INK, lw=1.4, label=f"median {median:,}", zorder=3)
        dashes = (0, (6, 4))
        axes.axvline(high, color=INK, lw=1.2, ls=dashes, label=f"95 % up to {high:,}", zorder=3)
        axes.set_ylabel("examples")
        axes.set_ylim(bottom=0)
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_major_locator().set_params(integer=True)
            axis.set_major_formatter("{x:,.0f}")
        limits = axes.get_xlim()
        axes.set_xticks([at for at in axes.get_xticks() if limits[0] <= at <= bars.end])
        axes.set_xlim(limits)
        add_legend(figure, axes, 3)
        axes.set_xlabel(what)
        words = (
            f"{lengths.total():,} examples of {min(lengths):,} to {max(lengths):,} {what}. "
            f"Median {median:,}, 95th percentile {high:,}."
        )
        return as_svg(figure, name, what.capitalize(), words)


def _draw(axes: Any, bars: _Bars, longest: int) -> None:
    # A bar of one length stands centred on it; a wider one on all that it covers.
    at = [bars.start + i * bars.width - 0.5 for i in range(len(bars.heights))]
    gap = 0.92
    axes.bar(at, bars.heights, width=bars.width * gap, align="edge", color=BLUE)
    if bars.beyond:
        axes.bar(
            bars.end + bars.width - 0.5,
            bars.beyond,
            width=bars.width * gap * 2,
            align="edge",
            color=ORANGE,
            label=f"{bars.beyond:,} longer, up to {longest:,}",
        )


def _bars(lengths: Lengths) -> _Bars:
    shortest, longest = min(lengths), max(lengths)
    usual = percentile(lengths, 0.99)
    last = usual if longest > _TAIL * max(usual, _BARS) else longest
    width = ceil((last - shortest + 1) / _BARS)
    heights = [0] * ceil((last - shortest + 1) / width)
    beyond = 0
    for length, examples in lengths.items():
        bar = (length - shortest) // width
        if bar < len(heights):
            heights[bar] += examples
        else:
            beyond += examples
    return _Bars(shortest, width, tuple(heights), beyond)

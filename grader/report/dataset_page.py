"""The page of a training file: distributions of its examples, and its faults."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from grader import __version__
from grader.core.nouns import Finding, Severity
from grader.core.text import counted
from grader.report.dataset_text import (
    MAX_ANSWERS,
    SHOWN_PLACES,
    Lengths,
    Numbers,
    by_code,
    cost_words,
    fix_words,
    money,
    percentile,
    service_words,
    severity_totals,
    tokens_words,
)
from grader.report.pages import render
from grader.report.plots import BLUE, INK, ORANGE, add_legend, as_svg, new_figure

if TYPE_CHECKING:
    from grader.training_data.check import FileReport

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
    """A histogram of lengths in `what`, with the median and the 95th percentile.

    A few far longer examples share one bar of another colour, so that the rest is not
        flattened. `name` keeps the chart's ids its own in a page. There must be an example.
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


_FEW_LENGTHS: Final = 2  # up to so many different lengths are described in words, not drawn

_SIGNS: Final = {
    Severity.ERROR: ("fail", "✗", "Error"),
    Severity.WARNING: ("review", "!", "Warning"),
    Severity.NOTE: ("skip", "i", "Note"),
}
"""CSS class, symbol and word of a severity: neither colour nor a symbol alone says it."""


@dataclass(frozen=True, slots=True)
class _Chart:
    """One distribution: drawn, or in words where there is no data."""

    id: str
    title: str
    drawn: Markup | None
    words: str


@dataclass(frozen=True, slots=True)
class _FaultGroup:
    """All faults of one code: the rule, its first places, and the number of further ones."""

    kind: str
    symbol: str
    word: str
    code: str
    title: str
    count: int
    places: tuple[Finding, ...]
    fix: str
    service: str


def dataset_html(report: FileReport, numbers: Numbers) -> str:
    """The whole page of one file as HTML text. It carries no date: the same file, the same page."""
    tokens, cost = report.tokens, report.cost
    totals = severity_totals([report])
    charts = _charts(numbers) if numbers.examples else []
    return render(
        "dataset.html.j2",
        report=report,
        name=PurePath(report.path).name,
        numbers=numbers,
        errors=totals[Severity.ERROR],
        warnings=totals[Severity.WARNING],
        estimated=tokens is not None and tokens.estimated,
        tokens_words="" if tokens is None else tokens_words(tokens),
        cost_words="" if cost is None or tokens is None else cost_words(cost, tokens),
        money="" if cost is None else money(cost),
        faults=_faults(report),
        charts=[c for c in charts if c.drawn],
        said=[c.words for c in charts if not c.drawn],
        roles=tuple(numbers.roles.items()),
        most_messages=max(numbers.roles.values(), default=0),
        answers_capped=numbers.different >= MAX_ANSWERS,
        version=__version__,
    )


def _faults(report: FileReport) -> tuple[_FaultGroup, ...]:
    faults = []
    for findings in by_code(report.findings):
        first = findings[0]
        faults.append(
            _FaultGroup(
                *_SIGNS[first.severity],
                code=first.code,
                title=first.title,
                count=report.counts[first.code],
                places=tuple(findings[:SHOWN_PLACES]),
                fix=fix_words(first),
                service=service_words(first),
            )
        )
    return tuple(faults)


def _charts(numbers: Numbers) -> list[_Chart]:
    return [
        _chart("tokens", "Tokens of an example", numbers.tokens, "tokens"),
        _chart("prompts", "Length of the prompt", numbers.prompts, "characters in the prompt"),
        _chart("answers", "Length of the answer", numbers.answers, "characters in the answer"),
        _chart("messages", "Messages of an example", numbers.messages, "messages"),
    ]


def _chart(id: str, title: str, lengths: Lengths, what: str) -> _Chart:
    if len(lengths) > _FEW_LENGTHS:
        return _Chart(id, title, histogram(lengths, id, what), "")
    words = ", ".join(
        f"{counted(n, 'example')} with {length:,} {what}" for length, n in sorted(lengths.items())
    )
    return _Chart(id, title, None, f"{words}.")

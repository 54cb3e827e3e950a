"""The cost study of `finegrade cost` as tables, sentences, JSON and a plot. Nothing here prints."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from rich import box
from rich.table import Table

from grader.core.text import clean, counted
from grader.costs.alternatives import FEW_SHOT, PLAIN, RAG, TUNED, CostStudy
from grader.costs.break_even import Alternative, BreakEven, BreakEvenRelation, break_even
from grader.report.plots import BLUE, GREY, INK, ORANGE, new_figure

VOLUMES: Final = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)
_SIGNIFICANT: Final = 3  # digits of an amount below a dollar


def usd(amount: float) -> str:
    """Format an amount without exponent: 1,250, 3.20, 0.0315, 0.000084."""
    if amount == 0 or not math.isfinite(amount):
        return f"{amount:g}"
    if abs(amount) >= 1:
        return f"{amount:,.0f}" if abs(amount) >= 100 else f"{amount:,.2f}"
    digits = _SIGNIFICANT - 1 - math.floor(math.log10(abs(amount)))
    return f"{amount:.{digits}f}".rstrip("0").rstrip(".")


def way_name(study: CostStudy, name: str) -> str:
    """A way's name, with how many examples stand in its prompt."""
    return f"{name} ({study.assumed.shots})" if name == FEW_SHOT else name


def head_lines(study: CostStudy) -> list[str]:
    """What was counted, for which model, and what training on it costs."""
    tuned, base, training = study.tuned_price, study.base_price, study.training
    about = " (estimated)" if study.estimated else ""
    same = tuned.model == base.model
    other = "" if same else f", compared with prompting {base.model}"
    own = " (what the service chooses)" if study.epochs_automatic else ""
    return [
        f"{clean(study.path)}: {counted(study.examples, 'example')}, "
        f"{study.tokens.total:,} tokens an epoch{about}.",
        f"Fine-tuning {tuned.model}{other}. Prices of {tuned.valid_from}: {tuned.source}.",
        f"Training: {counted(training.epochs, 'epoch')}{own}, {training.billed_tokens:,} tokens "
        f"billed at {tuned.train_per_m:g} USD a million: {usd(training.usd or 0.0)} USD.",
    ]


def prices_table(study: CostStudy) -> Table:
    """USD for a million tokens."""
    table = Table(box=box.SIMPLE_HEAD, title="USD for a million tokens", title_justify="left")
    for name in ("Queries of", "read", "cached", "written"):
        table.add_column(name, justify="left" if name == "Queries of" else "right")
    rows = (("the base", study.base_price.base), ("the tuned model", study.tuned_price.ft))
    for name, rates in rows:
        if rates is not None:
            cells = (rates.input, rates.cached, rates.output)
            table.add_row(name, *("none" if cell is None else f"{cell:g}" for cell in cells))
    return table


def query_table(study: CostStudy) -> Table:
    """One row a way: tokens of a query, what is paid once and for each query."""
    table = Table(box=box.SIMPLE_HEAD, title="One query", title_justify="left")
    for name in ("Way", "prompt", "of it cached", "answer", "USD once", "USD a query"):
        table.add_column(name, justify="left" if name == "Way" else "right")
    for name, way in study.ways.items():
        usage = study.usages[name]
        tokens = (f"{count:,.0f}" for count in (usage.input, usage.cached, usage.output))
        table.add_row(way_name(study, name), *tokens, usd(way.fixed), usd(way.per_query))
    return table


def volume_table(study: CostStudy) -> Table:
    """One row a volume: what each way costs in all; the cheapest has a star."""
    table = Table(box=box.SIMPLE_HEAD, title="USD in all (* the cheapest)", title_justify="left")
    table.add_column("Queries", justify="right")
    for name in study.ways:
        table.add_column(name, justify="right")
    for volume in VOLUMES:
        totals = [way.total(volume) for way in study.ways.values()]
        least = min(totals)
        cells = [f"{usd(total)} {'*' if total == least else ' '}" for total in totals]
        table.add_row(f"{volume:,}", *cells)
    return table


def verdict_lines(study: CostStudy) -> Iterator[str]:
    """Sentences on when fine-tuning pays: against each way, with caching, by its retirement."""
    for name, found in study.break_evens.items():
        yield f"Against {_article(study, name)}: {_relation_words(study, name, found)}"
    yield from _caching_lines(study)
    yield _end_line(study)
    yield "Cheaper is only better if the answers are as good: measure them as well."


def to_json(study: CostStudy) -> dict[str, Any]:
    """All numbers, as JSON has them; a break-even that never comes is "never"."""
    horizon = study.horizon
    endless = math.isinf(horizon.queries_left)
    return {
        "path": study.path,
        "examples": study.examples,
        "tokens": asdict(study.tokens),
        "training": asdict(study.training),
        "base_model": study.base_price.model,
        "prices": {
            "valid_from": study.tuned_price.valid_from,
            "source": study.tuned_price.source,
            "training": study.tuned_price.train_per_m,
            "base": study.base_price.base and asdict(study.base_price.base),
            "tuned": study.tuned_price.ft and asdict(study.tuned_price.ft),
        },
        "assumptions": asdict(study.assumed),
        "ways": {
            name: {
                "usd_once": way.fixed,
                "usd_per_query": way.per_query,
                "tokens": asdict(study.usages[name]),
                "usd_total": {str(volume): way.total(volume) for volume in VOLUMES},
            }
            for name, way in study.ways.items()
        },
        "break_even": {
            name: {
                "relation": found.relation.value,
                "queries": "never" if found.first is None else found.first,
                "pays_before_retirement": horizon.pays(found),
            }
            for name, found in study.break_evens.items()
        },
        "retirement": {
            "today": horizon.today.isoformat(),
            "trainable": horizon.trainable,
            "closes": horizon.closes and horizon.closes.isoformat(),
            "retires": horizon.retires and horizon.retires.isoformat(),
            "days_left": horizon.days_left,
            "queries_left": None if endless else horizon.queries_left,
        },
    }


def _article(study: CostStudy, name: str) -> str:
    return "RAG" if name == "RAG" else f"a {way_name(study, name)}"


def _relation_words(study: CostStudy, name: str, found: BreakEven) -> str:
    tuned, other = study.ways[TUNED], study.ways[name]
    each = f"a tuned query costs {usd(tuned.per_query)} USD, the other {usd(other.per_query)}."
    first = found.first
    match found.relation:
        case BreakEvenRelation.ALWAYS:
            return "fine-tuning is no dearer from the first query on."
        case BreakEvenRelation.NEVER:
            return f"it never pays: {each}"
        case BreakEvenRelation.UNTIL:
            return f"it is cheaper up to {found.queries or 0:,.0f} queries, then dearer: {each}"
        case BreakEvenRelation.FROM:
            volume = counted(first or 0, "query", "queries")
            return f"it pays from {volume} on{_when(study, found)}."


def _when(study: CostStudy, found: BreakEven) -> str:
    """The date of the break-even, and whether the model is still available then."""
    horizon = study.horizon
    day = horizon.reached(found.first or 0)
    a_day = f"at {horizon.queries_per_day:,.6g} a day"
    if horizon.trainable and not horizon.pays(found):
        after = "more than a century away" if day is None else f"on {day}"
        return f", {after} {a_day}: too late, the model is withdrawn on {horizon.retires}"
    return f", {a_day}" + ("" if day is None else f" on {day}") if horizon.trainable else ""


def _caching_lines(study: CostStudy) -> Iterator[str]:
    """The effect of caching, where a prompt is long enough and it is not assumed already."""
    tuned = study.cached_ways[TUNED]
    for name, found in study.break_evens.items():
        cached = study.cached_usages[name].cached
        if cached <= study.usages[name].cached:
            continue
        way = study.cached_ways[name]
        then = break_even(tuned, way).first
        words = "it never pays" if then is None else f"it pays from {then:,} queries on"
        if then != found.first:
            yield (
                f"With prompt caching, {cached:,.0f} tokens of {_article(study, name)} come from "
                f"the cache at best; a query then costs {usd(way.per_query)} USD, and {words} "
                "(--cache-hits 1)."
            )


def _end_line(study: CostStudy) -> str:
    horizon, model = study.horizon, study.tuned_price.model
    if not horizon.trainable:
        return (
            f"But {model} can no longer be trained on {horizon.today}: the service closed for that "
            f"after {horizon.closes}, and the model is withdrawn on {horizon.retires}."
            if horizon.closes
            else f"But {model} was withdrawn on {horizon.retires}: nothing can be trained on it."
        )
    if horizon.days_left is None:
        return f"No end of {model} is known."
    closes = f"Training is possible until {horizon.closes}. " if horizon.closes else ""
    return (
        f"{closes}{model} and its fine-tunes are withdrawn on {horizon.retires}, "
        f"{counted(horizon.days_left, 'day')} from {horizon.today}: {horizon.queries_left:,.0f} "
        f"queries at {horizon.queries_per_day:,.6g} a day."
    )


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
    """The range of queries: powers of ten around all marks."""
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
        if found.relation in (BreakEvenRelation.FROM, BreakEvenRelation.UNTIL) and found.queries
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
    """Grey out the queries after the model's retirement, which are never reached."""
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
    ways: Sequence[Alternative] = sorted(study.ways.values(), key=lambda way: way.total(high))
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
    never = found is not None and found.relation is BreakEvenRelation.NEVER
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

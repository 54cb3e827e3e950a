"""The page of a training file: how long, how varied and how faulty its examples are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from grader import __version__
from grader.model import Finding, Severity
from grader.report.dataset_numbers import MAX_ANSWERS, Lengths, Numbers
from grader.report.dataset_plots import histogram
from grader.report.dataset_text import (
    SHOWN_PLACES,
    by_code,
    cost_words,
    fix_words,
    money,
    service_words,
    severity_totals,
    tokens_words,
)
from grader.report.pages import render
from grader.training_data.faults import counted

if TYPE_CHECKING:
    from grader.training_data.check import FileReport

_FEW_LENGTHS: Final = 2  # no more different lengths than this are said in words, not drawn

_SIGNS: Final = {
    Severity.ERROR: ("fail", "✗", "Error"),
    Severity.WARNING: ("review", "!", "Warning"),
    Severity.NOTE: ("skip", "i", "Note"),
}
"""CSS class, symbol and word of a severity: neither colour nor a symbol alone says it."""


@dataclass(frozen=True, slots=True)
class _Chart:
    """One distribution: drawn, or in words where there is nothing to draw."""

    id: str
    title: str
    drawn: Markup | None
    words: str


@dataclass(frozen=True, slots=True)
class _Fault:
    """All faults of one code: the rule, its first places, and how many more there are."""

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


def _faults(report: FileReport) -> tuple[_Fault, ...]:
    faults = []
    for findings in by_code(report.findings):
        first = findings[0]
        faults.append(
            _Fault(
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

"""What was found in training files, as lines for people. Nothing here prints.

A place stands at the start of its line as `path:12: ...`, so that editors and terminals can jump
to it; such lines are not to be wrapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from grader.model import Finding, Severity
from grader.report.text import clean
from grader.training_data.faults import counted
from grader.training_data.rules import RULES

if TYPE_CHECKING:
    from grader.training_data.check import FileReport
    from grader.training_data.costs import Cost
    from grader.training_data.tokens import TokenCounts

SHOWN_PLACES: Final = 3  # of each code: enough to see the pattern, few enough to see all codes
_PATH_CHARACTERS: Final = 4096  # Linux's own limit: a cut path cannot be jumped to

_STYLES: Final = {
    Severity.ERROR: "bold red",
    Severity.WARNING: "bold yellow",
    Severity.NOTE: "cyan",
}


class Span(NamedTuple):
    """Clean text, and the Rich style that it has on a terminal."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


def report_lines(report: FileReport, shown: int | None = SHOWN_PLACES) -> list[Line]:
    """All that is known of one file: what it is and costs, then its faults, errors first.

    Of each code the first `shown` places are listed, None for all that were kept.
    """
    lines = head_lines(report)
    for findings in by_code(report.findings):
        lines.append(())
        lines += _group(findings, report.counts[findings[0].code], shown)
    return lines


def head_lines(report: FileReport) -> list[Line]:
    """What one file is and what it costs, without its faults."""
    lines = [_heading(report)]
    if report.tokens is not None:
        lines.append(_plain(f"  {tokens_words(report.tokens)}"))
    if report.cost is not None and report.tokens is not None:
        lines.append(_plain(f"  {cost_words(report.cost, report.tokens)}"))
    lines += [(Span("  Note: ", "cyan"), Span(clean(note))) for note in report.notes]
    return lines


def summary_line(reports: Sequence[FileReport]) -> Line:
    """How many faults of each severity there are in all files together."""
    found = [
        Span(counted(total, severity.value), _STYLES[severity])
        for severity, total in severity_totals(reports).items()
        if total
    ]
    if not found:
        examples = sum(report.examples for report in reports)
        return (Span(f"No faults found in {counted(examples, 'example')}.", "bold green"),)
    commas = [part for span in found for part in (Span(", "), span)][1:]
    return (*commas, Span(f" in {counted(len(reports), 'file')}"))


def severity_totals(reports: Sequence[FileReport]) -> dict[Severity, int]:
    """All faults of these files by severity, also those that were not kept."""
    totals = dict.fromkeys(Severity, 0)
    for report in reports:
        for findings in by_code(report.findings):
            totals[findings[0].severity] += report.counts[findings[0].code]
    return totals


def by_code(findings: Sequence[Finding]) -> list[list[Finding]]:
    """The findings of each code together: errors first, then by code, then as they came."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.code, []).append(finding)
    order = list(Severity)
    return [
        groups[code]
        for code in sorted(groups, key=lambda c: (order.index(groups[c][0].severity), c))
    ]


def tokens_words(tokens: TokenCounts) -> str:
    """The tokens of a file: "61,204 tokens (min 9, mean 25.1, p95 34, max 51)"."""
    about = "about " if tokens.estimated else ""
    return (
        f"{about}{counted(tokens.total, 'token')} (min {tokens.min:,}, mean {tokens.mean:,.1f}, "
        f"p95 {tokens.p95:,}, max {tokens.max:,})"
    )


def cost_words(cost: Cost, tokens: TokenCounts) -> str:
    """How the cost of a training comes about, and by which prices."""
    about = "about " if cost.estimated else ""
    billed = (
        f"{counted(cost.epochs, 'epoch')} × {about}{counted(tokens.total, 'token')} = "  # noqa: RUF001
        f"{about}{cost.billed_tokens:,} billed tokens"
    )
    price = money(cost)
    if not price:
        return f"{billed}; no price of {clean(cost.model)} is known (--prices FILE gives one)"
    dated = f"prices of {clean(cost.valid_from or '')}"
    if cost.retires is not None:
        dated += f"; retires {cost.retires}"
    return f"{billed}, {price} at {clean(cost.model)} ({dated})"


def money(cost: Cost) -> str:
    """What it costs, as people read it: "USD 0.92", "under USD 0.01", or "" if not known."""
    if cost.usd is None:
        return ""
    if 0 < cost.usd < 0.005:
        return f"under {cost.currency} 0.01"
    return f"{cost.currency} {cost.usd:,.2f}"


def fix_words(finding: Finding) -> str:
    """What to do about it, without the service's words that a hint repeats."""
    return clean(RULES[finding.code].fix)


def service_words(finding: Finding) -> str:
    """What OpenAI's service says of it, word for word, or "" where that is not known."""
    return clean(RULES[finding.code].service)


def place(finding: Finding) -> str:
    """Where it stands, as compilers write it: "train.jsonl:12", or "train.jsonl" for all of it."""
    path = clean(finding.location.path or "", _PATH_CHARACTERS)
    return path if finding.location.line is None else f"{path}:{finding.location.line}"


def _heading(report: FileReport) -> Line:
    what = counted(report.examples, "example")
    if report.kind is not None:
        what += f" of kind {report.kind.value} ({clean(report.kind_reason)})"
    return (Span(clean(report.path, _PATH_CHARACTERS), "bold"), Span(f": {what}"))


def _group(findings: Sequence[Finding], count: int, shown: int | None) -> list[Line]:
    """One code: its claim, its places, what was left out, and what to do."""
    first = findings[0]
    heading = f"{first.code} {first.severity.value:<7}"
    places = f" ({counted(count, 'place')})" if count > 1 else ""
    lines: list[Line] = [
        (Span(heading, _STYLES[first.severity]), Span(f" {clean(first.title)}{places}", "bold"))
    ]
    if shown is not None and count == shown + 1:
        shown += 1  # "1 more" would take the line that it saves
    for finding in findings[:shown]:
        pointer = clean(finding.location.pointer or "")
        lines.append(
            (
                Span(place(finding), "cyan"),
                Span(f": {clean(finding.message)}"),
                Span(f" ({pointer})" if pointer else "", "dim"),
            )
        )
    left_out = count - len(findings[:shown])
    if left_out:
        how = " (--all shows them)" if shown is not None else ""
        lines.append((Span(f"  … and {left_out:,} more{how}", "dim"),))
    lines.append((Span("  Fix: ", "bold"), Span(fix_words(first))))
    if service_words(first):
        lines.append(_plain(f"  OpenAI says: {service_words(first)}"))
    return lines


def _plain(text: str) -> Line:
    return (Span(text),)

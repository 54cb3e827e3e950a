"""Reports on training files, and on what the `data` commands did, as lines of text.

Nothing here prints. A place stands at the start of its line as `path:12: ...`, so that editors and
terminals can jump to it; such lines must not be wrapped. `gather` collects the numbers that the
page of a file draws, in one pass and bounded memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from grader.core.nouns import Finding, Severity
from grader.core.text import clean, counted
from grader.training_data.rules import RULES
from grader.training_data.rules.rule import quoted

if TYPE_CHECKING:
    from grader.training_data.check import FileReport
    from grader.training_data.costs import Cost
    from grader.training_data.edit.convert import Converted
    from grader.training_data.edit.dedupe import Deduped
    from grader.training_data.edit.fix import Fixed
    from grader.training_data.edit.split import Split
    from grader.training_data.read.examples import Example
    from grader.training_data.rules.rule import Occurrences
    from grader.training_data.tokens import TokenCounts

MAX_ANSWERS: Final = 100_000  # different ones that are counted: at most some 50 MB
_LISTED_ANSWERS: Final = 12  # most frequent ones on the page: more are a long tail of ones
_ANSWER_CHARACTERS: Final = 120  # of each: two lines of the page
_ROLES: Final = ("system", "user", "assistant", "tool", "function")
_OTHER_ROLE: Final = "other"

Lengths = Counter[int]
"""How many examples have each length. A file of n bytes has at most √2n different ones."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Statistics of one file's examples.

    `tokens` (perhaps of an even sample), `prompts` and `answers` (characters) count the examples
    of each length, `messages` those of each number of messages. `roles` counts messages.
    `frequent` has the beginnings of the answers that come more than once with their counts, most
    first, among the first MAX_ANSWERS `different` ones.
    """

    examples: int
    tokens: Lengths
    prompts: Lengths
    answers: Lengths
    messages: Lengths
    roles: Counter[str]
    frequent: tuple[tuple[str, int], ...]
    different: int


def gather(
    examples: Iterable[Example], count_tokens: Callable[[Example], int], every: int = 1
) -> Numbers:
    """Collect statistics of these examples; tokens, the slowest, of every n-th only."""
    total = 0
    tokens, prompts, answers, messages = (Lengths() for _ in range(4))
    roles: Counter[str] = Counter()
    texts: Counter[tuple[str, int]] = Counter()
    for example in examples:
        answer = example.answer
        if total % every == 0:
            tokens[count_tokens(example)] += 1
        prompts[len(example.prompt)] += 1
        answers[len(answer)] += 1
        spoken = [message.get("role") for message in example.messages]
        messages[len(spoken)] += 1
        roles.update(role if role in _ROLES else _OTHER_ROLE for role in spoken)
        # A hash distinguishes long answers that begin alike, without keeping them.
        key = (answer[:_ANSWER_CHARACTERS], hash(answer))
        if key in texts or len(texts) < MAX_ANSWERS:
            texts[key] += 1
        total += 1
    frequent = sorted(
        ((text, n) for (text, _), n in texts.items() if n > 1), key=lambda a: (-a[1], a[0])
    )
    return Numbers(
        examples=total,
        tokens=tokens,
        prompts=prompts,
        answers=answers,
        messages=messages,
        roles=Counter({r: roles[r] for r in (*_ROLES, _OTHER_ROLE) if roles[r]}),
        frequent=tuple(frequent[:_LISTED_ANSWERS]),
        different=len(texts),
    )


def percentile(lengths: Lengths, share: float) -> int:
    """The length that at least `share` (0 to 1) of the examples do not exceed; 0 of none."""
    enough = share * lengths.total()
    seen = 0
    for length in sorted(lengths):
        seen += lengths[length]
        if seen >= enough:
            return length
    return 0


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
    """The report on one file: its kind and cost, then its faults, errors first.

    Of each code the first `shown` places are listed, None for all that were kept.
    """
    lines = head_lines(report)
    for findings in by_code(report.findings):
        lines.append(())
        lines += _group(findings, report.counts[findings[0].code], shown)
    return lines


def head_lines(report: FileReport) -> list[Line]:
    """The kind and cost of one file, without its faults."""
    lines = [_heading(report)]
    if report.tokens is not None:
        lines.append(_plain(f"  {tokens_words(report.tokens)}"))
    if report.cost is not None and report.tokens is not None:
        lines.append(_plain(f"  {cost_words(report.cost, report.tokens)}"))
    lines += [(Span("  Note: ", "cyan"), Span(clean(note))) for note in report.notes]
    return lines


def summary_line(reports: Sequence[FileReport]) -> Line:
    """The number of faults of each severity in all files."""
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
    """The findings grouped by code: errors first, then by code, then in order."""
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
    """Explain the cost of a training, with its prices."""
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
    """Format a cost: "USD 0.92", "under USD 0.01", or "" if not known."""
    if cost.usd is None:
        return ""
    if 0 < cost.usd < 0.005:
        return f"under {cost.currency} 0.01"
    return f"{cost.currency} {cost.usd:,.2f}"


def fix_words(finding: Finding) -> str:
    """The fix, without the service's message that a hint repeats."""
    return clean(RULES[finding.code].fix)


def service_words(finding: Finding) -> str:
    """The error message of OpenAI's service, or "" where it is not known."""
    return clean(RULES[finding.code].service)


def place(finding: Finding) -> str:
    """Format a place as compilers do: "train.jsonl:12", or "train.jsonl" for the whole file."""
    path = clean(finding.location.path or "", _PATH_CHARACTERS)
    return path if finding.location.line is None else f"{path}:{finding.location.line}"


def _heading(report: FileReport) -> Line:
    what = counted(report.examples, "example")
    if report.kind is not None:
        what += f" of kind {report.kind.value} ({clean(report.kind_reason)})"
    return (Span(clean(report.path, _PATH_CHARACTERS), "bold"), Span(f": {what}"))


def _group(findings: Sequence[Finding], count: int, shown: int | None) -> list[Line]:
    """One code: its claim, its places, the number of omitted ones, and the fix."""
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


_SHOWN_LINES: Final = 5  # dropped ones that are named; --format json has more


def fixed_lines(done: Fixed) -> list[str]:
    """Each repair with its places, and what is left for `data check`."""
    lines = [f"{counted(done.lines_read, 'line')} read, {done.lines_written:,} written."]
    lines += [f"  {repair.value}: {places}" for repair, places in done.repairs.items()]
    if not done.repairs:
        lines.append("  Nothing needed a repair.")
    if done.unusable.count:
        lines.append(_unusable(done.unusable))
    return lines


def split_lines(done: Split) -> list[str]:
    """How many examples each file has, and what had to stay together."""
    total = sum(done.examples.values())
    lines = [f"{counted(total, 'example')} split."]
    lines += [f"  {name}: {n:,} ({n / total:.1%})" for name, n in done.examples.items()]
    if done.groups < total:
        lines.append(
            f"  Examples that are alike stayed together: {counted(done.groups, 'group')}, the "
            f"largest of {done.largest_group:,}."
        )
    lines.append(f"  Near copies were looked for among {counted(done.searched, 'prompt')}.")
    if done.classes:
        lines.append(f"  Each file has its share of each of the {done.classes} different answers.")
    return lines


def deduped_lines(done: Deduped) -> list[str]:
    """How many lines were dropped, and the first of them with the lines that they repeat."""
    lines = [
        f"{counted(done.lines_read, 'line')} read, {done.lines_written:,} written.",
        f"  Dropped: {counted(done.copies, 'copy', 'copies')}, "
        f"{counted(done.near_copies, 'near copy', 'near copies')}",
    ]
    lines += [
        f"  line {one.line}: {'nearly ' if one.near else ''}the same as line {one.earlier}"
        for one in done.dropped[:_SHOWN_LINES]
    ]
    left_out = done.copies + done.near_copies - _SHOWN_LINES
    if left_out > 0:
        lines.append(f"  … and {left_out:,} more (--format json names the first of them)")
    if done.searched:
        lines.append(f"  Near copies were looked for among {counted(done.searched, 'example')}.")
    if done.unusable.count:
        lines.append(_unusable(done.unusable))
    return lines


def converted_lines(done: Converted) -> list[str]:
    """How many examples, and which keys the new kind does not know."""
    lines = [f"{counted(done.examples, done.noun)} converted."]
    if done.unchanged:
        lines.append(f"  Already of this kind and kept as they are: {done.unchanged:,}")
    lines += [f"  Dropped, {clean(key)}: {places}" for key, places in done.dropped.items()]
    lines += [f"  Left out, the end that all share: {quoted(mark)}" for mark in done.marks]
    return lines


def left_lines(report: FileReport, path: str) -> list[str]:
    """How many errors are left in a file that was written."""
    errors = {c: n for c, n in report.counts.items() if RULES[c].severity is Severity.ERROR}
    if not errors:
        return ["No errors remain."]
    codes = ", ".join(f"{code} {n:,}" for code, n in errors.items())
    remain = "remains" if sum(errors.values()) == 1 else "remain"
    return [
        f"{counted(sum(errors.values()), 'error')} {remain} ({codes}). "
        f"`finegrade data check {clean(path)}` says where and how to mend them."
    ]


def _unusable(places: Occurrences) -> str:
    return f"  No usable example, left as they are: {places}. `finegrade data check` says why."

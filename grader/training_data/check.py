"""Checks one training file against all rules: each line, then the data set as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from grader.core.constants import DATA_KEPT_FAULTS, DATA_MAX_FAULTS, DATA_MIN_EXAMPLES
from grader.core.nouns import Finding, Location, Outcome, Severity
from grader.training_data.costs import (
    Cost,
    Prices,
    load_prices,
    retirement_fault,
    training_context,
    training_cost,
)
from grader.training_data.examples.distribution import AnswerDistribution, Lengths
from grader.training_data.examples.duplicates import Duplicates
from grader.training_data.examples.overlap import overlap
from grader.training_data.lines.line_checks import LineReport, check_lines
from grader.training_data.read.examples import (
    Example,
    Kind,
    ReadProgress,
    differences,
    read_examples,
)
from grader.training_data.read.fingerprint import read
from grader.training_data.read.format_detection import decoded_head, majority_kind
from grader.training_data.read.lines import blocks, open_data
from grader.training_data.rules import RULES
from grader.training_data.rules.rule import Fault, quoted
from grader.training_data.texts.content import WritingSystems, content_faults
from grader.training_data.tokens import TokenCounts, count_tokens

DEFAULT_MODEL: Final = "gpt-4.1-mini-2025-04-14"
"""The model for tokens and prices where none is named: the cheapest that can be trained."""

_EXAMPLES_A_STEP: Final = 1_000  # between two reports of progress


@dataclass(frozen=True, slots=True)
class FileReport:
    """The result of checking one training file.

    `findings` are in the order of code and line, at most `keep` of each code; `counts` has all.
    `kind_reason` says how the kind was detected. `tokens` are of one epoch, `cost` of the training.
    `notes` say what was not checked.
    """

    path: str
    kind: Kind | None
    kind_reason: str
    examples: int
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
    tokens: TokenCounts | None = None
    cost: Cost | None = None
    notes: tuple[str, ...] = ()

    @property
    def left_out(self) -> dict[str, int]:
        """How many findings of each code are counted and not listed."""
        listed = Counter(finding.code for finding in self.findings)
        return {c: n - listed[c] for c, n in sorted(self.counts.items()) if n > listed[c]}


class _FaultCounter:
    """Counts all faults and keeps the first ones of each code."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self.counts: dict[str, int] = {}
        self.kept: dict[str, list[Fault]] = {}

    def add(self, fault: Fault) -> None:
        seen = self.counts.get(fault.code, 0)
        self.counts[fault.code] = seen + 1
        if seen < self._keep:
            self.kept.setdefault(fault.code, []).append(fault)


class DataSet:
    """All checks of a data set: reads each example once, in order, then reports the faults.

    Keeps numbers, not texts, for each example: about 60 bytes, so that a million of them fit.
    """

    def __init__(self) -> None:
        self._duplicates = Duplicates()
        self._passes = (self._duplicates, AnswerDistribution(), Lengths(), WritingSystems())

    @property
    def searched(self) -> int:
        """How many different examples are compared for near copies."""
        return self._duplicates.searched

    @property
    def left_out(self) -> int:
        """How many are not compared, because there are too many or they are too long."""
        return self._duplicates.left_out

    def add(self, example: Example) -> Iterator[Fault]:
        """Add an example and yield the faults of its texts; exhaust the iterator."""
        fingerprint = read(example)
        for each in self._passes:
            each.add(fingerprint)
        return content_faults(fingerprint)

    def faults(self) -> Iterator[Fault]:
        """The faults that only all examples together show, for each code in line order."""
        for each in self._passes:
            yield from each.faults()


def check_file(
    path: Path,
    *,
    kind: Kind | None = None,
    against: Path | None = None,
    model: str | None = DEFAULT_MODEL,
    prices: Prices | None = None,
    today: date | None = None,
    min_examples: int = DATA_MIN_EXAMPLES,
    as_errors: frozenset[str] = frozenset(),
    keep: int = DATA_KEPT_FAULTS,
    progress: ReadProgress | None = None,
) -> FileReport:
    """Check the file at `path`, which may be any file.

    `kind` is the expected kind, None to detect it. `against` is a file that must share nothing
    with it. Tokens and cost are those of training `model`, None for no count. `today` is for
    checking whether `model` can still be trained, None for no such check. `as_errors` are codes of
    warnings that the assignment treats as errors.

    Raises UsageError for a `model` whose tokenizer is not here; nothing else, whatever the file.
    """
    faults = _FaultCounter(keep)
    begin = progress.start if progress else _no_stage
    advance = progress.advance if progress else _no_units
    begin(f"Reading {path.name}", _size(path))
    lines = check_lines(path, kind, faults.add, advance)
    if lines.stopped_at is not None:
        seen = f"{DATA_MAX_FAULTS:,} faults"
        note = f"Reading stopped at line {lines.stopped_at:,}, after {seen}: fix these first."
        return _report(path, lines, faults, as_errors, (note,))
    if not lines.usable or lines.kind is None or not lines.examples:
        return _report(path, lines, faults, as_errors)
    if lines.examples < min_examples:
        found = f"{lines.examples} examples; at least {min_examples} are needed"
        faults.add(Fault("JSL601", found))
    begin(f"Comparing examples of {path.name}", _size(path))
    notes = _check_examples(path, faults.add, advance)
    if against is not None:
        _check_against(path, lines, against, faults.add)
    if model is None:
        return _report(path, lines, faults, as_errors, notes)
    table = load_prices() if prices is None else prices
    begin(f"Counting tokens of {path.name}", lines.examples)
    tokens, outliers = count_tokens(
        read_examples(path),
        lines.examples,
        model,
        training_context(model, table),
        differences(advance),
    )
    gone = None if today is None else retirement_fault(model, table, today)
    for fault in (*outliers, *([gone] if gone else [])):
        faults.add(fault)
    cost = training_cost(tokens, lines.examples, model, table)
    return _report(path, lines, faults, as_errors, notes, tokens, cost)


def _check_examples(
    path: Path, report: Callable[[Fault], None], advance: Callable[[int], None]
) -> tuple[str, ...]:
    """Report every fault of the data set as a whole; return notes on what was not checked.

    `advance` is called with the number of bytes done since the last call.
    """
    data_set = DataSet()
    done = 0
    for number, example in enumerate(read_examples(path), 1):
        for fault in data_set.add(example):
            report(fault)
        done += len(example.raw) + 1
        if number % _EXAMPLES_A_STEP == 0:
            advance(done)
            done = 0
    advance(done)
    for fault in data_set.faults():
        report(fault)
    if data_set.left_out:
        return (f"Near copies were searched among the first {data_set.searched:,} examples.",)
    return ()


def _check_against(
    path: Path, lines: LineReport, against: Path, report: Callable[[Fault], None]
) -> None:
    """Report overlap between two files, and differences that they must not have."""
    with open_data(against) as file:
        other, _ = majority_kind(decoded_head(next(blocks(file), [])))
    if other is not None and other is not lines.kind:
        found = f"this file is of kind {lines.kind} and {quoted(against.name)} of kind {other}"
        report(Fault("JSL615", found))
    for fault in overlap(read_examples(path), read_examples(against)):
        report(fault)


def _report(
    path: Path,
    lines: LineReport,
    faults: _FaultCounter,
    as_errors: frozenset[str],
    notes: tuple[str, ...] = (),
    tokens: TokenCounts | None = None,
    cost: Cost | None = None,
) -> FileReport:
    findings = [
        _finding(fault, str(path), as_errors)
        for code in sorted(faults.kept)
        for fault in sorted(faults.kept[code], key=lambda f: f.line or 0)
    ]
    return FileReport(
        path=str(path),
        kind=lines.kind,
        kind_reason=lines.kind_reason,
        examples=lines.examples,
        findings=tuple(findings),
        counts=dict(sorted(faults.counts.items())),
        tokens=tokens,
        cost=cost,
        notes=notes,
    )


def _finding(fault: Fault, path: str, as_errors: frozenset[str]) -> Finding:
    rule = RULES[fault.code]
    service = f" OpenAI's service says: {rule.service}." if rule.service else ""
    return Finding(
        code=rule.code,
        outcome=Outcome.FAIL,
        title=rule.title,
        message=fault.message,
        hint=rule.fix + service,
        severity=Severity.ERROR if rule.code in as_errors else rule.severity,
        location=Location(path, fault.line, fault.pointer),
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0


def _no_stage(_stage: str, _total: int) -> None:
    """Report no progress."""


def _no_units(_units: int) -> None:
    """Report no progress."""

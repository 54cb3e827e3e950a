"""Self-contained HTML pages from templates: nothing loaded, every text escaped, and no script but
the one that sorts the class.

`shown` and `for_student` decide what of a finding a student may read. Every student's page goes
through them.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment
from markupsafe import Markup

from grader.core.constants import (
    REPORT_MAX_PASS_CHARACTERS,
    REPORT_MAX_TEXT_CHARACTERS,
    REPORT_SAME_MEASURE,
)
from grader.core.nouns import Category, Finding, Outcome, Visibility
from grader.core.result import Score
from grader.core.text import clean, file_size, percent, points, short_digest, templates, where

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """The page as text. The same values always give the same bytes."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = templates(_TEMPLATES)
    environment.filters.update(
        clean=clean, file_size=file_size, percent=percent, points=points, short_digest=short_digest
    )
    # Our own style sheet and script, so no student's text is in them; the policy allows these bytes
    # only, and the script on the class page alone.
    for name, file in (("css", "page.css"), ("script", "class.js")):
        text = (_TEMPLATES / file).read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        environment.globals.update({name: Markup(text), f"{name}_hash": f"sha256-{digest}"})
    return environment


WORDS: Final = {
    Outcome.PASS: ("✓", "Passed"),
    Outcome.FAIL: ("✗", "To fix"),
    Outcome.SKIP: ("–", "Not looked at"),  # noqa: RUF001
    Outcome.ERROR: ("!", "Grader fault"),
    Outcome.REVIEW: ("?", "To be decided"),
}
"""Symbol and word of an outcome: neither colour nor a symbol alone says it."""


@dataclass(frozen=True, slots=True)
class FindingView:
    """A finding without its note. `kind` is the outcome's name, used as a CSS class."""

    code: str
    kind: str
    symbol: str
    word: str
    title: str
    message: str
    hint: str
    where: str


@dataclass(frozen=True, slots=True)
class MeasureLine:
    """A measure and what the page says of it."""

    title: str
    said: str


def shown(finding: Finding) -> FindingView:
    """A finding as a page shows it: cleaned, and without its note and its measures."""
    symbol, word = WORDS[finding.outcome]
    passed = finding.outcome is Outcome.PASS
    return FindingView(
        code=finding.code,
        kind=finding.outcome.value,
        symbol=symbol,
        word=word,
        title=clean(finding.title),
        message=clean(
            finding.message, REPORT_MAX_PASS_CHARACTERS if passed else REPORT_MAX_TEXT_CHARACTERS
        ),
        hint="" if passed else clean(finding.hint),
        where=where(finding.location),
    )


def for_student(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings that a student may read, in order."""
    return tuple(f for f in findings if f.visibility is Visibility.STUDENT)


def not_attempted(category: Category, score: Score, findings: Sequence[Finding]) -> bool:
    """Whether this criterion gives extra points and nothing was submitted for it."""
    because = [finding for finding in findings if finding.code in score.because]
    decided = category.extra and score.points == 0 and bool(because)
    return decided and all(finding.left_out for finding in because)


SUMMED_UP: Final = {"JSL": "rules on training data hold"}
"""Families of many small rules, and what they say together."""


def summed_up(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings, with large families of rules shortened to the failed ones.

    Of such a family every rule that did not hold stays; all others become one line, at the place
    of the first of them.
    """
    groups: dict[tuple[str, Outcome], list[Finding]] = {}
    kept: list[Finding | tuple[str, Outcome]] = []
    for finding in findings:
        key = (finding.code[:3], finding.outcome)
        if key[0] not in SUMMED_UP or finding.outcome not in (Outcome.PASS, Outcome.SKIP):
            kept.append(finding)
        elif key in groups:
            groups[key].append(finding)
        else:
            groups[key] = [finding]
            kept.append(key)
    broken = {f.code[:3] for f in kept if isinstance(f, Finding)}
    return tuple(
        _summary(k[0], groups[k], k[0] in broken) if isinstance(k, tuple) else k for k in kept
    )


def _summary(family: str, some: Sequence[Finding], others: bool) -> Finding:
    held = f"{len(some)} rules, {some[0].code} to {some[-1].code}."
    message = held if some[0].outcome is Outcome.PASS else some[0].message
    title = f"{'All other' if others else 'All'} {SUMMED_UP[family]}"
    return replace(some[0], code=family, title=title, message=message, measures={})


def value(measures: Mapping[str, float | int | str | None], name: str) -> float | None:
    """A measure as a finite number, or None when it is absent or not a number."""
    raw = measures.get(name)
    if isinstance(raw, str) or raw is None or not math.isfinite(raw):
        return None
    return float(raw)


def _beside(before: float, after: float) -> str:
    """The adapter's measure beside the base's; a number would carry bits of hidden questions."""
    if abs(after - before) <= REPORT_SAME_MEASURE * max(abs(before), abs(after)):
        return "about the same"
    return "higher" if after > before else "lower"


def _reported(before: float, after: float) -> str:
    return f"{percent(before)} for the base model, {percent(after)} for the adapter"


# The only measures that a student's page shows: (code, title, before, after, how they are told).
_ALLOWED: Final[tuple[tuple[str, str, str, str, Callable[[float, float], str]], ...]] = (
    ("EVL002", "Token F1", "token_f1_before", "token_f1_after", _beside),
    ("EVL002", "BLEU", "bleu_before", "bleu_after", _beside),
    ("EVL002", "ROUGE-L", "rouge_l_before", "rouge_l_after", _beside),
    ("EVL002", "Log-likelihood a token", "loglik_before", "loglik_after", _beside),
    ("EVL003", "Speed", "reference_tokens_per_second", "tokens_per_second", _beside),
    ("EVL003", "Peak memory", "reference_peak_memory_mib", "peak_memory_mib", _beside),
    ("EVL004", "Right answers that you reported", "claimed_before", "claimed_after", _reported),
)


def measured(findings: Sequence[Finding]) -> tuple[MeasureLine, ...]:
    """The allowed measures of these findings, each of the adapter beside the base model's."""
    lines = []
    for name in dict.fromkeys(finding.name for finding in findings):
        by_code = {f.check: f.measures for f in findings if f.name == name}
        for code, title, before, after, tell in _ALLOWED:
            measures = by_code.get(code, {})
            low, high = value(measures, before), value(measures, after)
            if low is not None and high is not None:
                shown_title = f"{title} ({name})" if name else title
                lines.append(MeasureLine(shown_title, tell(low, high)))
    return tuple(lines)

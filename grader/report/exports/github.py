"""Findings as GitHub Actions workflow commands, which become annotations on a student's commit."""

from collections.abc import Sequence
from typing import Final

from grader.core.constants import GITHUB_MAX_ANNOTATIONS
from grader.core.nouns import Finding, Outcome, Severity, Visibility
from grader.core.text import clean

_KINDS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def annotations(findings: Sequence[Finding]) -> list[str]:
    """One line an annotation, without line ends, worst kind first; then what was left out.

    Only what a student may read and that did not pass is shown: a fail by its severity, the
    grader's own error as a warning, a review as a notice. What was skipped only repeats the fail
    before it.
    """
    by_kind: dict[str, list[Finding]] = {kind: [] for kind in _KINDS.values()}
    for finding in findings:
        kind = _kind(finding)
        if kind is not None and finding.visibility is Visibility.STUDENT:
            by_kind[kind].append(finding)
    lines: list[str] = []
    for kind, some in by_kind.items():
        lines += [_annotation(kind, finding) for finding in some[:GITHUB_MAX_ANNOTATIONS]]
        left_out = len(some) - GITHUB_MAX_ANNOTATIONS
        if left_out > 0:
            rest = f"{left_out} more of kind {kind}"
            lines.append(f"{rest}: run finegrade on your own machine to read them all.")
    return lines


def _kind(finding: Finding) -> str | None:
    match finding.outcome:
        case Outcome.FAIL:
            return _KINDS[finding.severity]
        case Outcome.ERROR:
            return "warning"
        case Outcome.REVIEW:
            return "notice"
        case _:
            return None


def _annotation(kind: str, finding: Finding) -> str:
    where = finding.location
    properties = {
        "file": where.path,
        "line": None if where.path is None or where.line is None else str(where.line),
        "title": f"{finding.code} {finding.title}",
    }
    given = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value)
    message = (
        finding.message if finding.message.endswith((".", "!", "?")) else f"{finding.message}."
    )
    return f"::{kind} {given}::{_data(f'{message} {finding.hint}')}"


def _data(text: str) -> str:
    """Escaped as the runner unescapes it; `clean` has already turned line ends into spaces."""
    return clean(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

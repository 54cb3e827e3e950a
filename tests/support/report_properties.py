"""What holds of every report, whatever the file: asked by the tests and by the fuzzer."""

from __future__ import annotations

import json
from typing import Final

from grader.core.nouns import Outcome, Severity
from grader.training_data.check import FileReport
from grader.training_data.rules import RULES

MAX_MESSAGE_CHARACTERS: Final = 500  # longer ones fill a terminal
_NOT_READ_BY_LINE: Final = {"JSL001", "JSL003", "JSL006", "JSL007", "JSL008", "JSL011"}
_NOT_LOADED: Final = (ValueError, RecursionError)


def assert_can_be_shown(report: FileReport, data: bytes) -> None:
    """Every finding has a known code, a place in the file and a short printable message."""
    last = data.count(b"\n") + 1
    for finding in report.findings:
        assert finding.code in RULES, finding
        assert finding.outcome is Outcome.FAIL, finding
        assert finding.severity is RULES[finding.code].severity, finding
        assert 1 <= (finding.location.line or 1) <= last, finding
        assert finding.message, finding
        assert finding.message.isprintable(), finding
        assert len(finding.message) <= MAX_MESSAGE_CHARACTERS, finding
        pointer = finding.location.pointer or ""
        assert pointer == "" or pointer.startswith("/"), finding
        (finding.message + pointer).encode("utf-8")
    assert set(report.counts) == {finding.code for finding in report.findings}
    for code, count in report.counts.items():
        assert count >= sum(finding.code == code for finding in report.findings) >= 1, code
    assert 0 <= report.examples <= last
    assert report.kind_reason.isprintable()


def assert_agrees_with_json(report: FileReport, data: bytes) -> None:
    """A line that Python's own reader takes is no broken JSON here, and the other way round.

    Says nothing of a file that is not read line by line, or of which not all faults were kept.
    """
    kept = {c: sum(f.code == c for f in report.findings) for c in report.counts}
    if _NOT_READ_BY_LINE & set(report.counts) or kept != dict(report.counts):
        return
    errors: dict[int, set[str]] = {}
    for finding in report.findings:
        if finding.location.line is not None and finding.severity is Severity.ERROR:
            errors.setdefault(finding.location.line, set()).add(finding.code)
    for number, raw in enumerate(data.split(b"\n"), start=1):
        found = errors.get(number, set())
        raw = raw.removeprefix(b"\xef\xbb\xbf")
        if not raw.strip():
            continue
        try:
            value = json.loads(raw.decode("utf-8"))
        except _NOT_LOADED:
            assert found, f"line {number} is no JSON and has no error"
        else:
            assert not found & {"JSL101", "JSL102"}, (number, found)
            assert found or isinstance(value, dict), f"line {number} is no object"

"""Reports on training files as JSON: the contract `finegrade/findings/v1`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from grader.core.constants import RESULT_DECIMALS
from grader.report.result_json import finding_to_json

if TYPE_CHECKING:
    from grader.core.nouns import Finding
    from grader.training_data.check import FileReport

SCHEMA_ID: Final = "finegrade/findings/v1"


def to_json(reports: Sequence[FileReport]) -> dict[str, Any]:
    """All files as a JSON value; the same reports always give the same value."""
    return {"schema": SCHEMA_ID, "files": [_file(report) for report in reports]}


def _file(report: FileReport) -> dict[str, Any]:
    return {
        "path": _readable(report.path),
        "kind": None if report.kind is None else report.kind.value,
        "kind_reason": report.kind_reason,
        "examples": report.examples,
        "tokens": None if report.tokens is None else _rounded(asdict(report.tokens)),
        "cost": None if report.cost is None else _rounded(asdict(report.cost)),
        "counts": dict(sorted(report.counts.items())),
        "notes": list(report.notes),
        "findings": [_finding(finding) for finding in report.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    """As in a result, without the instructor's note: anybody may read this document."""
    value = finding_to_json(finding)
    del value["note"]
    path = value["location"]["path"]
    value["location"]["path"] = None if path is None else _readable(path)
    return value


def _rounded(value: dict[str, Any]) -> dict[str, Any]:
    """The value rounded to significant digits."""
    return {k: round(v, RESULT_DECIMALS) if isinstance(v, float) else v for k, v in value.items()}


def _readable(path: str) -> str:
    """A path that every JSON reader accepts: bytes that are not UTF-8 become "?"."""
    return path.encode("utf-8", "replace").decode()

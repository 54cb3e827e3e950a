"""Results and reports on training files as JSON: `finegrade/result/v1` and `finegrade/findings/v1`.

A result's file is the instructor's: it holds notes and findings that a student may not read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jsonschema import Draft202012Validator

from grader.core.constants import RESULT_DECIMALS
from grader.core.errors import GraderFault, UsageError
from grader.core.nouns import Finding, Location, Outcome, Severity, Status, Visibility
from grader.core.result import (
    AnswerSheet,
    CurvePoint,
    LearningCurve,
    Result,
    Score,
    Total,
    WrongAnswer,
)
from grader.core.review import ItemScore, Level
from grader.report.worth import Worth, worth_of

if TYPE_CHECKING:
    from grader.core.nouns import Finding
    from grader.training_data.check import FileReport

SCHEMA_ID: Final = "finegrade/result/v1"
_SCHEMA = Path(__file__).parents[1] / "schemas" / "result.v1.json"


def to_json(result: Result) -> dict[str, Any]:
    """The result as a JSON value: numbers rounded, keys of free order sorted.

    A measure or provenance value that is no finite number becomes null (unknown). Raises
    GraderFault if points are not finite: such a total must never reach a gradebook.
    """
    total, worths = result.total, worth_of(result.scores)
    return {
        "schema": SCHEMA_ID,
        "assignment": {"id": result.assignment_id, "version": result.assignment_version},
        "submission": {
            "student": result.student,
            "digest": result.digest,
            "submitted_at": result.submitted_at,
        },
        "status": result.status.value,
        "points": None if total.points is None else _points(total.points),
        "max_points": _points(total.max_points),
        "lower": _points(total.lower),
        "upper": _points(total.upper),
        "total": {
            "categories": {
                id: {"lower": _points(lower), "upper": _points(upper)}
                for id, (lower, upper) in sorted(total.categories.items())
            },
            "counted_parts": list(total.counted_parts),
            "parts": _parts(result.scores),
        },
        "criteria": [_criterion(score) for score in result.scores],
        "findings": [
            finding_to_json(finding) | _worth(worths.get(finding.code))
            for finding in result.findings
        ],
        **({"answers": _value([asdict(s) for s in result.sheets])} if result.sheets else {}),
        **({"curves": _value([asdict(c) for c in result.curves])} if result.curves else {}),
        "provenance": _value(result.provenance),
    }


def _parts(scores: Sequence[Score]) -> dict[str, Any]:
    """Each part's points for certain, at most with what is open, and in all."""
    found: dict[str, list[Score]] = {}
    for score in scores:
        if score.part is not None:
            found.setdefault(score.part, []).append(score)
    return {
        part: {
            "lower": _points(sum(score.points or 0.0 for score in some)),
            "upper": _points(
                sum(score.max_points if score.points is None else score.points for score in some)
            ),
            "max_points": _points(sum(score.max_points for score in some)),
        }
        for part, some in sorted(found.items())
    }


def _worth(worth: Worth | None) -> dict[str, Any]:
    """The points that hang on a finding, null while some are open; nothing where none does."""
    if worth is None:
        return {}
    earned = None if worth.open else _points(worth.earned)
    return {"worth": {"points": earned, "max_points": _points(worth.most)}}


def to_text(result: Result) -> str:
    """The text of `result.json`: the same result always gives the same bytes."""
    return json.dumps(to_json(result), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def finding_to_json(finding: Finding) -> dict[str, Any]:
    """One finding as it stands under "findings", with its note."""
    where = finding.location
    return {
        "code": finding.code,
        "outcome": finding.outcome.value,
        "severity": finding.severity.value,
        "title": finding.title,
        "message": finding.message,
        "hint": finding.hint,
        "location": {"path": where.path, "line": where.line, "pointer": where.pointer},
        "visibility": finding.visibility.value,
        "measures": _value(finding.measures),
        "note": finding.note,
    }


def from_json(document: Any) -> Result:
    """The Result that `to_json` wrote. Raises UsageError, naming the place, if it is not one."""
    fault = next(iter(_validator().iter_errors(document)), None)
    if fault is not None:
        reason = f"{fault.json_path}: {fault.message[:200]}"
        raise UsageError(f"This is not a {SCHEMA_ID} document. {reason}")
    submission, assignment = document["submission"], document["assignment"]
    return Result(
        assignment_id=assignment["id"],
        assignment_version=assignment["version"],
        student=submission["student"],
        digest=submission["digest"],
        submitted_at=submission["submitted_at"],
        status=Status(document["status"]),
        total=Total(
            points=document["points"],
            max_points=document["max_points"],
            lower=document["lower"],
            upper=document["upper"],
            categories={
                id: (share["lower"], share["upper"])
                for id, share in document["total"]["categories"].items()
            },
            counted_parts=tuple(document["total"]["counted_parts"]),
        ),
        scores=tuple(_score(criterion) for criterion in document["criteria"]),
        findings=tuple(_finding(finding) for finding in document["findings"]),
        provenance=document["provenance"],
        sheets=tuple(_sheet(sheet) for sheet in document.get("answers", ())),
        curves=tuple(_curve(curve) for curve in document.get("curves", ())),
    )


def _sheet(sheet: Mapping[str, Any]) -> AnswerSheet:
    return AnswerSheet(**{**sheet, "wrong": tuple(WrongAnswer(**row) for row in sheet["wrong"])})


def _curve(curve: Mapping[str, Any]) -> LearningCurve:
    return LearningCurve(curve["title"], tuple(CurvePoint(**row) for row in curve["points"]))


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(_SCHEMA.read_text(encoding="utf-8")))


def _criterion(score: Score) -> dict[str, Any]:
    return {
        "id": score.id,
        "title": score.title,
        "category": score.category,
        "part": score.part,
        "points": None if score.points is None else _points(score.points),
        "max_points": _points(score.max_points),
        "status": score.status.value,
        "because": list(score.because),
        **({"items": [_item(item) for item in score.items]} if score.items else {}),
    }


def _item(item: ItemScore) -> dict[str, Any]:
    return {
        "id": item.id,
        "title": item.title,
        "level": item.level,
        "points": None if item.points is None else _points(item.points),
        "max_points": _points(item.max_points),
        "comment": item.comment,
    }


def _score(criterion: Mapping[str, Any]) -> Score:
    return Score(
        id=criterion["id"],
        title=criterion["title"],
        category=criterion["category"],
        part=criterion["part"],
        points=criterion["points"],
        max_points=criterion["max_points"],
        status=Status(criterion["status"]),
        because=tuple(criterion["because"]),
        items=tuple(_item_score(item) for item in criterion.get("items", ())),
    )


def _item_score(item: Mapping[str, Any]) -> ItemScore:
    level = item["level"]
    return ItemScore(**{**item, "level": None if level is None else Level(level)})


def _finding(finding: Mapping[str, Any]) -> Finding:
    return Finding(
        code=finding["code"],
        outcome=Outcome(finding["outcome"]),
        title=finding["title"],
        message=finding["message"],
        hint=finding["hint"],
        severity=Severity(finding["severity"]),
        location=Location(**finding["location"]),
        visibility=Visibility(finding["visibility"]),
        measures=finding["measures"],
        note=finding["note"],
    )


def _points(value: float) -> float:
    if not math.isfinite(value):
        raise GraderFault("A score is not a finite number; the result is not written.")
    return _rounded(float(value))


def _value(value: Any) -> Any:
    """A JSON value with sorted keys, rounded floats, and null for what is not finite."""
    match value:
        case bool() | int() | str() | None:
            return value
        case float():
            return _rounded(value) if math.isfinite(value) else None
        case Mapping():
            return {str(key): _value(item) for key, item in sorted(value.items())}
        case list() | tuple():
            return [_value(item) for item in value]
        case _:
            raise GraderFault(f"A {type(value).__name__} cannot be written as JSON.")


def _rounded(value: float) -> float:
    return round(value, RESULT_DECIMALS) + 0.0  # the sum turns -0.0 into 0.0


FINDINGS_SCHEMA_ID: Final = "finegrade/findings/v1"


def findings_json(reports: Sequence[FileReport]) -> dict[str, Any]:
    """All files as a JSON value; the same reports always give the same value."""
    return {"schema": FINDINGS_SCHEMA_ID, "files": [_file(report) for report in reports]}


def _file(report: FileReport) -> dict[str, Any]:
    return {
        "path": _readable(report.path),
        "kind": None if report.kind is None else report.kind.value,
        "kind_reason": report.kind_reason,
        "examples": report.examples,
        "tokens": None if report.tokens is None else _with_rounded(asdict(report.tokens)),
        "cost": None if report.cost is None else _with_rounded(asdict(report.cost)),
        "counts": dict(sorted(report.counts.items())),
        "left_out": report.left_out,
        "notes": list(report.notes),
        "findings": [_data_finding(finding) for finding in report.findings],
    }


def _data_finding(finding: Finding) -> dict[str, Any]:
    """As in a result, without the instructor's note: anybody may read this document."""
    value = finding_to_json(finding)
    del value["note"]
    path = value["location"]["path"]
    value["location"]["path"] = None if path is None else _readable(path)
    return value


def _with_rounded(value: dict[str, Any]) -> dict[str, Any]:
    """The value rounded to significant digits."""
    return {k: round(v, RESULT_DECIMALS) if isinstance(v, float) else v for k, v in value.items()}


def _readable(path: str) -> str:
    """A path that every JSON reader accepts: bytes that are not UTF-8 become "?"."""
    return path.encode("utf-8", "replace").decode()

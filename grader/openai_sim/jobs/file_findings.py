"""What the data rules say of an uploaded file: kept as JSON, and said in the service's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

    from grader.core.nouns import Finding
    from grader.training_data.check import FileReport

# Found when the file is uploaded; every other fault waits until a job reads the file.
_EMPTY: Final = "JSL002"
_NOT_JSON: Final = "JSL101"
_NO_DICTIONARY: Final = ("JSL006", "JSL007", "JSL008", "JSL109")

_FEW: Final = "JSL601"
_EXTRA_KEY: Final = "JSL202"
_NO_KIND: Final = "JSL012"
_HINT_CHARACTERS: Final = 2  # of the line, as the service shows them
_LINE_BYTES: Final = 4096  # enough to see how a line starts

_FORMATS: Final = {"chat": "fine-tune-chat", "preference": "fine-tune-preference"}
_KINDS: Final = {"supervised": "chat", "dpo": "preference"}


def document(report: FileReport, filename: str) -> dict[str, Any]:
    """The report as finegrade/findings/v1, with the name that the client gave the file."""
    file = {
        "path": filename,
        "kind": None if report.kind is None else report.kind.value,
        "kind_reason": report.kind_reason,
        "examples": report.examples,
        "tokens": None,
        "cost": None,
        "counts": dict(report.counts),
        "left_out": report.left_out,
        "notes": list(report.notes),
        "findings": [_finding(finding, filename) for finding in report.findings],
    }
    return {"schema": "finegrade/findings/v1", "files": [file]}


def refused_at_upload(report: FileReport, path: Path) -> str | None:
    """What the service says when it does not take the file at all; None when it takes it."""
    first: dict[str, Finding] = {}
    for finding in report.findings:
        first.setdefault(finding.code, finding)
    if _EMPTY in first:
        return "File is empty."
    broken = [first[code] for code in (_NOT_JSON, *_NO_DICTIONARY) if code in first]
    if not broken:
        return None
    found = min(broken, key=lambda finding: finding.location.line or 0)
    line = found.location.line or 1
    if found.code == _NOT_JSON:
        return (
            f"Invalid file format. Example {line} cannot be parsed. Error: line contains invalid "
            f"json: {found.message} (line {line})"
        )
    return (
        "Expected file to have JSONL format, where every line is a valid JSON dictionary. Line "
        f'{line} is not a dictionary (HINT: line starts with: "{_start(path, line)}...").'
    )


def refused_by_job(
    findings: Mapping[str, Any], file_id: str, method: str, model: str, param: str
) -> dict[str, Any] | None:
    """The error of a job on a file with these findings; None when it can be trained on.

    `param` is "training_file" or "validation_file". The real service tells one fault; ours tells
    how many there are and, under "findings", the file whose list has all of them.
    """
    [file] = findings["files"]
    errors = [f for f in file["findings"] if f["severity"] == "error" and f["outcome"] == "fail"]
    kind, wanted = file["kind"], _KINDS[method]
    few = [f for f in errors if f["code"] == _FEW]
    if kind in _FORMATS and kind != wanted:
        code = "invalid_file_format"
        said = (
            f"Invalid file format. Input file {file_id} is in the {_FORMATS[kind]} format, but the "
            f"specified fine-tuning job is not using '{_method_of(kind)}' (provided "
            f"method={method})."
        )
    elif kind == "completion":
        code = "invalid_file_format"
        said = (
            f"Invalid file format. Input file {file_id} is in the fine-tune-completions format, "
            f"but {model} does not support fine-tune-completions-format."
        )
    elif kind != wanted or any(f["code"] == _NO_KIND for f in errors):
        code = "invalid_file_format"
        said = "Unexpected file format, expected either prompt/completion pairs or chat messages."
    elif len(errors) > len(few):
        placed = [f for f in errors if f["code"] != _FEW]
        first = min(placed, key=lambda f: f["location"]["line"] or 0)
        code = "invalid_file_format" if first["code"] == _EXTRA_KEY else f"invalid_{param}"
        said = f"Invalid file format. {_example(first)}"
    elif few and param == "training_file":  # a validation file may be short
        code = "invalid_n_examples"
        said = (
            f"Training file has {file['examples']} example(s), but must have at least 10 examples"
        )
    else:
        return None
    total = sum(file["counts"][code] for code in {f["code"] for f in errors})
    more = f" ({total} errors in this file.)" if total > 1 else ""
    what = param.replace("_", " ")
    message = said if code == "invalid_n_examples" else f"The job failed due to an invalid {what}. "
    message += "" if code == "invalid_n_examples" else said
    return {"code": code, "message": message + more, "param": param, "findings": file_id}


def _method_of(kind: str) -> str:
    return next(method for method, its in _KINDS.items() if its == kind)


def _example(finding: Mapping[str, Any]) -> str:
    """One fault of an example, in the service's words where they are known."""
    place = finding["location"]
    line, steps = place["line"] or 1, (place["pointer"] or "").split("/")[1:]
    match finding["code"]:
        case "JSL201":
            return f"Example {line} is missing key 'messages'."
        case "JSL202" if steps:
            return f'Example {line} contains an extra "{steps[-1]}".'
        case "JSL203" if len(steps) > 1:
            return f"Example {line}, message {steps[1]} Discriminator 'role' is missing in value."
    said = re.sub(r"\.?$", ".", finding["message"])
    where = f", {'/'.join(steps)}" if steps else ""
    return f"Example {line}{where}: {said}"


def _finding(finding: Finding, filename: str) -> dict[str, Any]:
    value = asdict(finding)
    del value["note"], value["visibility"]
    value["outcome"], value["severity"] = finding.outcome.value, finding.severity.value
    value["visibility"] = finding.visibility.value
    value["location"]["path"] = filename
    return value


def _start(path: Path, line: int) -> str:
    """The first characters of a line, printable."""
    with path.open("rb") as file:
        raw = b""
        number = 0
        while number < line and (raw := file.readline(_LINE_BYTES)):
            number += 1
            tail = raw
            while not tail.endswith(b"\n") and (tail := file.readline(_LINE_BYTES)):
                pass
    text = raw.decode("utf-8", "replace").strip()[:_HINT_CHARACTERS]
    return "".join(c if c.isprintable() else "?" for c in text)

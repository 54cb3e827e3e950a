"""The texts that people judge: kept with the evidence, so that a later version can be compared."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Final

from grader.core.constants import REVIEW_MAX_SOURCE_BYTES
from grader.core.errors import FileRefused
from grader.core.nouns import Assignment, Evidence, Submission
from grader.core.payloads import WrittenWork, read
from grader.course.decisions import JudgedFile
from grader.evidence import text
from grader.evidence.kinds import specs
from grader.evidence.review import ReviewLog
from grader.intake.submission import read_file
from grader.intake.submitted_notebook import is_notebook, submitted_notebook

_SOURCES: Final = (".py", ".md", ".txt", ".json", ".jsonl")


def keep_texts(
    submission: Submission,
    assignment: Assignment,
    evidence: Mapping[str, Evidence],
    log: ReviewLog,
) -> None:
    """Keep the texts of what people judge in this submission, each under its file's digest."""
    texts = {}
    written = {spec.document: spec.id for spec in specs(assignment, text.KIND)}
    for id in dict.fromkeys(id for c in assignment.criteria for id in c.judges):
        place = submission.places.get(id)
        file = submission.file(place) if isinstance(place, str) else None
        if file is None or log.has(file.sha256):
            continue
        found: str | None
        if id in written:
            found = _document(evidence.get(written[id]))
        else:
            found = _source(submission, file.path)
        if found is not None:
            texts[file.sha256] = found
    log.keep(texts)


def _document(evidence: Evidence | None) -> str | None:
    work = None if evidence is None else read(evidence, WrittenWork)
    return None if work is None or work.fault is not None else work.text


def _source(submission: Submission, path: str) -> str | None:
    """The text of a program, a notebook's as a script; None for what cannot be shown."""
    try:
        if is_notebook(path):
            return submitted_notebook(submission, path).script
        if path.endswith(_SOURCES):
            return read_file(submission, path, REVIEW_MAX_SOURCE_BYTES).decode("utf-8", "replace")
    except FileRefused:  # a check says so
        return None
    return None


def judged_texts(log: ReviewLog, revision: str) -> dict[str, tuple[JudgedFile, str | None]]:
    """The files of a revision by deliverable, each with its text where it has one."""
    kept = log.kept(revision)
    if kept is None:
        return {}
    files = [JudgedFile(*file) for file in json.loads(kept)["files"]]
    return {file.deliverable or file.path: (file, log.kept(file.sha256)) for file in files}


def difference(log: ReviewLog, before: str, after: list[JudgedFile]) -> str:
    """What changed since a revision was judged, as a unified diff; "" where that is not known."""
    old = judged_texts(log, before)
    now = {file.deliverable or file.path: (file, log.kept(file.sha256)) for file in after}
    lines: list[str] = []
    for id in dict.fromkeys([*old, *now]):
        was, then = old.get(id, (None, "")), now.get(id, (None, ""))
        if was[0] is not None and then[0] is not None and was[0].sha256 == then[0].sha256:
            continue
        names = [file.path if file is not None else "(nothing)" for file, _ in (was, then)]
        if was[1] is None or then[1] is None:
            lines.append(f"{names[0]} and {names[1]} differ, and have no text to compare")
            continue
        lines += difflib.unified_diff(
            was[1].splitlines(),
            then[1].splitlines(),
            f"judged/{names[0]}",
            f"now/{names[1]}",
            lineterm="",
        )
    return "\n".join(lines)

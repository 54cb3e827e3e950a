"""The texts that people judge: kept with the evidence, so that a later version can be compared."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from grader.checks.views.cost_recount import NUMBERS as COST_NUMBERS
from grader.checks.views.written_work.classmates import ClassText, ClassTexts
from grader.checks.written_facts import given_work
from grader.core.constants import REVIEW_MAX_DIFF_LINES, REVIEW_MAX_SOURCE_BYTES
from grader.core.errors import FileRefused
from grader.core.nouns import Assignment, Evidence, Submission
from grader.core.payloads import WrittenWork, read
from grader.core.result import Result
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
    """Keep the texts of what people judge in this submission, each under its file's digest.

    With them the student's cost numbers, which facts of a text are held against: an archive is not
    unpacked again for a page.
    """
    texts = {}
    written = {spec.document: spec.id for spec in specs(assignment, text.KIND)}
    judged = [id for criterion in assignment.criteria for id in criterion.judges]
    for id in dict.fromkeys([*judged, COST_NUMBERS]):
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


def difference(log: ReviewLog, before: str, after: Sequence[JudgedFile]) -> str:
    """What changed since a revision was judged, as a unified diff; "" where that is not known."""
    kept = log.kept(before)
    if kept is None:
        return ""
    old = {_name(file): file for file in (JudgedFile(*f) for f in json.loads(kept)["files"])}
    new = {_name(file): file for file in after}
    lines = [
        line
        for name in dict.fromkeys([*old, *new])
        for line in _compared(log, old.get(name), new.get(name))
    ]
    return "\n".join(lines or ["The files are the same; what a check found in them is not."])


def _name(file: JudgedFile) -> str:
    return file.deliverable or file.path


def _compared(log: ReviewLog, old: JudgedFile | None, new: JudgedFile | None) -> Iterable[str]:
    """The lines of a diff of one file, or one that says why there are none."""
    if old is not None and new is not None and old.sha256 == new.sha256:
        return ()
    names = [f"{when}/{f.path}" if f else "nothing" for when, f in (("judged", old), ("now", new))]
    texts = [log.kept(file.sha256) if file else "" for file in (old, new)]
    lines = [text.splitlines() for text in texts if text is not None]
    if len(lines) < 2:
        return (f"{names[0]} and {names[1]} differ, and have no text to compare",)
    if max(map(len, lines)) > REVIEW_MAX_DIFF_LINES:
        return (f"{names[0]} and {names[1]} differ, and are too long to compare",)
    return difflib.unified_diff(lines[0], lines[1], names[0], names[1], lineterm="")


def class_texts(log: ReviewLog, assignment: Assignment, results: Iterable[Result]) -> ClassTexts:
    """The documents and programs that are judged of a class, to find what they share."""
    return ClassTexts(_class_texts(log, assignment, results), given_work(assignment))


def _class_texts(
    log: ReviewLog, assignment: Assignment, results: Iterable[Result]
) -> Iterator[ClassText]:
    judged = dict.fromkeys(id for criterion in assignment.criteria for id in criterion.judges)
    for result in results:
        digests = {path: sha256 for path, _, sha256 in result.provenance.get("files", ())}
        places = result.provenance.get("places", {})
        for id in judged:
            said = log.kept(digests.get(places.get(id, ""), ""))
            if said is not None:
                yield ClassText(result.student, assignment.deliverable(id).title, said)

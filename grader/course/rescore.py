"""Scores of a graded class again: under the rubric that counts in OUT, with what people decided.

The rubric that was given last, to `grade` or to `rescore`, is kept in OUT by its content and counts
until another is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from grader.assignment.load import read_assignment
from grader.core.errors import AssignmentError, UsageError
from grader.core.nouns import Assignment
from grader.core.result import Result
from grader.course import grade
from grader.course.decisions import rescored
from grader.course.output import (
    STORE_NAME,
    assignment_of,
    read_results,
    write_class,
    write_student,
)
from grader.evidence.store import EvidenceStore, open_store


@dataclass(frozen=True, slots=True)
class Rescored:
    """The results of a class before and after, in the same order."""

    assignment: Assignment
    before: tuple[Result, ...]
    after: tuple[Result, ...]


def rescore(out: Path, rubric: Path | None = None) -> Rescored:
    """Score all results in OUT again and write what changed.

    With a `rubric`, a YAML file or the id of an installed assignment, that one counts from now on.
    Raises UsageError when it is for another assignment, AssignmentError when it is no rubric.
    """
    id = assignment_of(out)
    with open_store(out / STORE_NAME) as store:
        assignment = rubric_of(store, id) if rubric is None else _given(rubric)
        if assignment.id != id:
            raise UsageError(f"{out} holds results of {id}, but {rubric} is for {assignment.id}.")
        before = read_results(out, id)
        reviews = store.reviews.latest()
        after = tuple(rescored(result, assignment, reviews) for result in before)
        if rubric is not None:
            remember(store, str(rubric))
        released = store.marks.released()
    for result in after:
        write_student(out, assignment, result, released)
    write_class(out, assignment)
    return Rescored(assignment, before, after)


def _given(rubric: Path) -> Assignment:
    """A file, or an installed assignment by its id."""
    return grade.load(rubric if rubric.suffix or rubric.exists() else str(rubric))


def rubric_of(store: EvidenceStore, id: str) -> Assignment:
    """The rubric that counts in the OUT of this store; the installed one where none was given."""
    last = store.marks.rubric()
    text = store.reviews.kept(last[0]) if last is not None and last[0] else None
    if last is None or text is None:
        try:
            return grade.load(id)
        except AssignmentError as error:
            raise AssignmentError(
                f"{error} Give its file once: finegrade rescore OUT --rubric FILE.yaml"
            ) from error
    kept = grade.known(read_assignment(text, last[1]))
    return kept if kept.id == id else grade.load(id)


def assignment_for(out: Path, reference: str) -> tuple[Assignment, str]:
    """The assignment that a grading into OUT follows, and the name of the rubric kept in OUT.

    It is the file that `reference` names, with "" for the name; or of an id, the rubric that OUT
    keeps, so that grading again does not undo the instructor's.
    """
    store = out / STORE_NAME
    if Path(reference).suffix or not store.is_file():
        return grade.load(reference), ""
    with open_store(store) as opened:
        last = opened.marks.rubric()
        return rubric_of(opened, reference), last[1] if last is not None and last[0] else ""


def remember(store: EvidenceStore, reference: str) -> None:
    """Note that this rubric, a file or an id, was given last."""
    path = Path(reference)
    if path.is_file():
        store.marks.set_rubric(store.reviews.keep_text(path.read_text("utf-8")), path.name)
    else:
        store.marks.set_rubric("", reference)


def keep_rubric(out: Path, reference: str) -> None:
    """As `remember`, of the file that a grading into OUT followed; an id needs none."""
    if Path(reference).suffix:
        with open_store(out / STORE_NAME) as store:
            remember(store, reference)

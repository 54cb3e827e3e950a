"""What a person decides about a submission, where each decision stands, and scores with them.

A decision counts as long as what was judged is still what was submitted. Where that changed, the
decision is stale: it is kept and shown, and its item is open again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from grader.assignment.rubric import score, status, to_decide, total
from grader.checks.api.registry import FAILED_ON
from grader.core.errors import AssignmentError
from grader.core.nouns import Assignment, Criterion, Finding, Outcome, Status
from grader.core.result import Result, Score
from grader.core.review import Decision, Item, Level
from grader.evidence.review import Place, Review

Reviews = Mapping[Place, Review]


class State(StrEnum):
    """Where one item stands. An open one keeps its criterion's points unknown."""

    OPEN = "open"
    DONE = "done"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """One item of one student: `review` is what is in force, `revision` what was submitted."""

    student: str
    criterion: Criterion
    item: Item
    revision: str
    review: Review | None

    @property
    def place(self) -> Place:
        """Its place in the log."""
        return Place(self.student, self.criterion.id, self.item.id)

    @property
    def state(self) -> State:
        """Done with a level that the item has, on the work as it is now."""
        if self.review is None or self.review.level is None:
            return State.OPEN
        if self.review.revision != self.revision:
            return State.STALE
        return State.DONE if self.review.level in self.item.levels else State.OPEN

    @property
    def level(self) -> Level | None:
        """The level that counts."""
        done = self.review is not None and self.state is State.DONE
        return self.review.level if done and self.review is not None else None

    @property
    def comment(self) -> str:
        """What was last said of it, whether or not its level counts."""
        return "" if self.review is None else self.review.comment

    @property
    def reworded(self) -> bool:
        """Whether it was judged under another wording."""
        return (
            self.level is not None
            and self.review is not None
            and (self.review.definition != definition(self.item))
        )


@dataclass(frozen=True, slots=True)
class JudgedFile:
    """A file that a person judges, by its deliverable."""

    deliverable: str
    path: str
    sha256: str


def review_rows(result: Result, assignment: Assignment, reviews: Reviews) -> list[ReviewRow]:
    """All items that a person judges of this submission, in the order of the rubric.

    None of one that was not taken in: there is nothing to judge. Raises AssignmentError when the
    rubric reads a check that this result lacks.
    """
    if not result.digest:
        return []
    _refuse_absent(result, assignment)
    findings = {finding.code: finding for finding in result.findings}
    rows = []
    for criterion in assignment.criteria:
        for item in to_decide(criterion, findings):
            about = revision(result, assignment, criterion, findings.get(item.id))
            place = Place(result.student, criterion.id, item.id)
            rows.append(ReviewRow(result.student, criterion, item, about, reviews.get(place)))
    return rows


def judged_files(result: Result, assignment: Assignment, criterion: Criterion) -> list[JudgedFile]:
    """The files that are judged: those the criterion names, else its part's, else all."""
    files = [(path, sha) for path, _, sha in result.provenance.get("files", ())]
    if not criterion.items and criterion.part is None:
        return [JudgedFile("", path, sha) for path, sha in files]
    ids = criterion.judges
    if not criterion.items:
        ids = tuple(d.id for d in assignment.deliverables if d.part == criterion.part)
    places = result.provenance.get("places", {})
    return [
        JudgedFile(id, path, sha)
        for id in ids
        if id in places
        for path, sha in files
        if path == places[id] or path.startswith(f"{places[id]}/")
    ]


def manifest(files: Sequence[JudgedFile], finding: Finding | None) -> str:
    """What was judged, as text: files, and the finding that was left open, by their digests."""
    about = None
    if finding is not None:
        # The grader's own error may read otherwise each time.
        ours = finding.outcome is not Outcome.REVIEW or finding.message == FAILED_ON
        said = () if ours else (finding.message, finding.note)
        about = [finding.code, finding.outcome.value, *said]
    listed = [[file.deliverable, file.path, file.sha256] for file in files]
    return json.dumps({"files": listed, "finding": about}, sort_keys=True)


def revision(
    result: Result, assignment: Assignment, criterion: Criterion, finding: Finding | None
) -> str:
    """The digest of what is judged; `finding` is that of an item which is a check."""
    text = manifest(judged_files(result, assignment, criterion), finding)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def definition(item: Item) -> str:
    """The digest of an item's wording: the claim and what its levels look like."""
    wording = json.dumps([item.claim, item.full, item.half, item.none])
    return hashlib.sha256(wording.encode()).hexdigest()


def judged(row: ReviewRow, result: Result, assignment: Assignment) -> str:
    """The text whose digest is the row's revision: what a review of it is about."""
    finding = next((f for f in result.findings if f.code == row.item.id), None)
    return manifest(judged_files(result, assignment, row.criterion), finding)


_DECIDES_NOTHING: Final[Reviews] = {}


def rescored(result: Result, assignment: Assignment, reviews: Reviews = _DECIDES_NOTHING) -> Result:
    """The same findings under this rubric, with what people decided.

    Raises AssignmentError when the rubric reads a check or a measure that this result lacks.
    """
    findings = result.findings  # also those that this rubric does not read: another one may
    _refuse_absent(result, assignment)
    if not result.digest:  # never taken in
        first = findings[0]
        scores = all_alike(score(assignment, findings), first)
        new_status = status_without_work(first)
    else:
        decisions = {
            (row.criterion.id, row.item.id): Decision(row.level, row.comment)
            for row in review_rows(result, assignment, reviews)
            if row.level is not None
        }
        scores = score(assignment, findings, decisions)
        new_status = status(scores, findings)
    return replace(
        result,
        assignment_version=assignment.version,
        status=new_status,
        total=total(assignment, scores),
        scores=scores,
        provenance={**result.provenance, "assignment_digest": assignment.digest},
    )


def _refuse_absent(result: Result, assignment: Assignment) -> None:
    absent = sorted(set(assignment.refs) - {finding.code for finding in result.findings})
    if absent:
        raise AssignmentError(
            f"The stored results have no {', '.join(absent)}. Run `finegrade grade` again with "
            "this assignment: collected evidence is reused."
        )


def all_alike(scores: Sequence[Score], first: Finding) -> tuple[Score, ...]:
    """Every criterion 0 behind a fail, unknown behind an error or an open question."""
    points = 0.0 if first.outcome is Outcome.FAIL else None
    state = Status.PENDING_MANUAL if points is None else Status.FULLY_GRADED
    return tuple(
        replace(s, points=points, status=state, because=(first.code,), items=()) for s in scores
    )


def status_without_work(first: Finding) -> Status:
    """The status of a submission that was not taken in, by its first finding."""
    return Status.FAILED if first.outcome is Outcome.FAIL else Status.PENDING_MANUAL

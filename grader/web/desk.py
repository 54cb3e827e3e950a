"""The class as the pages see it: results read once, what is in force kept up to date.

SQLite's connections belong to a thread: everything here happens in that of the event loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final

from grader.core.nouns import Assignment, Criterion
from grader.core.result import Result
from grader.core.review import Level
from grader.course.decisions import ReviewRow, review_rows
from grader.course.output import assignment_of, read_results
from grader.course.rescore import rubric_of
from grader.course.review import ClassReview, Judgement
from grader.evidence.marks import RegradeRequest, RequestState
from grader.evidence.review import Conflict, Place, Review
from grader.evidence.store import EvidenceStore
from grader.web.access import Viewer
from grader.web.opinions import second_place, settled_place
from grader.web.sections import sections_of

_WRITTEN_LAST: Final = "class.html"  # by `grade` and `rescore`


class _Class:
    """What does not change until somebody grades or re-scores."""

    def __init__(self, out: Path, store: EvidenceStore) -> None:
        id = assignment_of(out)
        assignment = rubric_of(store, id)
        self.review = ClassReview(out, assignment, read_results(out, id), store)
        self.rows: Mapping[str, Sequence[ReviewRow]] = {
            student: review_rows(result, assignment, {})
            for student, result in self.review.results.items()
        }
        self.criteria: list[Criterion] = [
            criterion
            for criterion in assignment.criteria
            if any(row.criterion.id == criterion.id for rows in self.rows.values() for row in rows)
        ]
        self.orders: Mapping[str, Sequence[str]] = {
            criterion.id: sorted(
                (s for s in self.rows if any(r.criterion.id == criterion.id for r in self.rows[s])),
                key=lambda student, criterion=criterion: self.review.order(criterion, student),  # type: ignore[misc]
            )
            for criterion in self.criteria
        }
        self.sections = sections_of(store.places())

    @cached_property
    def students(self) -> Mapping[str, str]:
        """Students by anonymous id, in the order of these."""
        return dict(sorted((alias, student) for student, alias in self.review.aliases.items()))


class Desk:
    """The class in one OUT, and the log of its reviews as of the last `refresh`."""

    def __init__(self, out: Path, store: EvidenceStore, second_share: float = 0.0) -> None:
        self.out, self.store, self.second_share = out, store, second_share
        self.held: dict[Place, Review] = {}
        self.position = 0
        self.decided = 0
        """How many entries this process has added."""
        self._seen: tuple[int, int] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read what changed since."""
        seen = self._written()
        if seen != self._seen:
            self._class, self._seen = _Class(self.out, self.store), seen
        for review in self.store.reviews.since(self.position):
            self.held[review.place] = review
            self.position = review.position

    @property
    def assignment(self) -> Assignment:
        """The rubric that counts."""
        return self._class.review.assignment

    @property
    def review(self) -> ClassReview:
        """What the review table works with, too."""
        return self._class.review

    @property
    def results(self) -> Mapping[str, Result]:
        """By student."""
        return self._class.review.results

    @property
    def criteria(self) -> Sequence[Criterion]:
        """Those that ask people something of somebody, in the order of the rubric."""
        return self._class.criteria

    def criterion(self, id: str) -> Criterion | None:
        """The one of that id."""
        return next((c for c in self._class.criteria if c.id == id), None)

    def alias(self, student: str) -> str:
        """The anonymous id."""
        return self.review.aliases[student]

    def student(self, alias: str, viewer: Viewer) -> str | None:
        """Whose anonymous id it is; None where nobody's, or of nobody whom they may see."""
        student = self._class.students.get(alias)
        return student if student is not None and self.sees(viewer, student) else None

    def sees(self, viewer: Viewer, student: str) -> bool:
        """Whether the viewer may see this student. Of an unknown section nobody with sections."""
        return not viewer.sections or self._class.sections.get(student) in viewer.sections

    def students(self, viewer: Viewer) -> list[str]:
        """All that the viewer may see, by anonymous id."""
        return [s for s in self._class.students.values() if self.sees(viewer, s)]

    def order(self, criterion: Criterion, viewer: Viewer) -> list[str]:
        """The students of this criterion, in an order of its own that stays."""
        return [s for s in self._class.orders[criterion.id] if self.sees(viewer, s)]

    def rows(self, student: str, criterion: Criterion | None = None) -> list[ReviewRow]:
        """The items of a student, with what is in force."""
        return [
            replace(row, review=self.held.get(row.place))
            for row in self._class.rows[student]
            if criterion is None or row.criterion.id == criterion.id
        ]

    def row(self, place: Place) -> ReviewRow | None:
        """The item at this place."""
        return next((row for row in self.rows(place.student) if row.place == place), None)

    def decide(
        self, row: ReviewRow, level: Level | None, comment: str, grader: str, seen: int
    ) -> Review | Conflict:
        """Record a decision; where the same is in force already, that one comes back."""
        (done,) = self.review.decide([Judgement(row, level, comment, grader, seen)])
        self.refresh()
        if isinstance(done, Conflict):
            return done
        self.decided += done is not None
        return done or self.held[row.place]

    def give_second(
        self, row: ReviewRow, level: Level | None, comment: str, grader: str, seen: int
    ) -> Review | Conflict:
        """Record a second opinion beside what is in force."""
        checked = self.review.entry(Judgement(row, level, comment, grader, seen))
        return self._record(replace(checked, place=second_place(row.place)), seen)

    def settle(self, row: ReviewRow, level: Level | None, grader: str) -> None:
        """Note that a disagreement ended with this level."""
        entry = self.review.entry(Judgement(row, level, "", grader, 0))
        self._record(replace(entry, place=settled_place(row.place)), self.position)

    def requests(self, viewer: Viewer) -> list[tuple[int, RegradeRequest]]:
        """(number, request) of those whom the viewer may see, in the order in which they came."""
        return [
            (number, one)
            for number, one in enumerate(self.store.marks.requests())
            if one.student in self.results and self.sees(viewer, one.student)
        ]

    def open_requests(self, viewer: Viewer, student: str | None = None) -> list[RegradeRequest]:
        """Those that wait for an answer, of this student or of all."""
        return [
            one
            for _, one in self.requests(viewer)
            if one.state is RequestState.OPEN and student in (None, one.student)
        ]

    def note_request(self, request: RegradeRequest) -> None:
        """Append a regrade request, or what became of it."""
        self.store.marks.note_requests([request])
        self.decided += 1

    def _record(self, review: Review, seen: int) -> Review | Conflict:
        (done,) = self.store.reviews.record([(review, seen)], {})
        self.refresh()
        return done or self.held[review.place]

    def _written(self) -> tuple[int, int]:
        try:
            found = (self.out / _WRITTEN_LAST).stat()
        except FileNotFoundError:  # a grading was killed before its end
            return (0, 0)
        return found.st_mtime_ns, found.st_ino

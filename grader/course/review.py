"""A class as people judge it: what is to be decided, what is known about it, and deciding it.

The review table and the review page stand on this. Deciding writes to the log alone; `rescore`
makes results and pages of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from grader.core.constants import (
    REPORT_MAX_TEXT_CHARACTERS,
    REVIEW_MAX_COMMENT_CHARACTERS,
    REVIEW_MAX_FACTS_CHARACTERS,
)
from grader.core.errors import UsageError
from grader.core.nouns import Assignment, Criterion, Finding, Outcome
from grader.core.result import Result
from grader.core.review import Level
from grader.core.text import clean
from grader.course.aliases import aliases_of
from grader.course.decisions import (
    ReviewRow,
    State,
    definition,
    judged,
    judged_files,
    rescored,
    review_rows,
)
from grader.course.judged_texts import difference
from grader.course.output import (
    ANONYMOUS,
    STAFF,
    STORE_NAME,
    assignment_of,
    read_results,
    write_changed,
)
from grader.course.rescore import rubric_of
from grader.evidence.review import Conflict, Place, Review
from grader.evidence.store import EvidenceStore, open_store
from grader.intake.find import safe_name

_SIGNS = {
    Outcome.PASS: "holds",
    Outcome.FAIL: "does not hold",
    Outcome.SKIP: "not looked at",
    Outcome.ERROR: "the grader failed",
    Outcome.REVIEW: "to be decided",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a person says of one row. `seen` is the position of the entry that the row showed to
    them, 0 for none: a later entry is not overwritten. Without a level it is taken back.
    """

    row: ReviewRow
    level: Level | None
    comment: str
    grader: str
    seen: int


class ClassReview:
    """The results in one OUT, and the decisions about them."""

    def __init__(
        self, out: Path, assignment: Assignment, results: Sequence[Result], store: EvidenceStore
    ) -> None:
        self.out, self.assignment, self.store = out, assignment, store
        self.results: Mapping[str, Result] = {result.student: result for result in results}

        self._log: Mapping[Place, Review] | None = None
        self._known: dict[tuple[str, str], bool] = {}

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """Anonymous ids by student."""
        return aliases_of(self.store.reviews, self.assignment.id, self.results)

    def student(self, written: str) -> str | None:
        """Whose name or anonymous id this is; None where nobody's.

        A spreadsheet takes the zeros from the start of a number.
        """
        if written in self.results:
            return written
        found = [student for student, alias in self.aliases.items() if alias == written]
        if not found and written.isascii() and written.isdigit():
            bare = written.lstrip("0")
            found = [n for n in self.results if n.isdigit() and n.lstrip("0") == bare]
        return found[0] if len(found) == 1 else None

    @property
    def log(self) -> Mapping[Place, Review]:
        """What is in force, as it was when this review last read or wrote it."""
        if self._log is None:
            self._log = self.store.reviews.latest()
        return self._log

    def rows(self) -> list[ReviewRow]:
        """Every item of every student: by criterion, then by student in the order of `order`."""
        rows = [row for student in self.results for row in self.rows_of(student)]
        at = {criterion.id: n for n, criterion in enumerate(self.assignment.criteria)}
        return sorted(rows, key=lambda r: (at[r.criterion.id], self.order(r.criterion, r.student)))

    def rows_of(self, student: str) -> list[ReviewRow]:
        """Every item of one student, in the order of the rubric."""
        return review_rows(self.results[student], self.assignment, self.log)

    def order(self, criterion: Criterion, student: str) -> str:
        """A key that sorts students at random, always the same for one criterion."""
        seed = f"{self.assignment.id}\0{criterion.id}\0{student}"
        return hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()

    def pending(self, row: ReviewRow) -> bool:
        """Whether points of the student wait for this row, by what is decided now."""
        if (row.student, row.criterion.id) not in self._known:
            result = rescored(self.results[row.student], self.assignment, self.log)
            self._known |= {(row.student, s.id): s.points is not None for s in result.scores}
        return row.state is not State.DONE and not self._known[row.student, row.criterion.id]

    def not_taken_in(self) -> list[tuple[str, Finding]]:
        """Students whose submission waits for the instructor, and why."""
        return [
            (student, result.findings[0])
            for student, result in self.results.items()
            if not result.digest and result.findings[0].outcome is not Outcome.FAIL
        ]

    def facts(self, row: ReviewRow, first: str = "", *, notes: bool) -> str:
        """What checks found that helps to decide this row, in one short text behind the `first`.

        Their notes may name classmates.
        """
        findings = {finding.code: finding for finding in self.results[row.student].findings}
        codes = [row.item.id, *row.criterion.facts]
        facts = [first] if first else []
        for finding in (findings[code] for code in codes if code in findings):
            parts = (finding.message, finding.note if notes else "")
            said = " ".join(part for part in parts if part)
            said = clean(said, REPORT_MAX_TEXT_CHARACTERS)
            facts.append(f"{finding.code} ({_SIGNS[finding.outcome]}): {said}")
        return clean(" / ".join(facts), REVIEW_MAX_FACTS_CHARACTERS)

    def links(self, row: ReviewRow, *, names: bool) -> list[str]:
        """Where the judged texts lie, as paths from OUT.

        Without `names` these are copies in folders that are named by anonymous ids.
        """
        files = judged_files(self.results[row.student], self.assignment, row.criterion)
        folder = f"{STAFF}/{safe_name(row.student)}"
        texts = dict.fromkeys(f"{file.deliverable}.txt" for file in files)
        found = [name for name in texts if (self.out / folder / name).is_file()]
        if not names:
            shown = f"{ANONYMOUS}/{self.aliases[row.student]}"
            (self.out / ANONYMOUS).mkdir(mode=0o700, exist_ok=True)
            for name in found:
                write_changed(
                    self.out / shown / name, (self.out / folder / name).read_text("utf-8")
                )
            folder = shown
        return [f"{quote(folder)}/{quote(name)}" for name in found]

    def difference(self, row: ReviewRow) -> str:
        """How the work changed since this row was judged, as a unified diff, or ""."""
        if row.state is not State.STALE or row.review is None:
            return ""
        files = judged_files(self.results[row.student], self.assignment, row.criterion)
        return difference(self.store.reviews, row.review.revision, files)

    def decide(self, judgements: Sequence[Judgement]) -> list[Review | Conflict | None]:
        """Record these in one transaction.

        Of each comes back its entry in the log, None where nothing is new, or the Conflict with
        what somebody else decided meanwhile. Raises UsageError for a level that the item does not
        have and for a comment that is too long: nothing is then recorded.
        """
        new = [(self.entry(one), one.seen) for one in judgements]
        about = {
            one.row.revision: judged(one.row, self.results[one.row.student], self.assignment)
            for one in judgements
        }
        self._log, self._known = None, {}
        return self.store.reviews.record(new, about)

    def entry(self, one: Judgement) -> Review:
        """The entry that a judgement becomes. Raises UsageError as `decide` does."""
        item = one.row.item
        if one.level is not None and one.level not in item.levels:
            known = ", ".join(item.levels)
            raise UsageError(f"{item.id}: its levels are {known}, not {one.level}.")
        comment = as_kept(one.comment)
        if len(comment) > REVIEW_MAX_COMMENT_CHARACTERS:
            raise UsageError(
                f"{item.id}: a comment has at most {REVIEW_MAX_COMMENT_CHARACTERS:,} "
                f"characters, this one {len(comment):,}."
            )
        return Review(
            one.row.place, one.level, comment, one.grader, one.row.revision, definition(item)
        )


def as_kept(comment: str) -> str:
    """A comment as the log keeps it: lines end in a line feed, and half a character becomes "?"."""
    lines = comment.replace("\r\n", "\n").replace("\r", "\n")
    return lines.encode("utf-8", "replace").decode()


@contextmanager
def reviewing(out: Path) -> Iterator[ClassReview]:
    """The review of the class in OUT. Raises UsageError where nothing was graded."""
    id = assignment_of(out)
    with open_store(out / STORE_NAME) as store:
        yield ClassReview(out, rubric_of(store, id), read_results(out, id), store)

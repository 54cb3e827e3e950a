"""The review table: what is to be decided as a file for spreadsheets, and what comes back of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grader.core.constants import REVIEW_MAX_COMMENT_CHARACTERS, REVIEW_MAX_TABLE_BYTES
from grader.core.errors import UsageError
from grader.core.review import Level
from grader.core.text import clean, number
from grader.course.decisions import ReviewRow, State, judged_files
from grader.course.judged_texts import class_texts
from grader.course.review import ClassReview, Judgement, as_kept
from grader.evidence.review import Conflict, Place, Review
from grader.report.exports.review_table import TableRow, read_table, write_table


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that was not taken: its line in the file, whose and which item it is, and why."""

    line: int
    row: str
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a table: numbers of rows, and the rows that were refused."""

    taken: int
    unchanged: int
    refused: tuple[Refused, ...]


def export_table(review: ClassReview, *, names: bool) -> bytes:
    """All rows of the class, those of one criterion together, students in a random order.

    Without `names` students stand there by their anonymous ids, as on the page.
    """
    rows = review.rows()
    shared = _shared(review, rows, names)
    return write_table([_cells(review, row, names, shared) for row in rows])


_NAMED: Final = 3  # classmates of one cell

Shared = Mapping[tuple[str, str], str]
"""By student and criterion, what the judged works have in common with classmates'."""


def _shared(review: ClassReview, rows: Sequence[ReviewRow], names: bool) -> Shared:
    log, assignment = review.store.reviews, review.assignment
    texts = class_texts(log, assignment, review.results.values())
    found = {}
    for (student, id), row in {(row.student, row.criterion.id): row for row in rows}.items():
        files = judged_files(review.results[student], assignment, row.criterion)
        said = [log.kept(file.sha256) or "" for file in files]
        passages = [one for text in said for one in texts.shared(student, text)]
        if passages:
            others = dict.fromkeys(there.student for one in passages for there in one.others)
            shown = [other if names else review.aliases[other] for other in list(others)[:_NAMED]]
            more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
            words = sum(one.words for one in passages)
            found[student, id] = f"{words} words stand in work of {', '.join(shown)}{more}, too"
    return found


def _cells(review: ClassReview, row: ReviewRow, names: bool, shared: Shared) -> Mapping[str, str]:
    held = row.review
    return {
        "student": row.student if names else review.aliases[row.student],
        "criterion": row.criterion.id,
        "item": row.item.id,
        "title": row.item.claim,
        "level": row.level or "",
        "points": "" if row.level is None else number(row.item.worth(row.level)),
        "max_points": number(row.item.points),
        "comment": row.comment,
        "grader": "" if held is None else held.grader,
        "state": row.state,
        "was": held.level or "" if held is not None and row.state is State.STALE else "",
        "link": " ".join(review.links(row, names=names)),
        "facts": review.facts(row, shared.get((row.student, row.criterion.id), ""), notes=names),
        "revision": row.revision,
        "log": "0" if held is None else str(held.position),
    }


class NotPlaced(Exception):
    """Why a row is not taken."""


def import_table(review: ClassReview, path: Path, grader: str, *, named: bool) -> Imported:
    """Take what a table decides, in one transaction; rows that cannot be placed are left out.

    New decisions are those of `grader` where they are `named` on the command line, else of whom the
    row names. A row that says what it said when it was exported is left as it is, so that several
    people can each fill in their part of one table. In a table without our columns, a blank level
    says nothing, and another grader's decision is not replaced.

    Raises UsageError when the file is no review table.
    """
    with path.open("rb") as file:
        data = file.read(REVIEW_MAX_TABLE_BYTES + 1)
    if len(data) > REVIEW_MAX_TABLE_BYTES:
        raise UsageError(f"{path} has more than {REVIEW_MAX_TABLE_BYTES:,} bytes: no review table.")
    table = read_table(data, str(path))
    rows = {row.place: row for row in review.rows()}
    seen: dict[Place, int] = {}
    judgements: list[Judgement] = []
    lines: list[TableRow] = []
    refused: list[Refused] = []
    unchanged = 0
    for line in table:
        try:
            row = _placed(review, rows, line)
            if row.place in seen:
                raise NotPlaced(f"the same item is on line {seen[row.place]}, which counts")
            seen[row.place] = line.line
            judgement = _judgement(review, row, line.cells, grader, named)
        except NotPlaced as why:
            refused.append(Refused(line.line, _name(line.cells), str(why)))
            continue
        if judgement is None:
            unchanged += 1
        else:
            judgements.append(judgement)
            lines.append(line)
    taken = 0
    for line, done in zip(lines, review.decide(judgements), strict=True):
        if isinstance(done, Conflict):
            refused.append(Refused(line.line, _name(line.cells), _changed(done.held)))
        elif done is None:
            unchanged += 1
        else:
            taken += 1
    return Imported(taken, unchanged, tuple(sorted(refused, key=lambda one: one.line)))


def _name(cells: Mapping[str, str]) -> str:
    return clean(" / ".join(cells.get(c, "") for c in ("student", "criterion", "item")), 200)


def _changed(held: Review) -> str:
    return (
        f"changed meanwhile: {clean(held.grader, 60)} decided {held.level or 'to leave it open'} "
        f"at {held.at}. Export the table again to see it"
    )


def _placed(review: ClassReview, rows: Mapping[Place, ReviewRow], line: TableRow) -> ReviewRow:
    """The row of the class that a line is about."""
    written, criterion, item = (
        line.cells.get(column, "").strip() for column in ("student", "criterion", "item")
    )
    student = known_student(review, written)
    row = rows.get(Place(student, criterion, item))
    if row is not None:
        return row
    known = next((c for c in review.assignment.criteria if c.id == criterion), None)
    if known is None:
        raise NotPlaced(f"there is no criterion {clean(criterion, 60)!r}")
    if not review.results[student].digest:
        raise NotPlaced("the submission was not taken in, so there is nothing to judge")
    items = [place.item for place in rows if place[:2] == (student, criterion)]
    if not items:
        raise NotPlaced(f"nobody need decide {criterion} of this student: checks did")
    raise NotPlaced(f"{criterion} has no item {clean(item, 60)!r}; it has {', '.join(items)}")


def known_student(review: ClassReview, written: str) -> str:
    """The student of this name or anonymous id. Raises NotPlaced where there is none."""
    student = review.student(written)
    if student is None:
        raise NotPlaced(
            f"there is no student {clean(written, 60)!r}, by name or by the anonymous ids of "
            "this OUT"
        )
    return student


def _judgement(
    review: ClassReview, row: ReviewRow, cells: Mapping[str, str], grader: str, named: bool
) -> Judgement | None:
    """What the line decides; None where it changes nothing."""
    level = _level(row, cells["level"])
    comment = as_kept(cells.get("comment", row.comment))
    if len(comment) > REVIEW_MAX_COMMENT_CHARACTERS:
        raise NotPlaced(
            f"its comment has {len(comment):,} characters; {REVIEW_MAX_COMMENT_CHARACTERS:,} are "
            "the most"
        )
    own = cells.get("grader", "").strip()
    author = grader if named or not own else own
    held = row.review
    position = 0 if held is None else held.position
    if "log" not in cells:
        return _by_hand(row, level, comment, author, position)
    shown = _shown(review, row, cells)
    if (level, comment) == shown:
        return None
    if cells.get("revision", row.revision) != row.revision:
        raise NotPlaced("the student's work changed since the table was exported")
    return Judgement(row, level, comment, author, _position(cells))


def _by_hand(
    row: ReviewRow, level: Level | None, comment: str, author: str, position: int
) -> Judgement | None:
    """A table that was not exported says nothing of what its author saw."""
    if level is None:
        return None
    if row.level is not None and row.review is not None and row.review.grader != author:
        if (row.level, row.comment) == (level, comment):
            return None
        raise NotPlaced(
            f"{clean(row.review.grader, 60)} decided {row.level} at {row.review.at}. To change "
            "that, export the table and change it there"
        )
    return Judgement(row, level, comment, author, position)


def _position(cells: Mapping[str, str]) -> int:
    text = cells["log"].strip()
    if not text.isascii() or not text.isdigit():
        raise NotPlaced(f"log is {clean(text, 20)!r} and must stay as it was exported")
    return int(text)


def _shown(
    review: ClassReview, row: ReviewRow, cells: Mapping[str, str]
) -> tuple[Level | None, str]:
    """(level, comment) as the row stood in the table when it was exported."""
    entry = review.store.reviews.at(_position(cells))
    if entry is None:
        return None, ""
    if entry.place != row.place:
        raise NotPlaced(
            "log is that of another row: cells were moved without their row, or the table is of "
            "another OUT. Without the column log it is taken as made by hand"
        )
    stale = entry.revision != cells.get("revision", row.revision)
    level = entry.level if entry.level in row.item.levels and not stale else None
    return level, entry.comment


_LEVELS: Final = {level.value: level for level in Level}


def _level(row: ReviewRow, cell: str) -> Level | None:
    text = cell.strip().casefold()
    if not text:
        return None
    level = _LEVELS.get(text)
    if level is None or level not in row.item.levels:
        known = ", ".join(row.item.levels)
        raise NotPlaced(f"level {clean(cell, 40)!r} is none of {known}, or blank")
    return level

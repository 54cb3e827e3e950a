"""A class whose work people judge: graded with no model and no sandbox, in a moment."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from grader.core.result import Result
from grader.core.review import Level
from grader.course import grade
from grader.course.output import STORE_NAME, prepare, write_class, write_student
from grader.course.rescore import remember, rescore
from grader.course.review import ClassReview, Judgement, reviewing
from grader.course.review_table import Imported, export_table, import_table
from grader.evidence.store import open_store
from grader.intake.find import Extent
from support.classes import Silent
from support.documents import SENTENCE, drawn_pdf
from support.paths import ROOT

RUBRIC = ROOT / "tests" / "course" / "reviews.yaml"
ANNA, BERT, CARL, DORA = "anna", "bert", "carl", "dora"


def write_works(folder: Path) -> Path:
    """Anna and Bert submitted all, Carl's analysis is a PDF, and Dora submitted next to nothing."""
    for student in (ANNA, BERT, CARL, DORA):
        home = folder / student
        home.mkdir(parents=True)
        (home / "program.py").write_text(f'"""The program of {student}."""\n')
        if student != DORA:
            (home / "reflection.md").write_text(f"What {student} learned.\n")
    for student in (ANNA, BERT):
        (folder / student / "analysis.md").write_text(f"# Analysis\n\nAs {student} sees it.\n")
    (folder / CARL / "analysis.pdf").write_bytes(drawn_pdf(SENTENCE))
    return folder


def grade_works(folder: Path, out: Path, rubric: Path = RUBRIC) -> dict[str, Result]:
    """Grade the class into OUT without running anything: a PDF is then left to a person."""
    assignment = grade.load(rubric)
    store = prepare(out)
    graded = grade.grade([folder], assignment, None, store, Silent(), extent=Extent.CLASS)
    with open_store(out / STORE_NAME) as opened:
        remember(opened, str(rubric))
    for result in graded.results:
        write_student(out, assignment, result)
    write_class(out, assignment)
    return {result.student: result for result in graded.results}


Table = list[dict[str, str]]
NAMES = ("student", "criterion", "item", "level")
DEPTH = (ANNA, "essay", "depth")


def exported(out: Path, *, names: bool = True) -> Table:
    with reviewing(out) as review:
        text = export_table(review, names=names).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def saved(table: Sequence[Mapping[str, str]], path: Path, **form: str) -> Path:
    """The table as a spreadsheet may save it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]), **form)
        writer.writeheader()
        writer.writerows(table)
    return path


def imported(out: Path, table: Path, grader: str = "ta") -> Imported:
    with reviewing(out) as review:
        return import_table(review, table, grader, named=True)


def filled(table: Table, level: str = "full", **where: str) -> Table:
    """The rows where these columns say so, with this level; others as they are."""
    return [
        {**row, "level": level} if all(row[c] == value for c, value in where.items()) else row
        for row in table
    ]


def row_of(table: Table, place: tuple[str, str, str]) -> dict[str, str]:
    (row,) = (r for r in table if (r["student"], r["criterion"], r["item"]) == place)
    return row


def decide(review: ClassReview, place: tuple[str, str, str], level: Level | None, **more) -> object:
    (row,) = (row for row in review.rows() if row.place == place)
    position = 0 if row.review is None else row.review.position
    given = {"comment": "", "grader": "ta", "seen": position} | more
    return review.decide([Judgement(row, level, **given)])[0]


def finished(out: Path, tmp_path: Path) -> dict[str, Result]:
    imported(out, saved(filled(exported(out)), tmp_path / "all.csv"))
    return {result.student: result for result in rescore(out).after}

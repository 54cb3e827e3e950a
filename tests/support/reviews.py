"""A class whose work people judge: graded with no model and no sandbox, in a moment."""

from __future__ import annotations

from pathlib import Path

from grader.core.nouns import Result
from grader.course import grade
from grader.course.output import STORE_NAME, prepare, write_class, write_student
from grader.course.rescore import remember
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

"""The whole story on a sample class: make it, grade it, say what came out."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grader.assignment.questions import load_questions, make_hidden, write_hidden
from grader.cli.demo_class import ASSIGNMENT, PROGRAMS, SampleClass, make_class
from grader.core.errors import UsageError
from grader.core.files import resource
from grader.core.nouns import Assignment, Outcome
from grader.core.result import Result
from grader.course import grade
from grader.course.decisions import rescored
from grader.course.output import (
    STORE_NAME,
    STUDENTS,
    part_files,
    prepare,
    released_marks,
    write_class,
    write_student,
)
from grader.course.review import ClassReview
from grader.course.review_table import import_table
from grader.evidence.store import open_store
from grader.intake.find import safe_name

if TYPE_CHECKING:
    from rich.table import Table

    from grader.evidence.kind import Progress
    from grader.sandbox.api import Sandbox

_GAIN: Final = "EVL001"


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo made and found."""

    results: tuple[Result, ...]
    spearman: float
    compared: int
    class_page: Path
    student_page: Path
    grade_command: str


def run_demo(
    out: Path,
    progress: Progress,
    made: SampleClass,
    *,
    open_sandbox: Callable[[], Sandbox] | None = None,
    hidden_seed: int | None = None,
    programs: bool = True,
) -> Demo:
    """Make the class and a hidden set in OUT, unless they are there, and grade the class.

    Without a `hidden_seed` one is drawn that nobody knows. Without `programs` nobody submits
    Parts 1 and 2, which take most of the time. Raises UsageError where OUT holds another class.
    """
    assignment = grade.load(ASSIGNMENT)
    submissions, hidden, results_folder = out / "class", out / "hidden", out / "results"
    if not hidden.exists():  # the hidden set comes last: without it the class is not complete
        shutil.rmtree(submissions, ignore_errors=True)
        make_class(submissions, assignment, made, progress, programs=programs)
        seed = secrets.randbits(63) if hidden_seed is None else hidden_seed
        questions = make_hidden(assignment.topic, seed, made.questions)
        write_hidden(questions, assignment.topic, seed, hidden)
    elif not all((submissions / student).exists() for student in made.students - {"s22-bad-zip"}):
        raise UsageError(f"{out} holds another sample class. Choose another folder with --out.")
    part_files(results_folder)
    graded = grade.grade(
        [submissions],
        assignment,
        load_questions(hidden, assignment.topic),
        prepare(results_folder),
        progress,
        open_sandbox=open_sandbox,
    )
    results = _reviewed(graded.results, assignment, results_folder, made)
    progress.start("Writing pages", len(results) + 1)
    released = released_marks(results_folder)
    for result in results:
        write_student(results_folder, assignment, result, released)
        progress.step(result.student)
    write_class(results_folder, assignment)
    progress.step("class.html")
    rho, compared = quality_agreement(results, made)
    return Demo(
        results=results,
        spearman=rho,
        compared=compared,
        class_page=results_folder / "class.html",
        student_page=results_folder / STUDENTS / safe_name(made.shown) / "feedback.html",
        grade_command=f"finegrade grade {submissions} --hidden {hidden} --out {results_folder}",
    )


def _reviewed(
    results: Sequence[Result], assignment: Assignment, folder: Path, made: SampleClass
) -> tuple[Result, ...]:
    """The results with what the demo's grader decided, as `finegrade review --import` takes it."""
    if not made.reviews:
        return tuple(results)
    with open_store(folder / STORE_NAME) as store:
        review = ClassReview(folder, assignment, results, store)
        import_table(review, resource("starter", PROGRAMS, made.reviews), "demo", named=False)
        decided = store.reviews.latest()
    return tuple(rescored(result, assignment, decided) for result in results)


def quality_agreement(results: Sequence[Result], made: SampleClass) -> tuple[float, int]:
    """(Spearman's rho of known quality and awarded Part 3 function points, students compared).

    Students whose points are not known yet are left out.
    """
    from scipy.stats import spearmanr

    known = {recipe.student: recipe.quality for recipe in made.recipes}
    pairs = []
    for result in results:
        points = [s.points for s in result.scores if s.part == "lora"]
        if result.student in known and None not in points:
            pairs.append((known[result.student], sum(filter(None, points))))
    return float(spearmanr(*zip(*pairs, strict=True)).statistic), len(pairs)


def marks_line(results: Sequence[Result], folder: Path) -> str:
    """How many marks are final, and how to come to the others."""
    final = sum(result.total.points is not None for result in results)
    line = f"Final marks: {final} of {len(results)}"
    if final == len(results):
        return f"{line}, with what a grader decided by hand"
    return (
        f"{line}. The others wait for a person, who has not judged their written work, as in any "
        f"class before its review. What is open: finegrade review {folder}"
    )


def summary(results: Sequence[Result]) -> Table:
    """One row a student: automatic points by part, and what decides about the adapter."""
    from rich import box
    from rich.table import Table

    from grader.core.text import points

    table = Table("Student", box=box.SIMPLE_HEAD)
    for part in (1, 2, 3):
        table.add_column(f"Part {part}", justify="right", no_wrap=True)
    table.add_column("The adapter", ratio=1)
    for result in results:
        parts = [
            [s for s in result.scores if s.part == part] for part in ("dspy", "openai", "lora")
        ]
        about = [f for f in result.findings if f.code.startswith(("ADP", "EVL", "INT", "LAY030"))]
        failed = next((f for f in about if f.outcome is Outcome.FAIL), None)
        decisive = failed or next(f for f in about if f.code == _GAIN)
        gain = decisive.measures.get("delta") if decisive.code == _GAIN else None
        table.add_row(
            result.student,
            *(points(sum(score.points or 0 for score in part)) for part in parts),
            f"{'✗' if failed else '✓'} {decisive.code} {decisive.title}"
            + (f": {gain:+.0%}" if isinstance(gain, float) else ""),
        )
    return table

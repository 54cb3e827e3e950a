"""What a grading leaves on disk: the class page speaks of the hidden questions alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from support.benchmarks import answered
from support.classes import Silent
from support.predictions import evidence

from grader.course import grade
from grader.course.output import STORE_NAME, write_class, write_student
from grader.evidence.store import open_store
from grader.intake.find import Extent


def test_the_questions_of_students_benchmarks_are_not_the_classs(tmp_path: Path) -> None:
    """Each has its own, by the same ids: together they would be one question with two texts."""
    assignment = grade.load("llm-methods")
    (tmp_path / "s01").mkdir()
    (tmp_path / "s01" / "notes.md").write_text("n\n")
    out = tmp_path / "out"
    out.mkdir()
    graded = grade.grade(
        [tmp_path / "s01"], assignment, None, out / STORE_NAME, Silent(), extent=Extent.ONE
    )
    hidden = replace(evidence(40), kind="predictions", key="of hidden")
    own = replace(answered(), kind="predictions", key="of own")
    with open_store(out / STORE_NAME) as store:
        store.put(hidden)
        store.put(own)
    (result,) = graded.results
    keys = {"before": "of hidden", "after": "of hidden", "bench_lora": "of own"}
    write_student(out, assignment, replace(result, provenance={"evidence": keys}))
    write_class(out, assignment)
    page = (out / "class.html").read_text()
    assert "question 99" in page
    assert "Which nickname has element" not in page

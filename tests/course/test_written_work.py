"""Written work on its way through grading, with and without a sandbox."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.classes import Silent
from support.documents import SENTENCE, drawn_pdf, protected_pdf, word

from grader.assignment.questions import QuestionSet, make_hidden
from grader.core.nouns import Assignment, Outcome
from grader.core.result import Result
from grader.course import grade
from grader.course.output import prepare, write_class, write_student
from grader.intake.find import Extent
from grader.sandbox.api import Sandbox
from grader.sandbox.choose import NoSandbox
from grader.sandbox.unsandboxed import Unsandboxed

WRITTEN = ("analysis", "reflection")


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    """Of the assignment what is about written work alone: no model is run."""
    whole = grade.load("llm-methods")
    return replace(
        whole,
        evidence=tuple(e for e in whole.evidence if e.kind == "text"),
        checks=tuple(c for c in whole.checks if c.code.startswith(("LAY", "DOC"))),
        criteria=tuple(c for c in whole.criteria if c.id in WRITTEN),
    )


@pytest.fixture(scope="module")
def questions() -> QuestionSet:
    return make_hidden("educational-qa", 7, 12)


def no_sandbox() -> Sandbox:
    raise NoSandbox("No sandbox works here.")


def never() -> Sandbox:
    raise AssertionError("nothing here needs a sandbox")


def outcomes(result: Result) -> dict[str, Outcome]:
    return {f.code: f.outcome for f in result.findings if f.outcome is not Outcome.SKIP}


def submitted(folder: Path, **files: bytes) -> Path:
    home = folder / "s01"
    home.mkdir()
    for name, data in files.items():
        stem, _, suffix = name.rpartition("_")
        (home / f"{stem}.{suffix}").write_bytes(data)
    return home


def test_markdown_is_read_without_a_sandbox_and_without_running_anything(
    assignment: Assignment, questions: QuestionSet, tmp_path: Path
) -> None:
    home = submitted(tmp_path, comparative_analysis_md=b"Words. " * 900, reflection_md=b"\xff")
    store = tmp_path / "e.sqlite"
    for asked, opens in ((None, never), (questions, never)):
        done = grade.grade(
            [home], assignment, asked, store, Silent(), open_sandbox=opens, extent=Extent.ONE
        )
        found = outcomes(done.results[0])
        assert (found["DOC001"], found["DOC010"]) == (Outcome.PASS, Outcome.PASS)
        assert (found["DOC002"], found["DOC102"]) == (Outcome.FAIL, Outcome.FAIL)
        assert done.collected == (2 if asked is None else 0)
        points = {s.id: s.points for s in done.results[0].scores}
        assert points["reflection"] == 0


def test_a_machine_without_a_sandbox_loses_nobody_a_mark(
    assignment: Assignment, questions: QuestionSet, tmp_path: Path
) -> None:
    home = submitted(
        tmp_path, comparative_analysis_pdf=drawn_pdf(SENTENCE), reflection_md=b"Words. " * 300
    )
    store = tmp_path / "e.sqlite"
    (checked,) = grade.grade([home], assignment, None, store, Silent(), extent=Extent.ONE).results
    assert outcomes(checked)["DOC001"] is Outcome.REVIEW
    (graded,) = grade.grade(
        [home], assignment, questions, store, Silent(), open_sandbox=no_sandbox, extent=Extent.ONE
    ).results
    found = outcomes(graded)
    assert (found["DOC001"], found["DOC002"]) == (Outcome.ERROR, Outcome.PASS)
    assert Outcome.FAIL not in {found[f"DOC10{n}"] for n in range(1, 6)}
    (why,) = (f.note for f in graded.findings if f.code == "DOC001")
    assert why == "No sandbox works here."


def test_pdf_and_word_are_read_where_programs_are_run(
    assignment: Assignment, questions: QuestionSet, tmp_path: Path
) -> None:
    home = submitted(
        tmp_path, comparative_analysis_docx=word(SENTENCE), reflection_pdf=protected_pdf("a", "b")
    )
    (result,) = grade.grade(
        [home],
        assignment,
        questions,
        tmp_path / "e.sqlite",
        Silent(),
        open_sandbox=Unsandboxed,
        extent=Extent.ONE,
    ).results
    found = outcomes(result)
    assert (found["DOC001"], found["DOC002"], found["DOC103"]) == (
        Outcome.PASS,
        Outcome.FAIL,
        Outcome.FAIL,
    )


def test_who_judges_it_reads_plain_text_and_never_an_earlier_version(
    assignment: Assignment, tmp_path: Path
) -> None:
    home = submitted(
        tmp_path, comparative_analysis_md="<b>Café</b> & more.\n".encode(), reflection_md=b"First."
    )
    out = tmp_path / "out"
    for reflection in (b"First.", b"\xff"):
        (home / "reflection.md").write_bytes(reflection)
        (result,) = grade.grade(
            [home], assignment, None, prepare(out), Silent(), extent=Extent.ONE
        ).results
        write_student(out, assignment, result)
        write_class(out, assignment)
    student = out / "staff" / "s01"
    texts = {path.name: path.read_text("utf-8-sig") for path in student.glob("*.txt")}
    assert texts == {"comparative_analysis.txt": "<b>Café</b> & more.\n"}
    page = (out / "class.html").read_text()
    assert '<a href="staff/s01/comparative_analysis.txt">Comparative analysis</a>' in page
    assert "reflection.txt" not in page

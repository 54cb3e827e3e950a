"""Names inside a submission name no student; whether a folder is a class is the caller's word."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.classes import Silent, write_student

from grader.core.errors import UsageError
from grader.core.result import Result
from grader.course import grade
from grader.intake.find import Extent


def graded(out: Path, *paths: Path, extent: Extent | None = None) -> dict[str, Result]:
    assignment = grade.load("llm-methods")
    out.mkdir(exist_ok=True)
    store = out / "e.sqlite"
    done = grade.grade(list(paths), assignment, None, store, Silent(), extent=extent)
    return {result.student: result for result in done.results}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Alice's submission holds nothing but a folder named like bob, and a record of its own."""
    write_student(tmp_path / "class" / "bob", 1)
    theirs = tmp_path / "class" / "alice"
    write_student(theirs / "bob", 2)
    (theirs / "submissions.csv").write_text("student,submitted_at\nbob,2020-01-01T00:00:00\n")
    return tmp_path / "class"


def test_a_folder_named_like_a_classmate_changes_nothing_of_the_classmates(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "honest").mkdir()
    shutil.copytree(folder / "bob", tmp_path / "honest" / "bob")
    alone = graded(tmp_path / "alone", tmp_path / "honest", extent=Extent.CLASS)
    both = graded(tmp_path / "both", folder, extent=Extent.CLASS)
    assert set(both) == {"alice", "bob"}
    assert json.dumps(both["bob"].digest) == json.dumps(alone["bob"].digest)
    assert both["bob"].findings == alone["bob"].findings
    assert both["bob"].submitted_at is None
    assert both["alice"].digest != both["bob"].digest


def test_one_submission_graded_again_is_its_own_students_without_a_word(
    folder: Path, tmp_path: Path
) -> None:
    graded(tmp_path / "out", folder, extent=Extent.CLASS)
    assert set(graded(tmp_path / "out", folder / "alice")) == {"alice"}


def test_a_folder_that_was_never_graded_names_no_student_of_the_class(
    folder: Path, tmp_path: Path
) -> None:
    """The same submission, uploaded again elsewhere: nobody said what it holds."""
    graded(tmp_path / "out", folder, extent=Extent.CLASS)
    again = Path(shutil.copytree(folder / "alice", tmp_path / "late" / "alice"))
    with pytest.raises(UsageError, match=r"bob was graded from .* --class .* --one"):
        graded(tmp_path / "out", again)
    assert set(graded(tmp_path / "out", again, extent=Extent.ONE)) == {"alice"}

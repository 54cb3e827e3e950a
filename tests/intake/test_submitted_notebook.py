"""Notebooks of a submission: read once, whoever asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.notebooks import notebook

from grader.core.errors import FileRefused
from grader.core.nouns import Submission
from grader.intake.find import submission_at
from grader.intake.submission import take_in
from grader.intake.submitted_notebook import submitted_notebook


def submitted(folder: Path, data: bytes) -> Submission:
    """A submission of this notebook alone, always from the same place."""
    home = folder / "s1"
    home.mkdir(exist_ok=True)
    (home / "a.ipynb").write_bytes(data)
    return take_in(submission_at(home), folder / "work")


def test_a_notebook_is_read_once_and_another_anew(tmp_path: Path) -> None:
    first = submitted(tmp_path, notebook("x = 1"))
    found = submitted_notebook(first, "a.ipynb")
    (tmp_path / "s1" / "a.ipynb").unlink()
    assert submitted_notebook(first, "a.ipynb") == found
    assert "x = 2" in submitted_notebook(submitted(tmp_path, notebook("x = 2")), "a.ipynb").script


def test_one_that_is_refused_is_read_once_too(tmp_path: Path) -> None:
    submission = submitted(tmp_path, b"{")
    refused = []
    for _ in range(2):
        with pytest.raises(FileRefused) as error:
            submitted_notebook(submission, "a.ipynb")
        refused.append(error.value)
        (tmp_path / "s1" / "a.ipynb").unlink(missing_ok=True)
    assert refused[0].code == "SRC101"
    assert vars(refused[0]) == vars(refused[1])
    assert refused[0] is not refused[1]

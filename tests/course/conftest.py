"""A class with written works, graded without a model, for what people decide."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.reviews import grade_works, write_works


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_works(tmp_path / "class")


@pytest.fixture
def out(folder: Path, tmp_path: Path) -> Path:
    grade_works(folder, tmp_path / "out")
    return tmp_path / "out"

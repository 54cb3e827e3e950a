"""A report's file is the old one or the new one, never half of either."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from grader.core.files import write_atomic


def test_text_is_written_as_it_is_into_a_folder_that_is_made(tmp_path: Path) -> None:
    path = tmp_path / "students" / "s01" / "result.json"
    write_atomic(path, "ü\n長\r\n")
    assert path.read_bytes() == "ü\n長\r\n".encode()
    assert os.listdir(path.parent) == ["result.json"]


def test_a_lone_surrogate_does_not_stop_a_report(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a.txt", "x\ud800y")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "x?y"


def test_the_old_file_stays_when_writing_fails(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "gradebook.csv"
    write_atomic(path, "old")

    def full(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["gradebook.csv"]

"""The instructor's record of submission times."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.core.errors import UsageError
from grader.intake.find import read_times


def record(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "submissions.csv"
    path.write_bytes(text.encode())
    return path


def test_reads_times_with_and_without_offset(tmp_path: Path) -> None:
    text = (
        "\ufeffname,student,submitted_at\r\n"
        'n,s01,2026-03-01 10:00\r\nn,s02,2026-03-01T10:00+02:00\r\n"n, m",s03,\r\n'
    )
    assert read_times(record(tmp_path, text)) == {
        "s01": "2026-03-01T10:00:00+00:00",
        "s02": "2026-03-01T10:00:00+02:00",
    }


def test_no_record_means_no_times(tmp_path: Path) -> None:
    assert read_times(tmp_path / "submissions.csv") == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "line 1"),
        ("student,when\ns01,2026-03-01\n", "line 1"),
        ("student,submitted_at\ns01,2026-03-01\ns02,yesterday\n", "line 3"),
        ("student,submitted_at\n,2026-03-01\n", "line 2"),
        ("student,submitted_at\ns01,2026-03-01\ns01,2026-03-02\n", "line 3"),
        ('student,submitted_at\n"s01,2026-03-01\n', "line"),
    ],
)
def test_a_bad_row_is_named(text: str, line: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=line):
        read_times(record(tmp_path, text))


def test_a_record_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "submissions.csv"
    path.write_bytes(b"student,submitted_at\n\xff,2026\n")
    with pytest.raises(UsageError, match="UTF-8"):
        read_times(path)

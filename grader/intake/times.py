"""Submission times, from the instructor's own record.

`submissions.csv` lies in the class folder, with the columns `student` (as the folder or archive is
named) and `submitted_at` (ISO 8601; without an offset it is UTC; empty when unknown).
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from grader.core.constants import SUBMISSIONS_CSV_MAX_BYTES
from grader.core.errors import UsageError

SUBMISSIONS_CSV = "submissions.csv"
_COLUMNS = ("student", "submitted_at")


def read_times(path: Path) -> Mapping[str, str]:
    """ISO 8601 time, with offset, by student; empty when there is no such file.

    Raises UsageError naming the line for a missing column, a student named twice or not at all,
    and a time that is not ISO 8601.
    """
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            data = file.read(SUBMISSIONS_CSV_MAX_BYTES + 1)
        if len(data) > SUBMISSIONS_CSV_MAX_BYTES:
            raise UsageError(f"{path}: larger than {SUBMISSIONS_CSV_MAX_BYTES} bytes.")
        text = data.decode("utf-8-sig")  # spreadsheets write a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as UTF-8 text.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    times: dict[str, str | None] = {}
    try:
        if missing := [column for column in _COLUMNS if column not in (reader.fieldnames or ())]:
            raise UsageError(f"{path}, line 1: the column {missing[0]!r} is missing.")
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            student = unicodedata.normalize("NFC", (row["student"] or "").strip())
            if not student:
                raise UsageError(f"{where}: no student is named.")
            if student in times:
                raise UsageError(f"{where}: {student!r} is listed twice.")
            times[student] = _time((row["submitted_at"] or "").strip(), where)
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: {error}.") from error
    return {student: time for student, time in times.items() if time is not None}


def _time(text: str, where: str) -> str | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{where}: {text!r} is not an ISO 8601 time such as 2026-03-01T23:59:00+00:00."
        ) from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()

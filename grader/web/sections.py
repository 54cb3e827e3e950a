"""Which section of the class a student is in, by the instructor's own submissions.csv."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from grader.core.constants import SUBMISSIONS_CSV_MAX_BYTES
from grader.core.errors import UsageError
from grader.intake.find import SUBMISSIONS_CSV


def sections_of(places: Mapping[str, str]) -> Mapping[str, str]:
    """Sections by student, from the column `section` beside each submission; often there is none.

    `places` are the paths of submissions by student. Raises UsageError for a file that cannot be
    read.
    """
    folders = {Path(place).parent for place in places.values()}
    found: dict[str, str] = {}
    for folder in sorted(folders):
        found |= _read(folder / SUBMISSIONS_CSV)
    return found


def _read(path: Path) -> Mapping[str, str]:
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            text = file.read(SUBMISSIONS_CSV_MAX_BYTES).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read as CSV in UTF-8.") from error
    return {
        unicodedata.normalize("NFC", (row.get("student") or "").strip()): section
        for row in rows
        if (section := (row.get("section") or "").strip())
    }

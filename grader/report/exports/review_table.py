"""The review table as CSV: written for spreadsheets, and read back as people and programs save it.

No cell can become a formula, and no text is lost: what is put before a dangerous start on the way
out is taken off on the way in.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from grader.core.errors import UsageError
from grader.report.exports.gradebook import OF_FORMULAS

COLUMNS: Final = (
    "student", "criterion", "item", "title", "level", "points", "max_points", "comment", "grader",
    "state", "was", "link", "facts", "revision", "log",
)  # fmt: skip
"""Those after `grader` are ours: `was` is the level of a stale decision, `revision` what was
submitted, and `log` the position of the entry that the row shows."""
NEEDED: Final = ("student", "criterion", "item", "level")
_SEPARATORS: Final = (",", ";", "\t")

# Where a program may see the start of a cell, see gradebook.py; here line ends stay in the text.
# An apostrophe counts as a sign's companion, so that one which was there is told from ours.
_BLANK: Final = r"\s\"'\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
_FIRST: Final = rf"(?=[{_BLANK}]*([^{_BLANK}]))"  # the first character that shows
_STARTS: Final = re.compile(rf"(?:^|[,;|\t\r\n]){_FIRST}")
_MARKED: Final = re.compile(rf"((?:^|[,;|\t\r\n]))'{_FIRST}")


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row as it was read: its line in the file (from 1), and its cells by column."""

    line: int
    cells: Mapping[str, str]


def safe(text: str) -> str:
    """The text with an apostrophe before each start that a spreadsheet may take for a formula's."""
    return _STARTS.sub(lambda start: f"{start[0]}'" if _dangerous(start[1]) else start[0], text)


def plain(cell: str) -> str:
    """The reverse of `safe`."""
    return _MARKED.sub(lambda mark: mark[1] if _dangerous(mark[2]) else mark[0], cell)


def _dangerous(character: str) -> bool:
    # Full-width and other forms of a sign count; a character may be nothing in that form.
    return unicodedata.normalize("NFKC", character)[:1] in OF_FORMULAS


def write_table(rows: Sequence[Mapping[str, str]]) -> bytes:
    """The table as UTF-8 with a byte order mark (Excel asks for one) and CRLF (RFC 4180)."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    writer.writerows([safe(row[column]) for column in COLUMNS] for row in rows)
    return out.getvalue().encode("utf-8-sig", "replace")


def read_table(data: bytes, name: str, needed: Sequence[str] = NEEDED) -> list[TableRow]:
    """The rows of a table, whatever separates its cells and in whatever order they are.

    Raises UsageError, with the file's name, when it is no such table.
    """
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name} is not UTF-8 (byte {error.start:,}). Save it as 'CSV UTF-8', and import that."
        ) from error
    skipped = re.match(r"sep=.\r?\n", text)  # written by Excel for itself
    start = skipped.end() if skipped else 0
    separator, header = _header(text[start:], name, needed)
    reader = csv.reader(io.StringIO(text[start:], newline=""), delimiter=separator, strict=True)
    rows, line = [], 1 + bool(skipped)
    try:
        for number, cells in enumerate(reader):
            if number and any(cell.strip() for cell in cells):
                known = zip(header, cells, strict=False)
                rows.append(TableRow(line, {column: plain(cell) for column, cell in known}))
            line = reader.line_num + 1 + bool(skipped)
    except csv.Error as error:
        raise UsageError(f"{name}, line {line}: this is no CSV ({error}).") from error
    return rows


def _header(text: str, name: str, needed: Sequence[str]) -> tuple[str, list[str]]:
    """The separator with which the first line names the columns, and their names."""
    first: list[str] = []
    for separator in _SEPARATORS:
        try:
            first = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
        except csv.Error:
            continue
        header = [cell.strip().casefold() for cell in first]
        if set(needed) <= set(header):
            twice = [column for column in needed if header.count(column) > 1]
            if twice:
                raise UsageError(f"{name} has the column {twice[0]!r} twice.")
            return separator, header
    raise UsageError(
        f"{name}: its first line must name the columns {', '.join(needed)}, separated by comma, "
        "semicolon or tab. `finegrade review OUT --export FILE.csv` writes such a table."
    )

"""Reads the sources of `finegrade data convert`: JSONL, a JSON document, or a table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from grader.core.constants import DATA_MAX_DEPTH, MIB
from grader.core.errors import UsageError
from grader.core.strict_json import StrictJsonError, loads
from grader.training_data.read.examples import KEYS_OF_KIND, Kind
from grader.training_data.read.faults import quoted
from grader.training_data.read.format_detection import bare, head_lines, open_text, wrong_format
from grader.training_data.read.lines import LineError, blocks, decode

_MAX_WHOLE_BYTES: Final = 64 * MIB  # a document and a table are held in memory; JSONL is not
_SEPARATORS: Final = (",", "\t", ";")  # comma, tab, and what spreadsheets write in much of Europe
_PAIRS: Final = (KEYS_OF_KIND[Kind.QA], KEYS_OF_KIND[Kind.COMPLETION])
_MARK: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[{}\[\]]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One candidate of an example: its 1-based number and what stands there.

    `raw` is the line of a JSONL file, None elsewhere. `fault` says why there is no object, and is
    "" otherwise.
    """

    number: int
    value: Any = None
    raw: bytes | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class RecordSource:
    """The records of a file, and what one of them is called: a line, an item or a row."""

    noun: str
    records: Iterator[SourceRecord]


def read_source(path: Path) -> RecordSource:
    """The records of the file at `path`, whatever its name, told by its beginning.

    JSONL may be of any size and is read in constant memory. A JSON document (objects one after
    another, or in lists) and a table with a header (commas, tabs or semicolons; question and
    answer, or prompt and completion) may have 64 MiB.

    Raises UsageError if the file cannot be read or is none of these. Bad lines and rows are
    records with a fault.
    """
    head = head_lines(path)
    fault = wrong_format(head)
    if fault is not None and fault.code == "JSL006":
        raise UsageError(f"{path}: {fault.message}. Unpack it, or export it again as UTF-8 text.")
    if head and (separator := _separator(head[0])) is not None:
        return RecordSource("row", _rows(path, separator))
    if fault is not None and fault.code == "JSL008":
        fix = "name two of its columns question and answer, or prompt and completion"
        raise UsageError(f"{path}: {fault.message}. To convert it, {fix}.")
    if fault is not None:
        return RecordSource("item", _items(_document(path)))
    if head and _may_begin_a_document(head[0]):
        try:
            return RecordSource("item", _items(_document(path)))
        except UsageError:  # a broken line: reported with the others
            pass
    return RecordSource("line", _lines(path))


def _lines(path: Path) -> Iterator[SourceRecord]:
    with open_text(path) as text:
        for number, raw in enumerate(chain.from_iterable(blocks(text.file)), 1):
            line = bare(raw)
            if not line.strip():
                continue
            try:
                yield _record(number, decode(line), line)
            except LineError as error:
                yield SourceRecord(number, fault=error.message)


def _items(values: Sequence[Any]) -> Iterator[SourceRecord]:
    for number, value in enumerate(values, 1):
        yield _record(number, value)


def _record(number: int, value: Any, raw: bytes | None = None) -> SourceRecord:
    if isinstance(value, dict):
        return SourceRecord(number, value, raw)
    return SourceRecord(number, fault=f"found {quoted(value)}; expected an object")


def _may_begin_a_document(line: bytes) -> bool:
    if not line.lstrip().startswith((b"{", b"[")):
        return False
    try:
        decode(line)
    except LineError:
        return True
    return False


def _document(path: Path) -> list[Any]:
    """The objects of a JSON document: those at the top and those in lists at the top."""
    data = _whole(path)
    found: list[Any] = []
    for start, end in _containers(path, data):
        try:
            value = loads(data[start:end], max_bytes=end - start, max_depth=DATA_MAX_DEPTH + 1)
        except StrictJsonError as error:
            line = data.count(b"\n", 0, start) + error.line
            raise UsageError(f"{path}, line {line}: {error.message}. Mend it there.") from error
        found += value if isinstance(value, list) else [value]
    return found


def _containers(path: Path, data: bytes) -> Iterator[tuple[int, int]]:
    """(start, end) of each object and list at the top; between them there may only be space."""
    depth = start = end = 0
    for match in _MARK.finditer(data):
        mark = match[0]
        if not depth:
            start = match.start()
            if mark not in (b"{", b"[") or data[end:start].strip():
                break
        depth += (mark in (b"{", b"[")) - (mark in (b"}", b"]"))
        if not depth:
            end = match.end()
            yield start, end
    if data[end:].strip():
        line = data.count(b"\n", 0, len(data) - len(data[end:].lstrip())) + 1
        raise UsageError(f"{path}, line {line}: no whole JSON object begins here. Mend it there.")


def _separator(header: bytes) -> str | None:
    """What separates the cells of a header that has a known pair of columns, or None."""
    for separator in _SEPARATORS:
        columns = _columns(header.decode("utf-8", "replace").split(separator))
        if any(set(pair) <= set(columns) for pair in _PAIRS):
            return separator
    return None


def _columns(cells: Sequence[str]) -> list[str]:
    return [cell.strip().strip('"').strip().casefold() for cell in cells]


def _rows(path: Path, separator: str) -> Iterator[SourceRecord]:
    """A record for each row of a table; its number is that of the row's last line."""
    try:
        text = _whole(path).decode()
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 text. Export the table again as UTF-8."
        raise UsageError(message) from error
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header: list[str] = []
    try:
        for row in rows:
            if not any(row):
                continue
            if not header:
                header = _columns(row)
                if len(set(header)) < len(header):
                    raise UsageError(f"{path}: two columns have one name. Rename one of them.")
            elif len(row) != len(header):
                fault = f"it has {len(row)} cells; the header has {len(header)}"
                yield SourceRecord(rows.line_num, fault=fault)
            else:
                yield SourceRecord(rows.line_num, dict(zip(header, row, strict=True)))
    except csv.Error as error:
        message = f"{path}, line {rows.line_num}: {error}. Export the table again."
        raise UsageError(message) from error


def _whole(path: Path) -> bytes:
    with open_text(path) as text:
        data = text.file.read(_MAX_WHOLE_BYTES + 1)
    if len(data) > _MAX_WHOLE_BYTES:
        limit = f"{_MAX_WHOLE_BYTES // MIB} MiB"
        raise UsageError(f"{path} has more than {limit}, which only JSONL may have. Split it.")
    return bare(data)

"""Reads the sources of `finegrade data convert`: JSONL, a JSON document, or a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from grader.core.constants import DATA_MAX_DEPTH, MIB
from grader.core.errors import UsageError
from grader.core.strict_json import StrictJsonError, loads
from grader.training_data.read.documents import objects_in
from grader.training_data.read.format_detection import bare, head_lines, open_text, wrong_format
from grader.training_data.read.lines import LineError, blocks, decode
from grader.training_data.read.tables import BadCell, Table, find_table
from grader.training_data.rules.rule import quoted

_MAX_WHOLE_BYTES: Final = 64 * MIB  # a document and a table are held in memory; JSONL is not


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One candidate of an example: its 1-based number and what stands there.

    `raw` is the line of a JSONL file, None elsewhere. `fault` says why there is no object, and is
    "" otherwise. `unread` are columns of a table without a name, where they hold something.
    """

    number: int
    value: Any = None
    raw: bytes | None = None
    fault: str = ""
    unread: tuple[str, ...] = ()


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
    if (table := find_table(head)) is not None and table.holds_examples:
        return RecordSource("row", _rows(path, table))
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
    spans, last = objects_in(data)
    for start, end in spans:
        try:
            value = loads(data[start:end], max_bytes=end - start, max_depth=DATA_MAX_DEPTH + 1)
        except StrictJsonError as error:
            line = data.count(b"\n", 0, start) + error.line
            raise UsageError(f"{path}, line {line}: {error.message}. Mend it there.") from error
        found += value if isinstance(value, list) else [value]
    if data[last:].strip() not in (b"", b","):
        line = data.count(b"\n", 0, len(data) - len(data[last:].lstrip())) + 1
        raise UsageError(f"{path}, line {line}: no whole JSON object begins here. Mend it there.")
    return found


def _rows(path: Path, table: Table) -> Iterator[SourceRecord]:
    """A record for each row of a table; its number is that of the row's last line."""
    if len(set(filter(None, table.columns))) < len(list(filter(None, table.columns))):
        raise UsageError(f"{path}: two columns have one name. Rename one of them.")
    try:
        text = _whole(path).decode()
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 text. Export the table again as UTF-8."
        raise UsageError(message) from error
    lines = io.StringIO(text, newline="")
    rows = csv.reader(lines, delimiter=table.separator, strict=True)
    before = table.start + 1  # the header, and what stands above it
    try:
        for row in rows:
            if not any(row):
                continue
            if before:
                before -= 1
                continue
            try:
                value, unread = table.example(row)
            except BadCell as error:
                yield SourceRecord(rows.line_num, fault=str(error))
            else:
                yield SourceRecord(rows.line_num, value, unread=unread)
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

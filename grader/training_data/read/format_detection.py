"""Detects the format of a training file from its beginning, and opens it.

Tells JSONL from tables, documents and binary files, one kind of example from another, and
recognises the formats of other tools by their keys.
"""

from __future__ import annotations

import codecs
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from grader.core.constants import DATA_MAX_LINE_BYTES, MIB
from grader.core.errors import UsageError
from grader.training_data.read.examples import KEYS_OF_KIND, Kind, kind_of
from grader.training_data.read.lines import (
    BOM,
    Line,
    LineError,
    UnreadableFile,
    blocks,
    decode,
    open_data,
)
from grader.training_data.read.other_formats import other_format
from grader.training_data.read.tables import find_table
from grader.training_data.rules.rule import Fault, quoted

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_KEYS_SHOWN: Final = 5  # enough to recognise one's own data


def describe_unknown(value: Mapping[str, Any]) -> str:
    """Describe an example of no known kind or format, and what it may be meant to be."""
    if not value:
        return "the first one is empty"
    for key, inner in value.items():
        if isinstance(inner, list) and inner and kind_of(inner[0]) is not None:
            return f"they stand inside {quoted(key)}; expected each on a line of its own"
    found = ", ".join(quoted(key) for key in list(value)[:_KEYS_SHOWN])
    meant = kind_of({key.strip().casefold(): inner for key, inner in value.items()})
    how = f"; of kind {meant}, if they were in small letters and without spaces" if meant else ""
    return f"the first one has {found}{how}"


_SIGNATURES: Final = (
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\x00", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"PK\x03\x04", "a zip archive, or an Excel workbook"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF-", "a PDF"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file"),
)
_WHOLE_OBJECT_BEGINS: Final = re.compile(rb'\s*\{\s*(?:"(?:[^"\\]|\\.)*"\s*:\s*[\[{]?\s*)?$')
_CONTINUES: Final = re.compile(rb'\s+["\]}\[{]')
_HINTING_KEYS: Final = {
    Kind.PREFERENCE: ("preferred_completion", "non_preferred_completion"),
}
_BEGINNING_BYTES: Final = 1024  # binary formats have a zero byte in them
_KIND_LINES: Final = 100  # of a file are enough to tell its kind


def wrong_format(head: Sequence[bytes]) -> Fault | None:
    """The fault of a file that is not JSONL, by its first lines (without BOM); else None."""
    start = head[0] if head else b""
    for signature, words in _SIGNATURES:
        if start.startswith(signature):
            return Fault("JSL006", f"the file is {words}; expected UTF-8 text")
    if start.count(b"\0") * 3 > len(start):
        return Fault("JSL006", "every other byte is zero, as in UTF-16; expected UTF-8 text")
    lines = [line for line in head if line.strip()]
    if not lines:
        return None
    beginning = b"\n".join(head)[:_BEGINNING_BYTES]
    if b"\0" in beginning and lines[0].lstrip()[:1] not in (b"{", b"["):
        return Fault("JSL006", "the file holds binary data; expected UTF-8 text")
    return _array(lines) or _spread_object(lines) or _table(lines)


def majority_kind(values: Iterable[Any]) -> tuple[Kind | None, str]:
    """The kind of most of these objects, and the reason; None where no key tells."""
    whole: Counter[Kind] = Counter()
    partly: Counter[Kind] = Counter()
    keys: dict[Kind, str] = {}
    foreign: Counter[str] = Counter()
    unknown: str | None = None
    for value in values:
        if kind_of(value) is None and (form := other_format(value)) is not None:
            foreign[str(form)] += 1
        elif unknown is None:
            unknown = describe_unknown(value)
        if (kind := kind_of(value)) is not None:
            whole[kind] += 1
        for kind in _hinted(value):
            partly[kind] += 1
            keys.setdefault(kind, next(k for k in _all_keys(kind) if k in value))
    if whole:
        kind = max(whole, key=lambda k: whole[k])
        names = " and ".join(f'"{key}"' for key in KEYS_OF_KIND[kind])
        return kind, f"its examples have {names}"
    if foreign:
        return None, f"the examples are of {max(foreign, key=lambda name: foreign[name])}"
    if len(partly) == 1:
        (kind,) = partly
        return kind, f'its examples have "{keys[kind]}"'
    found = f"; {unknown}" if unknown else ""
    return None, f"no example has the keys of a known kind{found}"


def decoded_head(head: Iterable[bytes]) -> list[dict[str, Any]]:
    """The objects among the first lines, without those that are not valid."""
    found: list[dict[str, Any]] = []
    for raw in head:
        try:
            value = decode(raw)
        except LineError:
            continue
        if isinstance(value, dict):
            found.append(value)
        if len(found) == _KIND_LINES:
            break
    return found


def _hinted(value: dict[str, Any]) -> list[Kind]:
    return [kind for kind in Kind if any(key in value for key in _all_keys(kind))]


def _all_keys(kind: Kind) -> tuple[str, ...]:
    return KEYS_OF_KIND[kind] + _HINTING_KEYS.get(kind, ())


def _array(lines: Sequence[bytes]) -> Fault | None:
    first = lines[0].strip()
    if not first.startswith(b"["):
        return None
    if first == b"[" or (len(lines) > 1 and first[-1:] in b"[{,"):
        return Fault("JSL007", "the file is one JSON array; expected one object a line", 1)
    try:
        value = decode(first)
    except LineError:
        cut = len(lines) == 1  # an array longer than what was looked at
        return Fault("JSL007", "the file begins as one JSON array", 1) if cut else None
    if len(lines) == 1 and isinstance(value, list) and any(isinstance(v, dict) for v in value):
        found = f"the file is one JSON array of {len(value)}; expected one object a line"
        return Fault("JSL007", found, 1)
    return None


def _spread_object(lines: Sequence[bytes]) -> Fault | None:
    if len(lines) < 2 or not _WHOLE_OBJECT_BEGINS.match(lines[0]):
        return None
    if _CONTINUES.match(lines[1]) or lines[0].strip() == b"{":
        found = "an object is spread over several lines; expected one object a line"
        return Fault("JSL007", found, 1)
    return None


def _table(lines: Sequence[bytes]) -> Fault | None:
    table = find_table(lines)
    if table is None:
        return None
    first = quoted(lines[table.start].decode("utf-8", "replace").rstrip("\r"))
    found = f"the header is {first}: a table separated by {table.words}"
    more = (
        "" if table.holds_examples else "; no two of its columns are known as question and answer"
    )
    try:
        b"".join(lines).decode()
    except UnicodeDecodeError:
        more += "; it is not UTF-8: export it again as UTF-8 first"
    return Fault("JSL008", found + more, table.start + 1)


_UTF_32: Final = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)  # the first of them begins as UTF-16
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LINE_FEED_IN_UTF_16: Final = (b"\n\0", b"\0\n")


@dataclass(frozen=True, slots=True)
class OpenText:
    """An open file that reads as UTF-8, and what it was on disk.

    Of UTF-8 a byte order mark is still there, of UTF-16 it is not.
    """

    path: Path
    file: BinaryIO
    was_utf_16: bool
    ends_with_line_feed: bool


@contextmanager
def open_text(path: Path) -> Iterator[OpenText]:
    """The regular file at `path`, to be read once from its beginning.

    Raises UsageError if it cannot be opened or is UTF-32, and while it is read if it is broken
    UTF-16. Bytes that are not UTF-8 are passed on as they are.
    """
    try:
        file = open_data(path)
    except UnreadableFile as error:
        raise UsageError(f"{path}: {error}. Give a file that you may read.") from error
    with file:
        head = file.read(4)
        if head.startswith(_UTF_32):
            raise UsageError(f"{path} is text in UTF-32. Save it as UTF-8.")
        file.seek(-min(2, len(head)), os.SEEK_END)
        tail = file.read()
        file.seek(0)
        if head.startswith(_UTF_16):
            text = io.BufferedReader(_Utf8OfUtf16(file, path))
            yield OpenText(path, text, True, tail in _LINE_FEED_IN_UTF_16)
        else:
            yield OpenText(path, file, False, tail.endswith(b"\n"))


@contextmanager
def open_jsonl(path: Path) -> Iterator[OpenText]:
    """As `open_text`; raises UsageError also if the file is no JSONL at all, and says what."""
    fault = wrong_format(head_lines(path))
    if fault is not None and fault.code == "JSL006":
        raise UsageError(f"{path}: {fault.message}. Unpack it, or export it again as UTF-8 text.")
    if fault is not None:
        command = f"finegrade data convert {path} --to chat --out NEW"
        raise UsageError(f"{path}: {fault.message}. `{command}` makes JSONL of it.")
    with open_text(path) as text:
        yield text


@contextmanager
def unchanged(path: Path) -> Iterator[None]:
    """Raises UsageError if the file changes during the block.

    For work that reads a file twice and goes by the numbers of its lines.
    """
    before = _stamp(path)
    try:
        yield
    finally:  # also after an exception, of which this may be the reason
        if _stamp(path) != before:
            raise UsageError(f"{path} was changed while it was read. Run the command again.")


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except (OSError, ValueError):  # opening it reports more
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def whole_lines(text: OpenText) -> Iterator[Line]:
    """All lines. Raises UsageError at one that is longer than DATA_MAX_LINE_BYTES."""
    for number, raw in enumerate(chain.from_iterable(blocks(text.file)), 1):
        if len(raw) > DATA_MAX_LINE_BYTES:
            found = f"line {number} is longer than {DATA_MAX_LINE_BYTES // MIB} MiB"
            raise UsageError(f"{text.path}: {found}. Write one example a line.")
        yield Line(number, raw)


def head_lines(path: Path) -> list[bytes]:
    """The first lines of the file, as `bare` leaves them, without blank ones."""
    with open_text(path) as text:
        return [line for raw in next(blocks(text.file), []) if (line := bare(raw)).strip()]


def bare(raw: bytes) -> bytes:
    """A line, or a text, without byte order marks before it and carriage returns behind it."""
    return without_marks(raw).rstrip(b"\r")


def without_marks(raw: bytes) -> bytes:
    """A line, or a text, without byte order marks before it."""
    while raw.startswith(BOM):
        raw = raw.removeprefix(BOM)
    return raw


class _Utf8OfUtf16(io.RawIOBase):
    """The UTF-8 bytes of a UTF-16 file."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._decoder = codecs.getincrementaldecoder("utf-16")()
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        into = memoryview(buffer).cast("B")
        data = b"-"
        while not self._ready and data:  # the bytes read may be half a character
            data = self._file.read(len(into))
            try:
                self._ready = self._decoder.decode(data, final=not data).encode()
            except UnicodeDecodeError as error:
                raise UsageError(f"{self._path} is broken UTF-16. Save it as UTF-8.") from error
        count = min(len(into), len(self._ready))
        into[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

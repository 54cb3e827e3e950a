"""Opening a training file to read it whole: as UTF-8 and, where it must be, as JSONL."""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from grader.constants import DATA_MAX_LINE_BYTES, MIB
from grader.errors import UsageError
from grader.training_data.reader import BOM, Line, Unreadable, blocks, open_data
from grader.training_data.sniffing import wrong_format

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

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
    except Unreadable as error:
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
    """Raises UsageError if the file is another at the end of the block than at its beginning.

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
    except (OSError, ValueError):  # whoever opens it says more
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

"""Lines of a file of any size, in constant memory.

Lines end at "\\n" bytes and nowhere else: U+2028 and carriage returns are content.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from grader.constants import DATA_BLOCK_BYTES, DATA_MAX_LINE_BYTES
from grader.errors import UsageError

BOM: Final = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8, which some editors write."""

_NOT_REGULAR: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Line(NamedTuple):
    """A line: its 1-based number and its bytes without the line feed.

    Of a line that is longer than DATA_MAX_LINE_BYTES only the first DATA_MAX_LINE_BYTES + 1 bytes
    are kept, so that it can be told from a whole one.
    """

    number: int
    raw: bytes


class Unreadable(UsageError):
    """The path is no regular file that can be read; the text says what it is instead."""


def open_data(path: Path) -> BinaryIO:
    """The regular file at `path` (or behind a link of that name), open for reading.

    Raises Unreadable for anything else, and never waits for a pipe or touches a device.
    """
    try:
        _refuse_other(os.stat(path).st_mode)
        file = os.open(
            path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
        _refuse_other(os.fstat(file).st_mode)  # exchanged since
    except OSError as error:
        raise Unreadable(f"it cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the path
        raise Unreadable("its path is not a valid one") from error
    return os.fdopen(file, "rb")


def blocks(file: BinaryIO) -> Iterator[list[bytes]]:
    """The lines of an open file in lists of about DATA_BLOCK_BYTES, in order.

    What follows the last line feed is the last line, unless it is empty.
    """
    rest: list[bytes] = []  # pieces of a line whose end has not come yet
    held = 0
    done: list[bytes] = []  # yielded with the next ones: the last line belongs to them
    while block := file.read(DATA_BLOCK_BYTES):
        if b"\n" not in block:
            held = _hold(rest, held, block)
            continue
        lines = block.split(b"\n")
        if rest:
            _hold(rest, held, lines[0])
            lines[0] = b"".join(rest)
        rest = [lines.pop()]
        held = len(rest[0])
        if done:
            yield done
        done = lines
    if held:
        done.append(b"".join(rest))
    if done:
        yield done


def lines(path: Path) -> Iterator[Line]:
    """Every line of the file at `path`. Raises Unreadable."""
    with open_data(path) as file:
        number = 0
        for block in blocks(file):
            for number, raw in enumerate(block, number + 1):  # noqa: B020
                yield Line(number, raw)


def _hold(rest: list[bytes], held: int, piece: bytes) -> int:
    """Add a piece to a line that goes on, as far as it is kept; the new number of bytes held."""
    kept = piece[: DATA_MAX_LINE_BYTES + 1 - held]
    if kept:
        rest.append(kept)
    return held + len(kept)


def _refuse_other(mode: int) -> None:
    if not stat.S_ISREG(mode):
        what = next((words for is_it, words in _NOT_REGULAR if is_it(mode)), "no regular file")
        raise Unreadable(f"it is {what}")

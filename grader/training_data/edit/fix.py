"""`finegrade data fix`: repairs that cannot change what a training file teaches.

A repair replaces texts inside a line of JSON and keeps every other byte. What needs a decision is
left unchanged, for `finegrade data check` to report.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from grader.core.files import new_file
from grader.core.text import normalized
from grader.training_data.edit.repairs import (
    parted,
    with_plain_roles,
    without_nothing,
    written_like,
)
from grader.training_data.read.examples import Example, examples_of
from grader.training_data.read.fingerprint import fixed_texts
from grader.training_data.read.format_detection import OpenText, bare, open_jsonl, whole_lines
from grader.training_data.read.lines import BOM, Line
from grader.training_data.rules.rule import Occurrences, pointer

_MARK: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\],:]', re.DOTALL)


def with_texts(raw: bytes, texts: Mapping[str, str]) -> bytes:
    """Replace the texts at these JSON pointers of a line. `raw` must be valid JSON.

    Decoding and encoding the whole line would change how numbers and other texts are spelt. A
    line of ASCII stays ASCII.
    """
    line = raw.decode()
    pieces = []
    done = 0
    for where, start, end in _texts(line):
        if where in texts:
            pieces += [line[done:start], json.dumps(texts[where], ensure_ascii=line.isascii())]
            done = end
    return "".join([*pieces, line[done:]]).encode()


def _texts(line: str) -> Iterator[tuple[str, int, int]]:
    """(JSON pointer, start, end) of every text in the line that is no key, with its quotes."""
    steps: list[str | int] = []  # a key for each object that is open, an index for each list
    key_follows = False
    for match in _MARK.finditer(line):
        mark = match[0]
        if mark == "{":
            steps.append("")
            key_follows = True
        elif mark == "[":
            steps.append(0)
            key_follows = False
        elif mark in "}]":
            steps.pop()
        elif mark == ",":
            last = steps[-1]
            key_follows = isinstance(last, str)
            if isinstance(last, int):
                steps[-1] = last + 1
        elif mark == ":":
            key_follows = False
        elif key_follows:
            steps[-1] = json.loads(mark)
        else:
            yield pointer(*steps), match.start(), match.end()


_DIGEST_BYTES: Final = 16  # two of a billion lines collide with a chance below 1e-20


class Repair(StrEnum):
    """The repairs, as a report names them."""

    UTF_16 = "UTF-16 written as UTF-8"
    BOM = "byte order marks removed"
    LINE_END = "carriage returns removed from line ends"
    BLANK = "blank lines dropped"
    LAST_LINE = "line feed added to the last line"
    PARTED = "objects on one line parted, commas after them removed"
    NOTHING = "keys that hold nothing dropped"
    ROLE = "roles given their names"
    NORMAL_FORM = "texts written in normal form (NFC)"
    SPACE = "space removed from the ends of texts"
    COPY = "copies of an earlier example dropped"


@dataclass(frozen=True, slots=True)
class Fixed:
    """What `fix` did: the lines of each repair, and the lines that hold no usable example.

    Repairs that were not needed are not there. Line numbers are those of the file that was read.
    """

    lines_read: int
    lines_written: int
    repairs: Mapping[Repair, Occurrences]
    unusable: Occurrences


def fix(path: Path, out: Path) -> Fixed:
    """Write the file at `path` with all safe repairs to a new file at `out`.

    A line without a usable example keeps its bytes, but for its byte order mark and line end. A
    line that needs no repair keeps its bytes; in a line that does, only the texts in question
    change, unless keys are dropped or roles renamed: then the line is written anew. Fixing what
    was fixed changes nothing. Memory does not grow with the file, but for a digest of each example.

    Raises UsageError if the file cannot be read or is no JSONL at all, if a line is longer than
    DATA_MAX_LINE_BYTES, and if `out` exists or cannot be made.
    """
    work = _FixState()
    with open_jsonl(path) as text, new_file(out) as file:
        for line in whole_lines(text):
            for repaired in work.fixed(line):
                file.write(repaired + b"\n")
        work.finish(text)
    repairs = {repair: work.repairs[repair] for repair in Repair if repair in work.repairs}
    return Fixed(work.read, work.written, repairs, work.unusable)


class _FixState:
    """The state of one run."""

    def __init__(self) -> None:
        self.read = self.written = 0
        self.repairs: dict[Repair, Occurrences] = {}
        self.unusable = Occurrences()
        self._seen: set[bytes] = set()
        self._last_written = 0

    def fixed(self, line: Line) -> Iterator[bytes]:
        """The lines that are to be written in place of this one."""
        self.read = line.number
        raw = bare(line.raw)
        if line.raw.startswith(BOM):
            self._note(Repair.BOM)
        if not raw.strip():
            self._note(Repair.BLANK)
            return
        if line.raw.endswith(b"\r"):
            self._note(Repair.LINE_END)
        pieces = parted(raw)
        if pieces:
            self._note(Repair.PARTED)
        for piece in pieces or [raw]:
            repaired = self._line(line.number, piece)
            if repaired is not None:
                self.written += 1
                self._last_written = line.number
                yield repaired

    def _line(self, number: int, raw: bytes) -> bytes | None:
        """The line as it is to be written, or None for a copy of an earlier one."""
        example = next(examples_of([Line(number, raw)]), None)
        if example is None:
            self.unusable = self.unusable.and_line(self.read)
            return raw
        raw = self._example(self._restructured(example))
        digest = hashlib.blake2b(raw, digest_size=_DIGEST_BYTES).digest()
        if digest in self._seen:
            self._note(Repair.COPY)
            return None
        self._seen.add(digest)
        return raw

    def _restructured(self, example: Example) -> Example:
        """The example with what its keys and roles plainly mean; itself if nothing changes."""
        value = without_nothing(example.value, example.kind)
        if value != example.value:
            self._note(Repair.NOTHING)
        named = with_plain_roles(value)
        if named != value:
            self._note(Repair.ROLE)
        if named == example.value:
            return example
        raw = written_like(named, example.raw)
        return Example(example.line, raw, example.kind, named)

    def _example(self, example: Example) -> bytes:
        repaired = fixed_texts(example)
        if not repaired:
            return example.raw
        texts = dict(example.texts)
        if any(normalized("NFC", texts[where]) != texts[where] for where in repaired):
            self._note(Repair.NORMAL_FORM)
        if any(normalized("NFC", texts[where]) != text for where, text in repaired.items()):
            self._note(Repair.SPACE)
        return with_texts(example.raw, repaired)

    def finish(self, text: OpenText) -> None:
        """Record what only the whole file shows."""
        if self.read and not text.ends_with_line_feed and self._last_written == self.read:
            self._note(Repair.LAST_LINE)
        if text.was_utf_16:
            self.repairs[Repair.UTF_16] = Occurrences(1)

    def _note(self, repair: Repair) -> None:
        self.repairs[repair] = self.repairs.get(repair, Occurrences()).and_line(self.read)

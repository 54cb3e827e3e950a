"""`finegrade data dedupe`: removes copies of examples."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grader.core.constants import DATA_KEPT_FAULTS
from grader.core.files import new_file
from grader.training_data.examples.duplicates import (
    NEAR_MAX_TEXTS,
    NearIndex,
    near_text,
    near_texts,
)
from grader.training_data.read.examples import examples_of
from grader.training_data.read.faults import Occurrences
from grader.training_data.read.fingerprint import Fingerprint, read
from grader.training_data.read.format_detection import bare, open_jsonl, unchanged, whole_lines
from grader.training_data.read.lines import Line

_DIGEST_BYTES: Final = 16  # two of a billion examples collide with a chance below 1e-20


@dataclass(frozen=True, slots=True)
class DroppedLine:
    """A dropped line, the earlier line that it repeats, and whether it is only a near copy."""

    line: int
    earlier: int
    near: bool


@dataclass(frozen=True, slots=True)
class Deduped:
    """What `dedupe` did.

    `dropped` are the first DATA_KEPT_FAULTS dropped lines in order. `unusable` lines hold no
    example and were kept. `searched` is how many examples were compared for near copies.
    """

    lines_read: int
    lines_written: int
    copies: int
    near_copies: int
    dropped: tuple[DroppedLine, ...]
    unusable: Occurrences
    searched: int


def dedupe(path: Path, out: Path, *, near: bool = False) -> Deduped:
    """Write the file at `path` without copies of earlier examples to a new file at `out`.

    Copies are what JSL602 reports: system text, prompt and answer are equal but for case, white
    space and Unicode form, and tools, images, weights, calls beside an answer and the rejected
    answer are equal. With `near`, what JSL603 reports is dropped as well, but for examples with
    weights or such calls.
    Other lines keep their bytes. Memory: a digest of each example, and the texts that
    `grader.training_data.examples.duplicates` compares.

    Raises UsageError if the file cannot be read or is no JSONL at all, if a line is longer than
    DATA_MAX_LINE_BYTES, and if `out` exists or cannot be made.
    """
    with new_file(out) as file, unchanged(path):
        search = _DuplicateSearch(near)
        with open_jsonl(path) as text:
            for line in whole_lines(text):
                search.add(line)
        dropped = search.dropped()
        with open_jsonl(path) as text:
            for line in whole_lines(text):
                if line.number not in dropped:
                    file.write(line.raw + b"\n")
    near_copies = sum(one.near for one in dropped.values())
    return Deduped(
        lines_read=search.read,
        lines_written=search.read - len(dropped),
        copies=len(dropped) - near_copies,
        near_copies=near_copies,
        dropped=tuple(dropped[line] for line in sorted(dropped)[:DATA_KEPT_FAULTS]),
        unusable=search.unusable,
        searched=len(search.near_index.texts),
    )


def copy_digest(fingerprint: Fingerprint) -> bytes:
    """Equal, in one run of the program, for examples that are copies of each other."""
    parts = (
        fingerprint.system,
        fingerprint.folded_prompt,
        fingerprint.folded_answer,
        fingerprint.rejected,
        str(fingerprint.prompt_extras),
        str(fingerprint.answer_extras),
    )
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=_DIGEST_BYTES).digest()


class _DuplicateSearch:
    """Reads all lines once, then decides which to drop."""

    def __init__(self, near: bool) -> None:
        self.read = 0
        self.unusable = Occurrences()
        self.near_index = NearIndex(NEAR_MAX_TEXTS if near else 0)
        self._first: dict[bytes, int] = {}  # digest of an example -> its first line
        self._copies: dict[int, DroppedLine] = {}

    def add(self, line: Line) -> None:
        """Read the next line."""
        self.read = line.number
        raw = bare(line.raw)
        example = next(examples_of([Line(line.number, raw)]), None)
        if example is None:
            if raw.strip():
                self.unusable = self.unusable.and_line(line.number)
            return
        fingerprint = read(example)
        first = self._first.setdefault(copy_digest(fingerprint), line.number)
        if first != line.number:
            self._copies[line.number] = DroppedLine(line.number, first, near=False)
        elif not fingerprint.prompt_extras and not fingerprint.answer_extras:
            self.near_index.add(line.number, near_text(fingerprint))

    def dropped(self) -> dict[int, DroppedLine]:
        """All lines to drop, by line number."""
        lines = self.near_index.lines
        near = {
            lines[i]: DroppedLine(lines[i], lines[j], near=True)
            for i, j in near_texts(self.near_index.texts)
        }
        return self._copies | near

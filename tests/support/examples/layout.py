"""Examples of LAY0xx and LAY1xx: what is submitted, and archives."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from grader.core.constants import INTAKE_MAX_DEPTH, INTAKE_MAX_STUDENT_CHARS, MIB
from grader.core.nouns import Evidence
from support.examples.writers import (
    COMPLETE,
    Examples,
    Writer,
    archive,
    complete_without,
    raw_archive,
    with_files,
)
from support.zips import Entry, zip_bytes

_NOTE = Entry("notes.md", b"One note.\n")

_LINK = Entry("notes.md", b"/etc/passwd", mode=stat.S_IFLNK | 0o777)

_SHARED = Entry("two.md", b"One note.\n", offset=0, local_name=b"two.md")


def _same_student(folder: Path) -> Mapping[str, Evidence]:
    """Two submissions under one name."""
    with_files("notes.md", adapter=False)(folder)
    return archive(_NOTE)(folder)


def _named(name: str) -> Writer:
    return raw_archive(zip_bytes([_NOTE]), name)


EXAMPLES: Examples = {
    "LAY001": (COMPLETE, with_files("homework.txt", adapter=False)),
    "LAY002": (COMPLETE, with_files("old/reflection.md", "new/reflection.md", "notes.md")),
    "LAY003": (
        complete_without("dspy_report.md"),
        complete_without("dspy_report.md", "metrics.json"),
    ),
    "LAY004": (COMPLETE, with_files("reflection.md", adapter=False)),
    "LAY010": (COMPLETE, complete_without("dspy_report.md")),
    "LAY020": (COMPLETE, complete_without("openai_train.jsonl")),
    "LAY021": (COMPLETE, complete_without("cost_analysis.json")),
    "LAY022": (COMPLETE, complete_without("openai_train.jsonl")),
    "LAY030": (COMPLETE, complete_without("inference.py")),
    "LAY040": (COMPLETE, complete_without("comparative_analysis.md")),
    "LAY041": (COMPLETE, complete_without("reflection.md")),
    "LAY101": (archive(_NOTE, comment=b"of s01"), raw_archive(b"Rar!\x1a\x07\x01\x00 not a zip")),
    "LAY102": (archive(_NOTE), archive(Entry("notes.md", b"One note.\n", crc=1))),
    "LAY103": (archive(Entry("work/..notes.md", b"n")), archive(Entry("../notes.md", b"n"))),
    "LAY104": (archive(_NOTE), archive(_LINK)),
    "LAY105": (archive(_NOTE), archive(Entry("notes.md", b"n", method=0, size=2048 * MIB))),
    "LAY106": (
        archive(Entry("zeros.txt", bytes(3 * MIB))),
        archive(Entry("zeros.txt", bytes(5 * MIB))),
    ),
    "LAY107": (archive(_NOTE), archive(_NOTE, count=60_000)),
    "LAY108": (
        archive(Entry("a/notes.md", b"1"), Entry("b/Notes.md", b"2")),
        archive(Entry("notes.md", b"1"), Entry("Notes.md", b"2")),
    ),
    "LAY109": (archive(_NOTE), archive(Entry("notes.md", b"One note.\n", flags=1))),
    "LAY110": (archive(Entry("notes.md", b"n", flags=8)), archive(_NOTE, _SHARED)),
    "LAY111": (
        archive(Entry("notes.md", b"n", method=0)),
        archive(Entry("notes.md", b"n", method=14)),
    ),
    "LAY112": (
        archive(Entry("d/" * INTAKE_MAX_DEPTH + "notes.md", b"n")),
        archive(Entry("d/" * (INTAKE_MAX_DEPTH + 1) + "notes.md", b"n")),
    ),
    "LAY113": (archive(Entry("nötes.md", b"n")), archive(Entry("notes\u202edm.exe", b"n"))),
    "LAY114": (
        archive(_NOTE),
        archive(Entry("__MACOSX/._notes.md", b"n"), Entry(".DS_Store", b"n")),
    ),
    "LAY115": (archive(_NOTE), _same_student),
    "LAY116": (
        _named("s" * INTAKE_MAX_STUDENT_CHARS + ".zip"),
        _named("s" * (INTAKE_MAX_STUDENT_CHARS + 1) + ".zip"),
    ),
}

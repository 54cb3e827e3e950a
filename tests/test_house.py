"""Rooms and files stay small enough to be read as a whole."""

from __future__ import annotations

from support.paths import ROOT

PROGRAMS = ROOT / "grader" / "escapes" / "programs"  # a list, not a room


def test_no_room_has_more_than_twenty_files() -> None:
    rooms = [path.parent for path in (ROOT / "grader").rglob("__init__.py")]
    crowded = {
        str(room.relative_to(ROOT)): number
        for room in rooms
        if room != PROGRAMS and (number := len(list(room.glob("*.py")))) > 20
    }
    assert not crowded


def test_no_file_has_more_than_400_lines() -> None:
    files = (ROOT / "grader").rglob("*.py")
    lengths = {str(path.relative_to(ROOT)): len(path.read_bytes().splitlines()) for path in files}
    assert not {path: lines for path, lines in lengths.items() if lines > 400}

"""Compares two graded classes student by student: what differs in their result.json files.

Usage: python scripts/compare_results.py OLD_OUT NEW_OUT

Keys, digests of versions, and times count as equal; anything else is printed with its place. Exits
with 1 where grades differ.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_NOT_COMPARED = ("provenance",)


def results(out: Path) -> dict[str, Any]:
    """Student -> result.json of every graded submission below `out`."""
    files = [*out.glob("students/*/result.json"), *out.glob("staff/*/result.json")]
    return {path.parent.name: json.loads(path.read_text("utf-8")) for path in files}


def differences(old: Any, new: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(place, old, new) of each leaf that differs; findings are matched by code."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if not place and key in _NOT_COMPARED:
                continue
            yield from differences(old.get(key), new.get(key), f"{place}/{key}")
    elif isinstance(old, list) and isinstance(new, list):
        named = [
            {str(row.get("code", row.get("id"))): row for row in rows if isinstance(row, dict)}
            for rows in (old, new)
        ]
        if all(len(rows) == len(by) for rows, by in zip((old, new), named, strict=True)):
            yield from differences(named[0], named[1], place)
        elif old != new:
            yield place, old, new
    elif old != new:
        yield place, old, new


def main(old: Path, new: Path) -> int:
    """Print what differs and a count by kind of place."""
    before, after = results(old), results(new)
    for missing in sorted(before.keys() ^ after.keys()):
        print(f"{missing}: graded in one of the two alone")
    kinds: Counter[str] = Counter()
    grades = 0
    for student in sorted(before.keys() & after.keys()):
        for place, was, is_ in differences(before[student], after[student]):
            grades += place in ("/points", "/lower", "/upper", "/status") or "/criteria" in place
            kinds[place.rpartition("/")[2]] += 1
            print(f"{student} {place}\n  - {json.dumps(was)[:300]}\n  + {json.dumps(is_)[:300]}")
    same = len(before.keys() & after.keys())
    print(f"{same} students in both; differences in grades: {grades}; by kind: {dict(kinds)}")
    return int(grades > 0 or before.keys() != after.keys())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))

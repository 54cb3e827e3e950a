"""Counts the rooms of a checkout: files and lines of each, and the imports between them.

Usage: python scripts/house.py [CHECKOUT]. Imports in functions and under TYPE_CHECKING count, too.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path


def modules(package: Path) -> dict[str, Path]:
    """Dotted name -> file of every module; hostile programs are data and are left out."""
    files = (path for path in package.rglob("*.py") if "programs" not in path.parts[:-1])
    return {
        ".".join(path.relative_to(package.parent).with_suffix("").parts): path for path in files
    }


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of this package that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def room(name: str, package: Path) -> str:
    """The top room that a module lies in, "hall" for modules of the package itself."""
    first = name.split(".")[1] if "." in name else ""
    return first if (package / first).is_dir() else "hall"


def main(checkout: Path) -> None:
    """Print a line a room, the widest rooms and the number of arrows between rooms."""
    package = checkout / "grader"
    known = modules(package)
    lines = {name: len(path.read_text("utf-8").splitlines()) for name, path in known.items()}
    arrows: dict[str, set[str]] = {}
    for name, path in known.items():
        here = room(name, package)
        for target in imports(path, known):
            if target.startswith("grader.") and room(target, package) != here:
                arrows.setdefault(here, set()).add(room(target, package))
    rooms = Counter(room(name, package) for name in known)
    for name, count in sorted(rooms.items()):
        total = sum(n for module, n in lines.items() if room(module, package) == name)
        below = " ".join(sorted(arrows.get(name, ())))
        print(f"{name:15} {count:4} files {total:6} lines  -> {below}")
    widest = Counter(str(path.parent.relative_to(checkout)) for path in known.values())
    print("widest:", ", ".join(f"{folder} {count}" for folder, count in widest.most_common(5)))
    longest = sorted(lines.items(), key=lambda row: row[1])[-3:]
    print("longest:", ", ".join(f"{name} {count}" for name, count in longest))
    print(
        f"{len(known)} files, {sum(lines.values())} lines, "
        f"{sum(map(len, arrows.values()))} arrows between rooms"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "."))

"""Lint, types and tests of one file, in seconds. Usage: python scripts/check_file.py PATH

The tests of a module are those of its own name in its room; without any, those of its room that
import it; without any, all of its room. Live tests are left out but for their sample.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
_BIN: Final = Path(sys.executable).parent


def main() -> int:
    """Run all four, and return 1 when one of them failed."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        print("Name one file: make check FILE=grader/core/text.py", file=sys.stderr)
        return 2
    path = Path(sys.argv[1]).resolve().relative_to(ROOT)
    commands = [["ruff", "check", str(path)], ["ruff", "format", "--check", str(path)]]
    commands.append(["mypy", str(path)])
    tests = tests_of(path)
    if tests:
        commands.append(["pytest", "--suite", "quick", *map(str, tests)])
    else:
        print(f"No test is about {path}.")
    failed = False
    for command, *arguments in commands:
        print(f"$ {command} {' '.join(arguments)}", flush=True)
        failed |= subprocess.run([_BIN / command, *arguments], cwd=ROOT).returncode != 0
    return int(failed)


def tests_of(path: Path) -> list[Path]:
    """The test files of a file, both below the root."""
    if path.name.startswith("test_"):
        return [path]
    everywhere = [file.relative_to(ROOT) for file in sorted((ROOT / "tests").rglob("test_*.py"))]
    base = Path(*path.parts[1:]) if path.parts[0] == "tests" else path
    module = ".".join(base.with_suffix("").parts).removesuffix(".__init__")
    name = re.compile(rf"\b{re.escape(module)}\b|{re.escape(path.stem)}\.py")
    importing = [file for file in everywhere if name.search((ROOT / file).read_text())]
    if path.parts[0] != "grader":
        return importing
    room = Path("tests", *path.parts[1:-1])
    here = [file for file in everywhere if room in file.parents]
    own = [file for file in here if file.stem.startswith(f"test_{path.stem}")]
    return own or [file for file in here if file in importing] or here or importing


if __name__ == "__main__":
    sys.exit(main())

"""Regenerate `starter/<assignment>/` from `solutions/<assignment>/`: run after every change there.

python scripts/make_starter.py [ASSIGNMENT...]
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from grader.assignment.kit import starter_files
from grader.core.errors import UsageError

ROOT = Path(__file__).parent.parent


def main(assignments: list[str]) -> int:
    """Write the starters of these assignments, or of all that have a solution."""
    for assignment in assignments or sorted(
        path.name for path in (ROOT / "solutions").iterdir() if path.is_dir()
    ):
        try:
            files = starter_files(assignment)
        except UsageError as error:
            print(error, file=sys.stderr)
            return 2
        folder = ROOT / "starter" / assignment
        shutil.rmtree(folder, ignore_errors=True)  # what the solution no longer has goes too
        for name, contents in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(contents)
        print(f"starter/{assignment}: {len(files)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

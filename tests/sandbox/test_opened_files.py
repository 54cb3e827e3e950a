"""Which staged files a program opens, in every way that it has, on each backend."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from support.sandbox_runs import SMALL

from grader.core.constants import SANDBOX_COPY_MAX_BYTES
from grader.core.files import files_below
from grader.sandbox.api import RunResult, RunSpec, Sandbox
from grader.sandbox.opened_files import MANY

NATIVE = """
import ctypes
libc = ctypes.CDLL(None)
libc.open(b"native.txt", 0)
"""
LINKED = """
import os
os.link("linked.txt", "/box/other.txt") if os.path.isdir("/box") else os.link("linked.txt", "o.txt")
open("other.txt" if os.path.exists("other.txt") else "o.txt").read()
"""
MOVED = "import os\nos.rename('moved.txt', 'm.py')\nimport m\n"
BY_A_CHILD = "import subprocess\nsubprocess.run(['/bin/cat', 'child.txt'], check=True)\n"
LARGE = "open('large.bin', 'rb').read(1)\n"


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    home = tmp_path / "submission"
    (home / "folder").mkdir(parents=True)
    for name in ("native", "linked", "moved", "child", "folder/python", "untouched"):
        (home / f"{name}.txt").write_text("a = 1\n")
    with (home / "large.bin").open("wb") as file:
        file.truncate(SANDBOX_COPY_MAX_BYTES + 1)
    return home


def ended(sandbox: Sandbox, program: str, submission: Path, *, watched: bool = True) -> RunResult:
    spec = RunSpec(
        files_below(submission),
        "main.py",
        inputs={"main.py": textwrap.dedent(program).encode()},
        limits=SMALL,
        watched=watched,
    )
    result = sandbox.run(spec)
    assert result.verdict == "ok", result.stderr.decode()
    return result


@pytest.mark.parametrize(
    ("program", "opened"),
    [
        ("import os\nos.stat('untouched.txt'), os.listdir('folder')\n", None),
        ("open('folder/python.txt').read()\n", "folder/python.txt"),
        (NATIVE, "native.txt"),
        (LINKED, "linked.txt"),
        (MOVED, "moved.txt"),
        (BY_A_CHILD, "child.txt"),
        (LARGE, "large.bin"),
    ],
    ids=["none", "python", "native", "linked", "moved", "child", "large"],
)
def test_a_file_that_is_opened_in_any_way_is_seen(
    sandbox: Sandbox, program: str, opened: str | None, submission: Path
):
    found = ended(sandbox, program, submission).opened
    assert found is not None
    assert set(found) == {"main.py", *([opened] if opened else [])}


def test_a_program_that_opens_a_file_again_and_again_hides_no_other(
    sandbox: Sandbox, submission: Path
):
    flood = "for _ in range(50_000):\n    open('native.txt').close()\nopen('child.txt').close()\n"
    found = ended(sandbox, flood, submission).opened
    assert found is not None
    assert set(found) == {"child.txt", "main.py", "native.txt"}
    assert found["native.txt"] >= MANY


def test_it_is_counted_how_often_a_file_is_opened(sandbox: Sandbox, submission: Path):
    program = "for _ in range(3):\n    open('native.txt').close()\n"
    assert ended(sandbox, program, submission).opened == {"main.py": 1, "native.txt": 3}


def test_without_a_wish_nothing_is_noted(sandbox: Sandbox, submission: Path):
    assert ended(sandbox, "open('native.txt')\n", submission, watched=False).opened is None


def test_the_size_of_all_that_a_program_made_is_known(sandbox: Sandbox, submission: Path):
    made = ended(sandbox, "open('new.bin', 'wb').write(b'1234')\n", submission).made_bytes
    assert made == {"new.bin": 4}

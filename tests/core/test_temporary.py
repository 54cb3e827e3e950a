"""Temporary folders of killed processes go at the next start; those of others stay."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from grader.core import temporary
from grader.core.temporary import NoRoom, prefix, require_room, sweep


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_by_a_process(place: Path) -> Path:
    """A folder with a file in it that a process left which has ended."""
    program = (
        "import tempfile, pathlib\n"
        "from grader.core.temporary import prefix\n"
        f"folder = tempfile.mkdtemp(prefix=prefix('class'), dir={str(place)!r})\n"
        "pathlib.Path(folder, 'weights').write_bytes(b'x')\n"
        "print(folder)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip())


def test_what_an_ended_process_left_is_removed_and_what_a_living_one_has_stays(place: Path) -> None:
    dead = left_by_a_process(place)
    mine = Path(tempfile.mkdtemp(prefix=prefix("class")))
    assert dead.is_dir()
    assert sweep() == 1
    assert not dead.exists()
    assert mine.is_dir()


def test_a_process_that_got_the_number_of_an_ended_one_is_another(place: Path) -> None:
    machine, process, started = prefix("class").split("-")[2:5]
    earlier = place / f"finegrade-class-{machine}-{process}-{int(started) + 1}-abcdefgh"
    earlier.mkdir()
    assert sweep() == 1
    assert not earlier.exists()


@pytest.mark.parametrize("why", ["other machine", "other user", "link", "other name"])
def test_nothing_else_is_touched(place: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    dead = left_by_a_process(place)
    kept = dead
    match why:
        case "other machine":
            parts = dead.name.split("-")
            kept = dead.rename(place / "-".join([*parts[:2], "0" * 8, *parts[3:]]))
        case "other user":
            monkeypatch.setattr(os, "getuid", lambda: 12_345)
        case "link":
            kept = dead.rename(place / "target")
            dead.symlink_to(kept)
        case "other name":
            kept = dead.rename(place / f"my-{dead.name}")
    assert sweep() == 0
    assert (kept / "weights").read_bytes() == b"x"


def test_too_little_room_is_told_with_what_is_needed_and_what_there_is(tmp_path: Path) -> None:
    require_room(tmp_path, 1, "Nothing much")
    with pytest.raises(NoRoom, match=r"Unpacking it needs \d+ MiB in .*; \d+ MiB are free there"):
        require_room(tmp_path, 1 << 60, "Unpacking it")


def test_a_machine_without_proc_sweeps_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There "0" stands for every start, so that nobody's folder is taken for an ended one's."""
    monkeypatch.setattr(temporary, "_started", lambda process: "0")
    mine = Path(tempfile.mkdtemp(prefix=prefix("class")))
    assert sweep() == 0
    assert mine.is_dir()

"""What is handed to a sandbox: the files of a submission, the inputs over them, nothing else."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from grader.core.constants import SANDBOX_COPY_MAX_BYTES
from grader.core.errors import GraderFault
from grader.core.files import files_below
from grader.intake.find import FoundSubmission
from grader.intake.submission import take_in
from grader.sandbox.api import RunSpec
from grader.sandbox.staging import StagedFiles


def staged(launch: RunSpec) -> dict[str, bytes]:
    with closing(StagedFiles(launch, public=False)) as found:
        return {path: os.pread(fd, 1000, 0) for path, _, fd in found.files}


def test_files_and_inputs_with_their_folders(tmp_path: Path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c.py").write_text("student")
    (tmp_path / "d.py").write_text("student")
    launch = RunSpec(files_below(tmp_path), "d.py", inputs={"d.py": b"grader", "x/y/z": b"input"})
    assert staged(launch) == {"a/b/c.py": b"student", "d.py": b"grader", "x/y/z": b"input"}
    with closing(StagedFiles(launch, public=False)) as found:
        assert found.folders == ["a", "a/b", "x", "x/y"]


def test_only_what_is_listed_is_staged(tmp_path: Path):
    for folder in ("venv", ".idea", "__MACOSX"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "code.py").write_text("not hashed, not checked")
    (tmp_path / "a.py").write_text("x")
    submission = take_in(FoundSubmission("s01", tmp_path), tmp_path)
    assert staged(RunSpec(submission.paths(), "a.py")) == {"a.py": b"x"}


@pytest.mark.parametrize("make", [lambda p: p.symlink_to("/etc/passwd"), os.mkfifo])
def test_a_listed_file_that_became_something_else_is_the_graders_fault(make, tmp_path: Path):
    make(tmp_path / "a.py")
    with pytest.raises(GraderFault):
        staged(RunSpec({"a.py": tmp_path / "a.py"}, "a.py"))


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "", "a\0b", "."])
def test_an_input_stays_in_the_working_folder(path: str):
    with pytest.raises(GraderFault, match="working folder"):
        StagedFiles(RunSpec({}, "x", inputs={path: b""}), public=False)


def test_a_file_that_is_not_there_is_the_graders_fault(tmp_path: Path):
    with pytest.raises(GraderFault, match="cannot be read"):
        StagedFiles(RunSpec({"x": tmp_path / "none"}, "x"), public=False)


def test_a_large_private_file_is_copied_for_the_other_user_and_the_copy_goes_away(tmp_path: Path):
    large = tmp_path / "large"
    large.write_bytes(b"x" * (SANDBOX_COPY_MAX_BYTES + 1))
    large.chmod(0o600)
    with closing(StagedFiles(RunSpec(files_below(tmp_path), "x"), public=True)) as found:
        copy = found.large["large"]
        assert copy != large
        assert copy.stat().st_mode & 0o004
        assert copy.read_bytes() == large.read_bytes()
    assert not copy.exists()
    with closing(StagedFiles(RunSpec(files_below(tmp_path), "x"), public=False)) as found:
        assert found.large == {"large": large}


def test_nothing_stays_open(tmp_path: Path):
    for at in range(20):
        (tmp_path / str(at)).write_text("x")
    before = len(os.listdir("/proc/self/fd"))
    staged(RunSpec(files_below(tmp_path), "x", inputs={"y": b""}))
    with pytest.raises(GraderFault):
        StagedFiles(RunSpec(files_below(tmp_path), "x", inputs={"../y": b""}), public=False)
    assert len(os.listdir("/proc/self/fd")) == before

"""One list of files decides what is hashed, checked, staged and run."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from grader.core.errors import GraderFault
from grader.intake.find import FoundSubmission
from grader.intake.paths import JUNK
from grader.intake.submission import open_file, take_in
from grader.intake.unpacked import UnpackedSubmissions
from grader.sandbox.api import RunSpec
from grader.sandbox.staging import StagedFiles


def submitted(home: Path, junk: str) -> Path:
    """A submission with code in a folder of this name, at its top and deeper."""
    for folder in (home / junk, home / "part" / junk, home / "part"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "code.py").write_text("print('not looked at')\n")
    (home / "main.py").write_text("import part.code\n")
    return home


def staged(paths: dict[str, Path]) -> set[str]:
    with closing(StagedFiles(RunSpec(paths, "main.py"), public=False)) as files:
        return {path for path, _, _ in files.files} | set(files.large)


@pytest.mark.parametrize("junk", sorted(JUNK))
def test_what_is_hashed_is_what_is_checked_staged_and_unpacked(junk: str, tmp_path: Path) -> None:
    home = submitted(tmp_path / "s01", junk)
    archive = Path(shutil.make_archive(str(tmp_path / "s01"), "zip", home))
    folder = take_in(FoundSubmission("s01", home), tmp_path / "taken")
    submissions = UnpackedSubmissions(tmp_path, ())
    unpacked = submissions.take_in(FoundSubmission("s01", archive))
    listed = {"main.py", "part/code.py"}
    for submission in (folder, unpacked):
        assert {file.path for file in submission.files} == listed
        assert staged(submission.paths()) == listed
        with pytest.raises(GraderFault, match="never part of this submission"):
            open_file(submission, f"{junk}/code.py")
    assert folder.digest == unpacked.digest
    there = {
        os.path.relpath(os.path.join(at, name), unpacked.root)
        for at, _, names in os.walk(unpacked.root)
        for name in names
    }
    assert there == listed

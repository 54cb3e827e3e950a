"""Archives are unpacked while something reads them, and are what was taken in."""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path

import pytest

from grader.core.constants import UNPACKED_AT_ONCE
from grader.core.errors import GraderFault, IntakeError
from grader.core.nouns import Submission
from grader.core.temporary import NoRoom
from grader.intake import unpacked
from grader.intake.find import Extent, FoundSubmission, find_submissions
from grader.intake.submission import read_file, taken_from
from grader.intake.unpacked import UnpackedSubmissions


def packed(folder: Path, student: str, text: str = "print(1)\n") -> None:
    with zipfile.ZipFile(folder / f"{student}.zip", "w") as archive:
        archive.writestr("main.py", text)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "class").mkdir()
    (tmp_path / "work").mkdir()
    return tmp_path


def a_class(place: Path, number: int) -> tuple[UnpackedSubmissions, list[FoundSubmission]]:
    for n in range(number):
        packed(place / "class", f"s{n:02d}", f"print({n})\n")
    found = find_submissions([place / "class"], Extent.CLASS).submissions
    return UnpackedSubmissions(place / "work", ()), list(found)


def there(place: Path) -> int:
    return len(list((place / "work").iterdir()))


def text(submission: Submission) -> bytes:
    return read_file(submission, "main.py", 100)


def test_few_are_unpacked_however_large_the_class_is(place: Path) -> None:
    submissions, found = a_class(place, 12)
    taken = []
    for one in found:
        taken.append(submissions.take_in(one))
        assert there(place) <= UNPACKED_AT_ONCE
    for n, submission in enumerate(taken):
        with submissions.held(submission.student):
            assert text(submission) == f"print({n})\n".encode()
            assert there(place) <= UNPACKED_AT_ONCE + 1


def test_what_is_read_stays_as_long_as_anybody_reads_it(place: Path) -> None:
    submissions, found = a_class(place, 8)
    taken = [submissions.take_in(one) for one in found]
    with submissions.held("s00"):
        for other in taken[1:]:
            with submissions.held(other.student), submissions.held("s00"):
                pass
        assert text(taken[0]) == b"print(0)\n"


@pytest.mark.parametrize("how", ["zip", "folder"])
def test_a_submission_that_changed_meanwhile_is_noticed(place: Path, how: str) -> None:
    submissions, found = a_class(place, 6)
    if how == "folder":
        (place / "class" / "s06").mkdir()
        (place / "class" / "s06" / "main.py").write_text("print(1)\n")
        found += [FoundSubmission("s06", place / "class" / "s06")]
    for one in found:
        submissions.take_in(one)
    if how == "zip":
        packed(place / "class", "s00", "print(2)\n")
    else:
        (place / "class" / "s06" / "main.py").write_text("print(2)\n")
    changed = "s00" if how == "zip" else "s06"
    for _ in range(2):
        with (
            pytest.raises(GraderFault, match=f"{changed}.* changed while it was graded"),
            submissions.held(changed),
        ):
            pass
    with submissions.held("s01"):
        pass


def test_a_folder_that_was_only_touched_is_the_same(place: Path) -> None:
    home = place / "class" / "s00"
    home.mkdir()
    (home / "main.py").write_text("print(1)\n")
    submissions = UnpackedSubmissions(place / "work", ())
    submission = submissions.take_in(FoundSubmission("s00", home))
    (home / "main.py").touch()
    with submissions.held("s00"):
        assert text(submission) == b"print(1)\n"


def test_without_room_others_make_some_and_else_it_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that holds two submissions."""
    submissions, found = a_class(place, 4)

    def small(one: FoundSubmission, own: Path | None, deliverables: object) -> Submission:
        if there(place) >= 2:
            raise NoRoom("Unpacking it needs 1 MiB in /tmp, and 0 MiB are free there.")
        return taken_from(one, own)

    monkeypatch.setattr(unpacked, "taken_from", small)
    for one in found:
        submissions.take_in(one)
    both = [submissions.held(student) for student in ("s00", "s01")]
    for held in both:
        held.__enter__()
    done = threading.Event()

    def third() -> None:
        with submissions.held("s02"):
            done.set()

    waits = threading.Thread(target=third)
    waits.start()
    assert not done.wait(0.2)
    both[0].__exit__(None, None, None)
    waits.join(30)
    assert done.is_set()
    both[1].__exit__(None, None, None)
    (place / "work" / "of another program").mkdir()
    (place / "work" / "and another").mkdir()
    with pytest.raises(NoRoom), submissions.held("s03"):
        pass


def test_what_cannot_be_taken_in_leaves_nothing(place: Path) -> None:
    (place / "class" / "s00.zip").write_bytes(b"no archive")
    submissions, found = a_class(place, 0)
    with pytest.raises(IntakeError):
        submissions.take_in(found[0])
    assert there(place) == 0

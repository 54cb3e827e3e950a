"""Intake: what is a submission, whose it is, what is refused, and where its deliverables lie."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.zips import Entry, zip_bytes

from grader.core.errors import FileRefused, GraderFault, IntakeError, UsageError
from grader.core.nouns import Deliverable, Submission
from grader.intake.find import Extent, FoundSubmission, check_one, find_submissions, safe_name
from grader.intake.submission import read_file, take_in

NOTE = zip_bytes([Entry("notes.md", b"One note.\n")])


def files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
    return folder


def taken(folder: Path, tmp_path: Path, *deliverables: Deliverable) -> Submission:
    return take_in(FoundSubmission("s01", folder), tmp_path / "work", deliverables)


def refusal(folder: Path, tmp_path: Path) -> str:
    with pytest.raises(IntakeError) as caught:
        taken(folder, tmp_path)
    assert caught.value.message.isprintable()
    assert str(tmp_path) not in caught.value.message
    return caught.value.code


# --- finding -----------------------------------------------------------------------------------

NAMES = ("notes.md", "report.md", "adapter")


def found_in(*paths: Path, extent: Extent | None = None) -> tuple[FoundSubmission, ...]:
    return find_submissions(paths, extent, NAMES).submissions


def test_the_callers_word_decides_and_not_what_lies_inside(tmp_path: Path) -> None:
    files(tmp_path / "alice", "bob/notes.md", "submissions.csv")
    (one,) = found_in(tmp_path / "alice", extent=Extent.ONE)
    assert one.student == "alice"
    (tmp_path / "alice" / "submissions.csv").write_text("student,submitted_at\n")
    (one,) = found_in(tmp_path / "alice", extent=Extent.CLASS)
    assert one.student == "bob"


def test_what_was_a_submission_before_is_one_again(tmp_path: Path) -> None:
    alice = files(tmp_path / "class" / "alice", "bob/notes.md").resolve()
    (one,) = find_submissions([alice], None, NAMES, known={str(alice)}).submissions
    assert (one.student, one.path) == ("alice", alice)


def test_a_folder_with_deliverables_is_refused_with_the_choice(tmp_path: Path) -> None:
    files(tmp_path / "s01", "notes.md", "adapter/a.txt")
    with pytest.raises(UsageError, match=r"holds adapter, notes.md.*--one.*--class"):
        found_in(tmp_path / "s01")
    assert found_in(tmp_path / "s01", extent=Extent.ONE)[0].path == tmp_path / "s01"


def test_a_folder_of_folders_and_archives_is_a_class(tmp_path: Path) -> None:
    files(tmp_path, "s02/notes.md", ".hidden", "__MACOSX/x")
    (tmp_path / "s01.ZIP").write_bytes(NOTE)
    assert [one.student for one in found_in(tmp_path)] == ["s01", "s02"]


def test_other_files_of_a_class_are_named_and_left_out(tmp_path: Path) -> None:
    files(tmp_path, "s01/notes.md", "metadata.yml", "grades.csv", "s02.rar")
    found = find_submissions([tmp_path], None, NAMES)
    assert [path.name for path in found.left_out] == ["grades.csv", "metadata.yml"]
    assert [one.student for one in found.submissions] == ["s01", "s02.rar"]
    with pytest.raises(IntakeError) as caught:
        take_in(found.submissions[1], tmp_path / "work")
    assert caught.value.code == "LAY101"


@pytest.mark.parametrize(
    "paths", [("s1/notes.md", "s2/notes.md"), ("s1/adapter/a", "s2/adapter/a", "meta.yml")]
)
def test_a_class_is_not_checked_as_one_persons_work(paths: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="several students"):
        check_one(files(tmp_path, *paths), NAMES)


def test_several_archives_are_not_checked_as_one_persons_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="several students"):
        check_one(files(tmp_path, "a.zip", "b.zip", "c.rar"), NAMES)


@pytest.mark.parametrize(
    "paths",
    [("notes.md", "a.zip", "b.zip"), ("part1/notes.md", "part2/report.md"), ("all/notes.md",)],
)
def test_ones_own_work_is_checked_however_it_is_laid_out(
    paths: tuple[str, ...], tmp_path: Path
) -> None:
    check_one(files(tmp_path, *paths), NAMES)


def test_several_paths_and_the_same_one_twice(tmp_path: Path) -> None:
    files(tmp_path, "class/s01/a.md", "class/s02/a.md", "more/s03/a.md")
    found = found_in(tmp_path / "more", tmp_path / "class", tmp_path / "class")
    assert [one.student for one in found] == ["s01", "s02", "s03"]
    assert not any(one.refusal for one in found)


def test_a_students_folder_with_one_archive_stands_for_the_archive(tmp_path: Path) -> None:
    (tmp_path / "s01").mkdir()
    (tmp_path / "s01" / "my work.zip").write_bytes(NOTE)
    files(tmp_path, "s02/a.md")
    first = found_in(tmp_path)[0]
    assert (first.student, first.path.name) == ("s01", "my work.zip")


@pytest.mark.parametrize("name", ["missing", "notes.txt", "empty"])
def test_nothing_to_grade_is_a_usage_error(name: str, tmp_path: Path) -> None:
    files(tmp_path, "notes.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError):
        found_in(tmp_path / name)


@pytest.mark.parametrize("name", ["s" * 129, "a\u202eb", "a\x1bb", "a\\b", "a\u200bb"])
def test_an_unusable_name_is_refused_alone(name: str, tmp_path: Path) -> None:
    files(tmp_path, "s01/a.md", f"{name}/a.md")
    found = found_in(tmp_path)
    assert [one.refusal.code for one in found if one.refusal] == ["LAY116"]
    assert all(one.student.isprintable() for one in found)
    assert len(found) == 2


def test_a_zip_without_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / " .zip").write_bytes(NOTE)
    found = found_in(tmp_path)
    assert [one.refusal.code for one in found if one.refusal] == ["LAY116"]


def test_one_name_for_two_entries_refuses_both_and_nobody_else(tmp_path: Path) -> None:
    files(tmp_path, "s01/a.md", "S02/a.md", "s02/a.md", "s03/a.md")
    (tmp_path / "s01.zip").write_bytes(NOTE)
    found = found_in(tmp_path)
    codes = {one.student: one.refusal.code if one.refusal else None for one in found}
    assert codes == {"s01": "LAY115", "S02": "LAY115", "s02": "LAY115", "s03": None}


PERSIAN, BARE = "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "\u0639\u0644\u06cc\u0631\u0636\u0627"


def test_a_joiner_between_letters_that_need_it_is_spelling(tmp_path: Path) -> None:
    files(tmp_path, f"{PERSIAN}/a.md", "s02/a.md")
    assert [(one.student, one.refusal) for one in found_in(tmp_path)][1] == (PERSIAN, None)


def test_two_names_that_look_the_same_refuse_both(tmp_path: Path) -> None:
    files(tmp_path, f"{PERSIAN}/a.md", f"{BARE}/a.md", "s02/a.md")
    codes = [one.refusal.code for one in found_in(tmp_path) if one.refusal]
    assert codes == ["LAY115", "LAY115"]


def test_a_link_among_the_submissions_is_refused(tmp_path: Path) -> None:
    files(tmp_path, "elsewhere/a.md", "class/s01/a.md")
    (tmp_path / "class" / "s02").symlink_to(tmp_path / "elsewhere")
    found = found_in(tmp_path / "class")
    assert [one.refusal.code if one.refusal else None for one in found] == [None, "LAY104"]
    with pytest.raises(IntakeError):
        take_in(found[1], tmp_path / "work")


def test_a_link_that_the_instructor_names_is_followed(tmp_path: Path) -> None:
    files(tmp_path, "class/s01/a.md", "class/s01/b.md")
    (tmp_path / "latest").symlink_to(tmp_path / "class")
    assert [one.student for one in found_in(tmp_path / "latest")] == ["s01"]


def test_times_come_from_the_instructors_record(tmp_path: Path) -> None:
    files(tmp_path, "s01/a.md", "s02/a.md")
    (tmp_path / "submissions.csv").write_text("student,submitted_at\ns01,2026-03-01T10:00:00Z\n")
    found = found_in(tmp_path)
    assert [one.submitted_at for one in found] == ["2026-03-01T10:00:00+00:00", None]
    assert take_in(found[0], tmp_path / "work").submitted_at == "2026-03-01T10:00:00+00:00"


# --- names of output folders -------------------------------------------------------------------


def test_a_submission_named_itself_has_the_same_time_as_in_its_class(tmp_path: Path) -> None:
    files(tmp_path, "s01/notes.md")
    (tmp_path / "submissions.csv").write_text("student,submitted_at\ns01,2026-03-01T12:00:00Z\n")
    assert found_in(tmp_path / "s01", extent=Extent.ONE) == found_in(tmp_path)


def test_one_folder_that_cannot_be_read_does_not_stop_the_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files(tmp_path, "s01/notes.md", "s02/notes.md")
    whole = Path.iterdir

    def locked(self: Path) -> Iterator[Path]:
        if self.name == "s01":
            raise PermissionError(13, "Permission denied")
        return whole(self)

    monkeypatch.setattr(Path, "iterdir", locked)
    assert [one.student for one in found_in(tmp_path)] == ["s01", "s02"]


def test_plain_logins_stay_as_they_are() -> None:
    assert safe_name("s07-few-examples") == "s07-few-examples"


@given(st.text(min_size=1, max_size=130))
def test_any_name_gives_a_folder_name_that_is_safe_everywhere(student: str) -> None:
    if any("\ud800" <= c <= "\udfff" for c in student):
        return
    name = safe_name(student)
    assert not set(name) & set('<>:"/\\|?*\0')
    assert name.isprintable()
    assert name not in (".", "..")
    assert name[-1] not in ". "
    assert len(name.encode()) <= 255
    assert name.split(".")[0].lower() not in ("con", "prn", "aux", "nul", "com1", "lpt9")


def test_names_that_some_systems_take_for_one_stay_apart() -> None:
    students = ["s01", "S01", "s 01", "s-01", "nul", "nul-" + "0" * 10, "s01.", "é", "e\u0301"]
    students += [safe_name("S01"), safe_name(safe_name("S01"))]
    names = {safe_name(student).casefold() for student in students}
    assert len(names) == len(students)


# --- taking in ---------------------------------------------------------------------------------


def test_a_folder_and_its_archive_have_one_digest(tmp_path: Path) -> None:
    folder = files(tmp_path / "s01", "a.md", "adapter/b.txt", ".venv/x", "sub/.DS_Store")
    inside = [Entry("adapter/b.txt", b"adapter/b.txt\n"), Entry("a.md", b"a.md\n")]
    (tmp_path / "flat.zip").write_bytes(zip_bytes(inside))
    wrapped = [Entry("top/"), *(Entry(f"top/{e.name!s}", e.data, method=0) for e in inside)]
    (tmp_path / "wrapped.zip").write_bytes(zip_bytes(wrapped))
    submissions = [taken(p, tmp_path) for p in (folder, *sorted(tmp_path.glob("*.zip")))]
    assert len({one.digest for one in submissions}) == 1
    assert [file.path for file in submissions[2].files] == ["a.md", "adapter/b.txt"]
    assert read_file(submissions[2], "a.md", 100) == b"a.md\n"


def test_the_digest_follows_paths_and_contents(tmp_path: Path) -> None:
    folder = files(tmp_path / "s01", "a.md", "b.md")
    before = taken(folder, tmp_path).digest
    (folder / "a.md").write_text("other")
    changed = taken(folder, tmp_path).digest
    (folder / "a.md").write_text("a.md\n")
    assert taken(folder, tmp_path).digest == before
    (folder / "b.md").rename(folder / "c.md")
    assert len({before, changed, taken(folder, tmp_path).digest}) == 3


def make_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path may have at most 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


SPECIAL: dict[str, Callable[[Path], object]] = {
    "link to a file": lambda path: path.symlink_to("/etc/passwd"),
    "link to a folder": lambda path: path.symlink_to("/etc"),
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "pipe": os.mkfifo,
    "socket": make_socket,
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_refuses_what_is_neither_file_nor_folder(kind: str, tmp_path: Path) -> None:
    folder = files(tmp_path / "s01", "a.md", "sub/b.md")
    SPECIAL[kind](folder / "sub" / "thing")
    assert refusal(folder, tmp_path) == "LAY104"


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["a.md", "a\u202eb.md"], "LAY113"),
        (["a.md", "a\nb.md"], "LAY113"),
        (["a.md", "a\\b.md"], "LAY103"),
        (["a.md", "A.md"], "LAY108"),
        (["a.md", "d/" * 17 + "b.md"], "LAY112"),
        (["a.md", "x" * 120 + "/" + "y" * 120], "LAY112"),
    ],
)
def test_folders_obey_the_rules_of_archives(names: list[str], code: str, tmp_path: Path) -> None:
    assert refusal(files(tmp_path / "s01", *names), tmp_path) == code


def test_a_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    folder = files(tmp_path / "s01", "a.md")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.md")).write_text("n")
    assert refusal(folder, tmp_path) == "LAY113"


def test_refuses_too_many_and_too_large_files(tmp_path: Path) -> None:
    folder = files(tmp_path / "many", *(f"{i}.md" for i in range(2001)))
    assert refusal(folder, tmp_path) == "LAY107"
    large = files(tmp_path / "large", "a.md")
    os.truncate(large / "a.md", 513 * 1024 * 1024)  # a hole: takes no room on the disk
    assert refusal(large, tmp_path) == "LAY105"


def test_an_endless_nest_of_folders_ends(tmp_path: Path) -> None:
    folder = files(tmp_path / "s01", "a.md")
    for i in range(4001):
        (folder / str(i)).mkdir()
    assert refusal(folder, tmp_path) == "LAY107"


def test_nothing_inside_is_refused(tmp_path: Path) -> None:
    assert refusal(files(tmp_path / "s01", ".venv/x", "sub/.DS_Store"), tmp_path) == "LAY114"


def test_a_refused_archive_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "s01.zip").write_bytes(zip_bytes([Entry("a", b"1"), Entry("b", b"2", crc=3)]))
    assert refusal(tmp_path / "s01.zip", tmp_path) == "LAY102"
    assert list((tmp_path / "work").iterdir()) == []


# --- reading -----------------------------------------------------------------------------------


def test_reading_is_bounded(tmp_path: Path) -> None:
    submission = taken(files(tmp_path / "s01", "a.md"), tmp_path)
    assert read_file(submission, "a.md", 5) == b"a.md\n"
    with pytest.raises(FileRefused) as caught:
        read_file(submission, "a.md", 4)
    assert caught.value.code == "LAY105"


def test_reading_notices_what_changed_since(tmp_path: Path) -> None:
    folder = files(tmp_path / "s01", "a.md", "sub/b.md")
    submission = taken(folder, tmp_path)
    (folder / "a.md").unlink()
    (folder / "a.md").symlink_to("/etc/passwd")
    files(tmp_path / "other", "b.md")
    (folder / "sub").rename(folder / "old")
    (folder / "sub").symlink_to(tmp_path / "other")
    for path in ("a.md", "sub/b.md"):
        with pytest.raises(FileRefused, match="LAY104"):
            read_file(submission, path, 100)
    with pytest.raises(GraderFault):
        read_file(submission, "never.md", 100)


def test_a_file_that_grew_is_the_machines_fault(tmp_path: Path) -> None:
    folder = files(tmp_path / "s01", "a.md")
    submission = taken(folder, tmp_path)
    files(folder, "a.md")
    (folder / "a.md").write_text("longer than before")
    with pytest.raises(GraderFault, match="changed"):
        read_file(submission, "a.md", 100)


# --- finding deliverables ----------------------------------------------------------------------

REPORT = Deliverable("report", "Report", ("report.md", "report.pdf"))
ADAPTER = Deliverable("adapter", "Adapter", ("adapter/",))


@pytest.mark.parametrize(
    ("names", "deliverable", "place"),
    [
        (["report.md", "old/report.md"], REPORT, "report.md"),
        (["report.pdf", "old/report.md"], REPORT, "report.pdf"),
        (["work/report.pdf", "a.md"], REPORT, "work/report.pdf"),
        (["myreport.md", "a.md"], REPORT, None),
        (["adapter/x", "a.md"], ADAPTER, "adapter"),
        (["out/adapter/x", "out/adapter/y/z", "a.md"], ADAPTER, "out/adapter"),
        (["adapter", "a.md"], ADAPTER, None),
        (
            ["a.md", "adapter/README.md", "adapter/default/adapter_config.json"],
            ADAPTER,
            "adapter/default",
        ),
        (["adapter/adapter/adapter_config.json", "a.md"], ADAPTER, "adapter/adapter"),
        (["out/adapter/adapter/adapter_config.json", "a.md"], ADAPTER, "out/adapter/adapter"),
        (["adapter/checkpoint-24/adapter_config.json", "a.md"], ADAPTER, "adapter/checkpoint-24"),
        (
            ["adapter/adapter_config.json", "adapter/checkpoint-24/adapter_config.json"],
            ADAPTER,
            "adapter",
        ),
    ],
)
def test_where_a_deliverable_lies(
    names: list[str], deliverable: Deliverable, place: str | None, tmp_path: Path
) -> None:
    submission = taken(files(tmp_path / "s01", *names), tmp_path, deliverable)
    assert submission.place(deliverable.id) == place


@pytest.mark.parametrize(
    ("names", "deliverable"),
    [
        (["x/report.md", "y/report.md"], REPORT),
        (["x/adapter/a", "y/adapter/a"], ADAPTER),
        (["c.md", "adapter/a/adapter_config.json", "adapter/b/adapter_config.json"], ADAPTER),
    ],
)
def test_two_places_are_not_guessed_between(
    names: list[str], deliverable: Deliverable, tmp_path: Path
) -> None:
    submission = taken(files(tmp_path / "s01", *names), tmp_path, deliverable)
    with pytest.raises(FileRefused, match="LAY002"):
        submission.place(deliverable.id)


def test_an_unreadable_folder_is_the_machines_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = files(tmp_path / "s01", "a.md")

    def refuse(_: object) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("grader.intake.submission.os.listdir", refuse)
    with pytest.raises(GraderFault, match="Permission denied"):
        taken(folder, tmp_path)


def test_an_adapter_submitted_alone_is_found(tmp_path: Path) -> None:
    (tmp_path / "class" / "me" / "adapter").mkdir(parents=True)
    (tmp_path / "class" / "me" / "adapter" / "adapter_config.json").write_text("{}")
    (found,) = found_in(tmp_path / "class")
    submission = take_in(found, tmp_path / "work", [ADAPTER])
    assert submission.place(ADAPTER.id) == "adapter"

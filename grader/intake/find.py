"""Finds the submissions at a path on the instructor's disk.

The caller says whether a folder is one submission or a class: nothing that lies in it does, since
a student chose what lies in a submission. A folder of which the caller said nothing is a class,
unless it holds deliverables at its top: then it is refused with the choice. In a class each folder
and each archive is a submission, and a folder that holds a single .zip and nothing else stands for
that .zip (so downloads of Moodle work as they are); other files are named and left out.

Submission times come from the instructor's own record alone: `submissions.csv` in the class folder,
with the columns `student` (as the folder or archive is named) and `submitted_at` (ISO 8601; without
an offset it is UTC; empty when unknown).
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import stat
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from grader.core.constants import INTAKE_MAX_STUDENT_CHARS, SUBMISSIONS_CSV_MAX_BYTES
from grader.core.errors import IntakeError, UsageError
from grader.intake.paths import (
    hidden_characters,
    is_junk,
    not_regular,
    same_to_the_eye,
    shown,
)

SUBMISSIONS_CSV = "submissions.csv"
_COLUMNS = ("student", "submitted_at")
_PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}[a-z0-9]|[a-z0-9]")
_HASHED_NAME = re.compile(r".*-[0-9a-f]{10}")
_ARCHIVES = frozenset({".zip", ".rar", ".7z", ".tar", ".gz", ".tgz"})
_WINDOWS_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FoundSubmission:
    """A submission that was found but not opened. `refusal` says why it cannot be taken in."""

    student: str
    path: Path
    submitted_at: str | None = None
    refusal: IntakeError | None = None
    folder: Path | None = None
    """The student's folder, where the submission is the archive in it."""

    @property
    def place(self) -> str:
        """What was taken as this student's: the archive, or the folder."""
        return str(self.folder or self.path)


class Extent(StrEnum):
    """What the caller says that a folder holds."""

    CLASS = "class"
    ONE = "one"


@dataclass(frozen=True, slots=True)
class FoundClass:
    """Submissions in the order of their students' names, and files of a class that are none."""

    submissions: tuple[FoundSubmission, ...]
    left_out: tuple[Path, ...] = ()


def find_submissions(
    paths: Sequence[Path],
    extent: Extent | None = None,
    deliverables: Collection[str] = (),
    known: Collection[str] = (),
) -> FoundClass:
    """The submissions at these paths, one for each student's name.

    `extent` is the caller's word on folders. Without it, a folder that holds one of the names
    `deliverables` is refused with the choice, and one of `known` (paths that this grading took as
    submissions before) is one submission again. An entry with an unusable name (LAY116), a link
    (LAY104) or a name that another entry has as well (LAY115) comes with its refusal; the others
    are unaffected. Raises UsageError when a path is not there, holds nothing to grade or may be
    either, and for a bad `submissions.csv`.
    """
    found: dict[Path, FoundSubmission] = {}
    left_out: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist.")
        own = Extent.ONE if extent is None and str(path.resolve()) in known else extent
        for one in _found_at(path.resolve(), own, deliverables, left_out):
            found.setdefault(one.path, one)
    by_name: dict[str, list[FoundSubmission]] = {}
    for one in found.values():
        by_name.setdefault(_folded(one.student), []).append(one)
    students: dict[str, FoundSubmission] = {}
    for same in by_name.values():
        for one in same:
            students[one.student] = one if len(same) == 1 else _clash(one, same)
    return FoundClass(tuple(students[student] for student in sorted(students)), tuple(left_out))


def _found_at(
    path: Path, extent: Extent | None, deliverables: Collection[str], left_out: dict[Path, None]
) -> list[FoundSubmission]:
    if not path.is_dir():
        if path.suffix.lower() != ".zip":
            raise UsageError(f"{path} is neither a folder nor a .zip archive.")
        return [_alone(path)]
    if extent is Extent.ONE:
        return [_alone(path)]
    entries = _entries(path)
    if extent is None:
        own = [shown(entry.name) for entry in entries if entry.name in deliverables]
        if own:
            raise UsageError(
                f"{path} holds {', '.join(own[:3])}, as one submission does. Add --one to take it "
                "as one submission, or --class to take each folder and .zip in it as one."
            )
    usual = [e for e in entries if _is_folder(e) or _is_archive(e) or e.is_symlink()]
    left_out.update(dict.fromkeys(entry for entry in entries if entry not in usual))
    if not usual:
        raise UsageError(
            f"{path} holds nothing to grade: no folder and no .zip. If it is one submission "
            "itself, add --one."
        )
    times = read_times(path / SUBMISSIONS_CSV)
    found = [_found(entry, _stands_for(entry)) for entry in usual]
    return [replace(one, submitted_at=times.get(one.student)) for one in found]


def check_one(path: Path, deliverables: Collection[str]) -> None:
    """Raise UsageError for a folder that is plainly a class: two students' work is never merged.

    It holds archives, or two folders with the same deliverable, and no deliverable of its own.
    """
    if not path.is_dir():
        return
    entries = _entries(path.resolve())
    if any(entry.name in deliverables for entry in entries):
        return
    packed = [shown(entry.name) for entry in entries if _is_archive(entry)]
    held: dict[str, str] = {}
    twice: list[str] = []
    for entry in filter(_is_folder, entries):
        for name in sorted({one.name for one in _entries(entry)} & set(deliverables)):
            twice += [held[name], shown(entry.name)] if name in held else []
            held[name] = shown(entry.name)
    several = packed if len(packed) > 1 else twice
    if several:
        raise UsageError(
            f"{path} holds the work of several students ({', '.join(several[:2])}), and this "
            "command checks the work of one. Name one of them; `finegrade grade` takes a class."
        )


def submission_at(path: Path) -> FoundSubmission:
    """The one submission at this path, a folder or a .zip that is named after the student."""
    return find_submissions([path], Extent.ONE).submissions[0]


def _alone(path: Path) -> FoundSubmission:
    """A single submission named on the command line; its time comes from its class's record."""
    found = _found(path, _stands_for(path))
    times = read_times(path.parent / SUBMISSIONS_CSV)
    return replace(found, submitted_at=times.get(found.student))


def _entries(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}.") from error
    return [e for e in entries if not (e.name.startswith(".") or _is_ours_or_junk(e.name))]


def _is_ours_or_junk(name: str) -> bool:
    return name == SUBMISSIONS_CSV or is_junk(name)


def _is_folder(entry: Path) -> bool:
    return stat.S_ISDIR(entry.lstat().st_mode)


def _is_zip(entry: Path) -> bool:
    return entry.suffix.lower() == ".zip" and stat.S_ISREG(entry.lstat().st_mode)


def _is_archive(entry: Path) -> bool:
    """Of any format: a student who packed it otherwise is told so, and not left out."""
    return entry.suffix.lower() in _ARCHIVES and stat.S_ISREG(entry.lstat().st_mode)


def _stands_for(entry: Path) -> Path:
    """The only .zip in a student's folder, else the entry itself."""
    try:
        inside = _entries(entry) if _is_folder(entry) else []
    except UsageError:  # one student's unreadable folder: `take_in` says so, for that student
        inside = []
    return inside[0] if len(inside) == 1 and _is_zip(inside[0]) else entry


def _found(named: Path, path: Path) -> FoundSubmission:
    """The submission at `path`, of the student that `named` is named after."""
    name = named.name
    if not _is_folder(named) and name.lower().endswith(".zip"):
        name = name[: -len(".zip")]
    name = unicodedata.normalize("NFC", name)
    if not name.strip(" .") or len(name) > INTAKE_MAX_STUDENT_CHARS or _unusable(name):
        refusal = IntakeError(
            "LAY116",
            f"{shown(name)!r} cannot be used as a student's name: it is empty, longer than "
            f"{INTAKE_MAX_STUDENT_CHARS} characters, or holds characters that do not show.",
            "Rename the folder or archive to the student's login or name.",
        )
        return FoundSubmission(shown(name), path, refusal=refusal)
    if named.is_symlink():
        return FoundSubmission(name, path, refusal=not_regular(name, "a link"))
    return FoundSubmission(name, path, folder=named if named != path else None)


def _unusable(name: str) -> bool:
    return hidden_characters(name) or any(separator in name for separator in "/\\")


def _folded(student: str) -> str:
    return same_to_the_eye(student)


def _clash(one: FoundSubmission, same: Sequence[FoundSubmission]) -> FoundSubmission:
    places = [f"{other.path.parent.name}/{other.path.name}" for other in same]
    names = ", ".join(repr(shown(place)) for place in places)
    refusal = IntakeError(
        "LAY115",
        f"{len(same)} submissions have this student's name: {names}.",
        "Keep the one that counts, or rename the folders or archives; none of them was graded.",
    )
    return replace(one, refusal=refusal)


def safe_name(student: str) -> str:
    """A readable name for this student's output folder, unique on every system.

    Plain lower-case logins stay as they are; any other name gets a hash of the whole name behind
    its readable characters, so that no two students share a folder even where case is ignored.
    """
    plain = _PLAIN_NAME.fullmatch(student) and not _HASHED_NAME.fullmatch(student)
    if plain and not _WINDOWS_DEVICE.fullmatch(student):
        return student
    readable = "".join(c if c.isalnum() or c in "._-" else "-" for c in student[:40]).strip(".-_")
    return f"{readable or 'student'}-{hashlib.sha256(student.encode()).hexdigest()[:10]}"


def read_times(path: Path) -> Mapping[str, str]:
    """ISO 8601 time, with offset, by student; empty when there is no such file.

    Raises UsageError naming the line for a missing column, a student named twice or not at all,
    and a time that is not ISO 8601.
    """
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            data = file.read(SUBMISSIONS_CSV_MAX_BYTES + 1)
        if len(data) > SUBMISSIONS_CSV_MAX_BYTES:
            raise UsageError(f"{path}: larger than {SUBMISSIONS_CSV_MAX_BYTES} bytes.")
        text = data.decode("utf-8-sig")  # spreadsheets write a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as UTF-8 text.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    times: dict[str, str | None] = {}
    try:
        if missing := [column for column in _COLUMNS if column not in (reader.fieldnames or ())]:
            raise UsageError(f"{path}, line 1: the column {missing[0]!r} is missing.")
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            student = unicodedata.normalize("NFC", (row["student"] or "").strip())
            if not student:
                raise UsageError(f"{where}: no student is named.")
            if student in times:
                raise UsageError(f"{where}: {student!r} is listed twice.")
            times[student] = _iso_time((row["submitted_at"] or "").strip(), where)
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: {error}.") from error
    return {student: time for student, time in times.items() if time is not None}


def _iso_time(text: str, where: str) -> str | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{where}: {text!r} is not an ISO 8601 time such as 2026-03-01T23:59:00+00:00."
        ) from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()

"""From a path on the instructor's disk to a Submission: found, unpacked, checked, hashed.

The caller says whether a folder is one submission or a class: nothing that lies in it does, since
a student chose what lies in a submission. A folder of which the caller said nothing is a class,
unless it holds deliverables at its top: then it is refused with the choice. In a class each folder
and each archive is a submission, and a folder that holds a single .zip and nothing else stands for
that .zip (so downloads of Moodle work as they are); other files are named and left out.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from grader.core.constants import INTAKE_MAX_FILES, INTAKE_MAX_STUDENT_CHARS, INTAKE_READ_BYTES, MIB
from grader.core.errors import FileRefused, GraderFault, IntakeError, UsageError
from grader.core.files import NotRegular, open_regular
from grader.core.nouns import Ambiguous, Deliverable, Submission, SubmittedFile
from grader.intake.archive import extract_zip
from grader.intake.paths import (
    JUNK,
    check_collisions,
    check_path,
    check_sizes,
    hidden_characters,
    not_regular,
    shown,
    too_many,
)
from grader.intake.times import SUBMISSIONS_CSV, read_times

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
    ignored = JUNK | {SUBMISSIONS_CSV}
    return [e for e in entries if not e.name.startswith(".") and e.name not in ignored]


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
    return unicodedata.normalize("NFC", student.casefold())


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


def take_in(
    found: FoundSubmission, workdir: Path, deliverables: Iterable[Deliverable] = ()
) -> Submission:
    """The submission, checked and hashed, with the places of these deliverables in it.

    An archive is unpacked into a new folder in `workdir`.

    When all lies in one top-level folder, that folder is the root, so a folder and the zip of it
    give the same digest; a folder that is an adapter stays one. Raises IntakeError with the code of
    the rule that is broken.
    """
    if found.refusal is not None:
        raise found.refusal
    if _is_folder(found.path):
        return _submission(found, found.path, deliverables)
    workdir.mkdir(parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix=f"{safe_name(found.student)}-", dir=workdir))
    try:
        extract_zip(found.path, own / "files")
        return _submission(found, own / "files", deliverables)
    except NotRegular:
        raise not_regular(found.path.name, "not a regular file") from None
    except BaseException:
        shutil.rmtree(own)
        raise


def _submission(
    found: FoundSubmission, root: Path, deliverables: Iterable[Deliverable]
) -> Submission:
    sizes = _walk(root)
    if not sizes:
        raise IntakeError(
            "LAY114",
            "There are no files in this submission.",
            "Check that the upload is the right one, and that your files are in it.",
        )
    top, slash, _ = next(iter(sizes)).partition("/")
    alone = slash and all(path.startswith(f"{top}/") for path in sizes)
    if alone and f"{top}/adapter_config.json" not in sizes:  # a lone adapter keeps its folder
        root = root / top
        sizes = {path.removeprefix(f"{top}/"): size for path, size in sizes.items()}
    files = tuple(_hashed(root, path, sizes[path]) for path in sorted(sizes))
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.path}\0{file.sha256}\n".encode())
    places = _places(files, deliverables)
    return Submission(found.student, root, digest.hexdigest(), files, found.submitted_at, places)


def _walk(root: Path) -> dict[str, int]:
    """Size in bytes of each file by relative path; raises IntakeError for what breaks a rule."""
    kinds: dict[str, bool] = {}
    sizes: dict[str, int] = {}
    for path, status in _below(root, ""):
        check_path(path)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            linked = stat.S_ISLNK(status.st_mode)
            raise not_regular(path, "a link" if linked else "a pipe, a socket or a device")
        kinds[path] = stat.S_ISDIR(status.st_mode)
        if not kinds[path]:
            sizes[path] = status.st_size
        if len(kinds) > 2 * INTAKE_MAX_FILES:  # folders count too: a walk has to end
            raise too_many(len(kinds), INTAKE_MAX_FILES)
    check_collisions(kinds)
    check_sizes(sizes)
    return sizes


def _below(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below, parents first, each folder's names in order; follows no link."""
    try:
        names = sorted(os.listdir(folder))
        for name in names:
            if name in JUNK:
                continue
            status = os.lstat(folder / name)
            yield prefix + name, status
            if stat.S_ISDIR(status.st_mode):
                yield from _below(folder / name, f"{prefix}{name}/")
    except OSError as error:
        raise GraderFault(f"{folder} cannot be read: {error.strerror}") from error


def _hashed(root: Path, path: str, size: int) -> SubmittedFile:
    digest = hashlib.sha256()
    read = 0
    try:
        with open_regular(root / path) as file:
            while piece := file.read(INTAKE_READ_BYTES):
                read += len(piece)
                if read > size:
                    break
                digest.update(piece)
    except NotRegular:
        raise not_regular(path, "not a regular file") from None
    if read != size:
        raise GraderFault(f"{root / path} changed while it was read")
    return SubmittedFile(path, size, digest.hexdigest())


def open_file(submission: Submission, path: str) -> BinaryIO:
    """A file of the submission (a path from `submission.files`), open for reading.

    Raises FileRefused LAY104 when it is no longer a regular file inside the root, GraderFault when
    it changed since it was taken in.
    """
    known = submission.file(path)
    if known is None:
        raise GraderFault(f"{path} was never part of this submission")
    place = submission.root / path
    try:
        if not place.parent.resolve().is_relative_to(submission.root.resolve()):
            raise NotRegular(path)
        file = open_regular(place)
    except NotRegular:
        refused = not_regular(path, "not a regular file")
        raise FileRefused(refused.code, refused.message, refused.hint, path) from None
    if os.fstat(file.fileno()).st_size != known.size:
        file.close()
        raise GraderFault(f"{place} changed since it was taken in")
    return file


def read_file(submission: Submission, path: str, max_bytes: int) -> bytes:
    """The contents of a file of the submission, of at most `max_bytes` bytes.

    Raises FileRefused LAY105 when it is larger, and what `open_file` raises.
    """
    with open_file(submission, path) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise FileRefused(
            "LAY105",
            f"{shown(path)!r} is larger than {max_bytes / MIB:.2g} MiB, the most that is read.",
            "Hand in a shorter version of this file.",
            path=path,
        )
    return data


def _places(
    files: Sequence[SubmittedFile], deliverables: Iterable[Deliverable]
) -> dict[str, str | Ambiguous]:
    """Where each of the deliverables lies, by id."""
    paths = dict.fromkeys(file.path for file in files)
    folders = dict.fromkeys(
        path.rsplit("/", cut)[0] for path in paths for cut in range(1, path.count("/") + 1)
    )
    found = {d.id: _place(d, paths, folders) for d in deliverables}
    return {id: place for id, place in found.items() if place is not None}


def _place(
    deliverable: Deliverable, files: Mapping[str, None], folders: Mapping[str, None]
) -> str | Ambiguous | None:
    """The first of its `paths` that exists as given; else the only file (or folder) of that name
    at any depth."""
    for expected in deliverable.paths:
        if expected.rstrip("/") in (folders if expected.endswith("/") else files):
            return expected.rstrip("/")
    for expected in deliverable.paths:
        places = folders if expected.endswith("/") else files
        name = expected.rstrip("/").rsplit("/", 1)[-1]
        matches = [path for path in places if path.rsplit("/", 1)[-1] == name]
        if len(matches) > 1:
            listed = ", ".join(repr(shown(path)) for path in sorted(matches)[:3])
            return Ambiguous(
                f"{deliverable.title}: {len(matches)} places could be {expected!r}: {listed}.",
                f"Keep one copy, best as {expected!r} at the top of the submission.",
            )
        if matches:
            return matches[0]
    return None

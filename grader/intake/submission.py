"""A found submission taken in: unpacked, checked, hashed, and its files read."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from grader.core.constants import ADAPTER_CONFIG, INTAKE_MAX_FILES, INTAKE_READ_BYTES, MIB
from grader.core.errors import FileRefused, GraderFault, IntakeError
from grader.core.files import NotRegular, open_regular
from grader.core.nouns import Ambiguous, Deliverable, Submission, SubmittedFile
from grader.intake.archive import extract_zip
from grader.intake.find import FoundSubmission, safe_name
from grader.intake.paths import (
    check_collisions,
    check_path,
    check_sizes,
    is_junk,
    not_regular,
    shown,
    too_many,
)


def take_in(
    found: FoundSubmission, workdir: Path, deliverables: Iterable[Deliverable] = ()
) -> Submission:
    """The submission, checked and hashed, with the places of these deliverables in it.

    An archive is unpacked into a new folder in `workdir`.

    When all lies in one top-level folder, that folder is the root, so a folder and the zip of it
    give the same digest; a folder that is an adapter stays one. Raises IntakeError with the code of
    the rule that is broken.
    """
    if is_folder(found):
        return taken_from(found, None, deliverables)
    workdir.mkdir(parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix=f"{safe_name(found.student)}-", dir=workdir))
    return taken_from(found, own, deliverables)


def is_folder(found: FoundSubmission) -> bool:
    """Whether it is a folder, and no archive. Raises the refusal of one that cannot be taken in."""
    if found.refusal is not None:
        raise found.refusal
    return stat.S_ISDIR(found.path.lstat().st_mode)


def taken_from(
    found: FoundSubmission, own: Path | None, deliverables: Iterable[Deliverable] = ()
) -> Submission:
    """As `take_in`; an archive is unpacked into the folder `own`, which is empty or new, and is
    removed where this raises. A folder (`own` is None) is read where it lies.
    """
    if own is None:
        return _submission(found, found.path, deliverables)
    own.mkdir(mode=0o700, exist_ok=True)
    try:
        extract_zip(found.path, own / "files")
        return _submission(found, own / "files", deliverables)
    except NotRegular:
        shutil.rmtree(own)
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
    if alone and f"{top}/{ADAPTER_CONFIG}" not in sizes:  # a lone adapter keeps its folder
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
            if is_junk(name):
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
        raise _too_long(path, max_bytes)
    return data


def refuse_larger(submission: Submission, path: str, max_bytes: int) -> None:
    """Raise FileRefused LAY105 for a file of the submission that has more than `max_bytes` bytes,
    as `read_file` does, for one that others read piece by piece."""
    file = submission.file(path)
    if file is not None and file.size > max_bytes:
        raise _too_long(path, max_bytes)


def _too_long(path: str, max_bytes: int) -> FileRefused:
    return FileRefused(
        "LAY105",
        f"{shown(path)!r} is larger than {max_bytes / MIB:.2g} MiB, the most that is read.",
        "Submit a shorter version of this file.",
        path=path,
    )


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
        name = expected.rstrip("/")
        if expected.endswith("/") and name in folders:
            return _adapter_below(deliverable, name, files)
        if not expected.endswith("/") and name in files:
            return name
    for expected in deliverable.paths:
        places = folders if expected.endswith("/") else files
        name = expected.rstrip("/").rsplit("/", 1)[-1]
        matches = [path for path in places if path.rsplit("/", 1)[-1] == name]
        matches = [m for m in matches if not any(m.startswith(f"{outer}/") for outer in matches)]
        if len(matches) > 1:
            listed = ", ".join(repr(shown(path)) for path in sorted(matches)[:3])
            return Ambiguous(
                f"{deliverable.title}: {len(matches)} places could be {expected!r}: {listed}.",
                f"Keep one copy, best as {expected!r} at the top of the submission.",
            )
        if matches and expected.endswith("/"):
            return _adapter_below(deliverable, matches[0], files)
        if matches:
            return matches[0]
    return None


def _adapter_below(
    deliverable: Deliverable, folder: str, files: Mapping[str, None]
) -> str | Ambiguous:
    """The folder, or the one below it that is an adapter where the folder is none itself.

    peft saves an adapter that has a name in a folder of that name, and checkpoints in theirs.
    """
    if f"{folder}/{ADAPTER_CONFIG}" in files:
        return folder
    below = [
        path.rpartition("/")[0]
        for path in files
        if path.startswith(f"{folder}/") and path.endswith(f"/{ADAPTER_CONFIG}")
    ]
    if len(below) > 1:
        listed = ", ".join(repr(shown(path)) for path in sorted(below)[:3])
        return Ambiguous(
            f"{deliverable.title}: {len(below)} adapters lie in {folder!r}: {listed}.",
            f"Put the files of the one that counts into {folder!r} itself, and leave out the rest.",
        )
    return below[0] if below else folder

"""Where our own files lie, file digests, safe opening of untrusted files, and writing whole files
or none.

Nothing is opened through a link, and nothing that blocks. What is written gets its name when it is
complete, so a run that is killed leaves no half file. `write_atomic` replaces a file; `new_file`
and `new_folder` never replace anything.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from grader.core.errors import GraderFault, UsageError

_PACKAGE = Path(__file__).parents[1]


def resource(kind: Literal["starter", "datasets", "rubrics"], *parts: str) -> Path:
    """The folder of this kind, or the path `parts` below it.

    In an installed wheel it stands in `grader/_shipped`, in a checkout beside the package. Beside
    an installed package it is never looked for: `site-packages/datasets` is another project's.
    Raises GraderFault when neither holds it.
    """
    checkout = _PACKAGE.parent
    roots = [_PACKAGE / "_shipped"]
    if (checkout / "pyproject.toml").is_file():
        roots.append(checkout)
    for root in roots:
        path = root.joinpath(kind, *parts)
        if path.exists():
            return path
    missing = "/".join((kind, *parts))
    raise GraderFault(f"{missing} did not come with this installation. Install finegrade again.")


def home() -> Path:
    """The folder of finegrade's caches: FINEGRADE_HOME, else the user's cache."""
    named = os.environ.get("FINEGRADE_HOME")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "finegrade"


def sha256_of(path: Path) -> str:
    """The file's sha256 in hex, read in pieces: weights are gigabytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Windows lacks some of these flags, and needs O_BINARY.
_COMMON = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_BINARY", "O_CLOEXEC"))
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _COMMON
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _COMMON


class NotRegular(Exception):
    """The path is a link, a folder, a pipe, a device or a socket."""


def open_regular(path: Path) -> BinaryIO:
    """The regular file at `path`, open for reading.

    Raises NotRegular for anything else, GraderFault when the machine does not let us read it.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):  # before opening: a device may act on that
            raise NotRegular(path.name)
        descriptor = os.open(path, _READ)
    except OSError as error:
        raise GraderFault(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # exchanged since
        os.close(descriptor)
        raise NotRegular(path.name)
    return os.fdopen(descriptor, "rb")


def files_below(root: Path) -> dict[str, Path]:
    """The regular files of a folder of ours, by their path from it; links and pipes are none."""
    return {
        path.relative_to(root).as_posix(): path
        for path in sorted(root.rglob("*"))
        if stat.S_ISREG(path.lstat().st_mode)
    }


def create_new(path: Path) -> BinaryIO:
    """A new file at `path`, mode 0600, open for writing; FileExistsError if anything is there."""
    return os.fdopen(os.open(path, _CREATE, 0o600), "wb")


def write_atomic(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, creating its folder; line ends stay as they are.

    A temporary file beside it is written, flushed to disk and renamed over it. A lone surrogate
    is written as "?". Raises OSError; the old file, if any, is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:64]}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", "replace"))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power cut, where the system can open a folder."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which stands at `path` once the block ends without an exception.

    Raises UsageError if something is at `path` or nothing can be made there.
    """
    temporary = _name_beside(path)
    try:
        file = temporary.open("xb")
    except (OSError, ValueError) as error:
        raise _cannot(path, error) from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _give_name(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill, which stands at `path` once the block ends without an exception.

    Raises UsageError as `new_file` does.
    """
    temporary = _name_beside(path)
    try:
        temporary.mkdir()
    except (OSError, ValueError) as error:
        raise _cannot(path, error) from error
    try:
        yield temporary
        _refuse_taken(path)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _name_beside(path: Path) -> Path:
    _refuse_taken(path)
    return path.parent / f".finegrade-{secrets.token_hex(8)}.tmp"


def _give_name(temporary: Path, path: Path) -> None:
    """Link, which never replaces anything; without hard links, check again and rename."""
    try:
        os.link(temporary, path)
    except OSError:
        _refuse_taken(path)
        temporary.rename(path)


def _refuse_taken(path: Path) -> None:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:  # a name that is too long, or has a NUL
        raise _cannot(path, error) from error
    raise UsageError(f"{path} is there already, and nothing is overwritten: choose a new name.")


def _cannot(path: Path, error: OSError | ValueError) -> UsageError:
    if isinstance(error, FileNotFoundError):
        return UsageError(f"{path} cannot be written: make the folder {path.parent} first.")
    reason = error.strerror if isinstance(error, OSError) else "that is no valid path"
    return UsageError(f"{path} cannot be written: {reason}. Choose another place.")

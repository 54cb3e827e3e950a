"""Writing what is new: whole or not at all, and never over something that is there.

A file or folder is written under a hidden name beside its place and gets its own name when it is
complete, so that a run that is killed leaves nothing half under that name.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from grader.errors import UsageError


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
    """A hard link never replaces anything; where there are none, look once more and rename."""
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

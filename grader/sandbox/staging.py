"""The files of a run's working folder: the submission's, with the grader's laid over them.

Files reach the sandbox as open descriptors, so that its user needs no right to the student's
folder and learns no path of the machine. Files too large to copy are mounted.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

from grader.core.constants import SANDBOX_COPY_MAX_BYTES
from grader.core.errors import GraderFault
from grader.core.temporary import prefix
from grader.sandbox.api import RunSpec


class StagedFiles:
    """The files of one run, open. Close it after the sandbox has received them.

    `files` are (path, mode, descriptor); `large` maps paths to files of the machine that are to be
    shown below /submission; `folders` come before what they hold.
    """

    def __init__(self, spec: RunSpec, public: bool) -> None:
        """Open everything; with `public`, large files are readable for every user.

        Raises GraderFault for what no intake lets through: a link, a device, a path that leaves
        the working folder.
        """
        self.files: list[tuple[str, int, int]] = []
        self.large: dict[str, Path] = {}
        self._folders: set[str] = set()
        self._open = ExitStack()
        self._public = public
        self.copied_bytes = 0
        try:
            self._stage(spec)
        except OSError as error:
            self.close()
            raise GraderFault(f"the submission cannot be read: {error}") from error
        except BaseException:
            self.close()
            raise

    @property
    def folders(self) -> list[str]:
        return sorted(self._folders)  # a folder sorts before what it holds

    def close(self) -> None:
        self._open.close()

    def _stage(self, spec: RunSpec) -> None:
        inputs = {_checked(path): data for path, data in spec.inputs.items()}
        for path, file in spec.files.items():
            if path not in inputs:
                self._add(_checked(path), file)
        for path, data in inputs.items():
            self._add_input(path, data)

    def _add(self, path: str, file: Path) -> None:
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        self._open.callback(os.close, fd)
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise GraderFault(f"the submission holds {path!r}, which is no regular file")
        self._add_parents(path)
        if found.st_size <= SANDBOX_COPY_MAX_BYTES:
            self.files.append((path, 0o755 if found.st_mode & 0o100 else 0o644, fd))
            self.copied_bytes += found.st_size
        else:
            self.large[path] = self._public_copy(file, fd) if self._public else file

    def _public_copy(self, file: Path, fd: int) -> Path:
        """A file that every user can read: this one, or a copy that lives as long as the run."""
        if _everyone_reads(file):
            return file
        folder = Path(
            self._open.enter_context(tempfile.TemporaryDirectory(prefix=prefix("staged")))
        )
        folder.chmod(0o755)
        copy = folder / "file"
        with os.fdopen(os.dup(fd), "rb") as source, copy.open("xb") as target:
            shutil.copyfileobj(source, target)
        copy.chmod(0o444)
        return copy

    def _add_input(self, path: str, data: bytes) -> None:
        fd = os.memfd_create("input", os.MFD_CLOEXEC)
        self._open.callback(os.close, fd)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
        self._add_parents(path)
        self.files.append((path, 0o644, fd))
        self.copied_bytes += len(data)

    def _add_parents(self, path: str) -> None:
        self._folders |= {str(folder) for folder in PurePosixPath(path).parents[:-1]}


def _checked(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        raise GraderFault(f"a file has the path {path!r}; it must stay in the working folder")
    return str(PurePosixPath(path))


def _everyone_reads(file: Path) -> bool:
    path = Path(os.path.realpath(file))
    return bool(path.stat().st_mode & 0o004) and all(
        folder.stat().st_mode & 0o001 for folder in path.parents
    )

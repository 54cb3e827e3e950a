"""The image of the container backend: empty folders, links, and a few small files.

Everything else is mounted from the machine when a container starts.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from functools import cache
from pathlib import Path
from typing import Final

from grader.constants import SANDBOX_RUN_UIDS
from grader.sandbox.handshake import start_program
from grader.sandbox.interpreter import (
    HOME,
    LOADER_CACHE,
    SCRATCH,
    SUBMISSION,
    SYSTEM_FILES,
    SYSTEM_FOLDERS,
    SYSTEM_LINKS,
    interpreter,
)

START: Final = "/opt/finegrade/start.pyc"
CONTROL: Final = "/control"
IMAGE: Final = "finegrade-sandbox"


@cache
def image_name() -> str:
    """Equal images have equal names."""
    return f"{IMAGE}:{hashlib.sha256(image()).hexdigest()[:16]}"


@cache
def image() -> bytes:
    """A tar archive with all that the machine does not have at the same place."""
    python = interpreter()
    files = {**SYSTEM_FILES, **python.files, LOADER_CACHE: ""}
    files["/etc/passwd"] = "".join(
        f"student:x:{uid}:{uid}::{HOME}:/bin/sh\n" for uid in SANDBOX_RUN_UIDS
    )
    contents = {path: text.encode() for path, text in files.items()} | {START: start_program()}
    links = {**SYSTEM_LINKS, **python.links}
    folders = {*SCRATCH, *SYSTEM_FOLDERS, SUBMISSION, CONTROL}
    for inside, place in python.mounts.items():
        if place.is_dir():
            folders.add(inside)
        else:
            contents[inside] = b""
    for path in [*folders, *contents, *links]:
        folders |= {str(parent) for parent in Path(path).parents} - {"/"}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(folders - set(links)):
            mode = 0o1777 if path in SCRATCH else 0o755  # Podman gives a tmpfs its folder's mode
            archive.addfile(_entry(path, tarfile.DIRTYPE, mode))
        for path, data in sorted(contents.items()):
            entry = _entry(path, tarfile.REGTYPE, 0o444)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for path, target in sorted(links.items()):
            entry = _entry(path, tarfile.SYMTYPE, 0o777)
            entry.linkname = target
            archive.addfile(entry)
    return out.getvalue()


def _entry(path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.type, entry.mode = kind, mode
    return entry

"""What the container backend gives an engine: an image of empty folders, and the filter as JSON.

Everything else is mounted from the machine when a container starts. Source of the filter's form:
the OCI runtime specification 1.1, config-linux.md, "Seccomp".
"""

from __future__ import annotations

import errno
import functools
import hashlib
import io
import json
import tarfile
from functools import cache
from pathlib import Path
from typing import Any, Final

from grader.core.constants import SANDBOX_RUN_UIDS
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
from grader.sandbox.seccomp_filter import (
    CLONE_NAMESPACES,
    DENIED,
    DEVICES,
    FAMILIES,
    MAKE_CALLS,
    MODE_CALLS,
    ONE_PROCESS,
    OTHERS,
    SET_ID_BITS,
    TERMINAL_INPUT,
)


@functools.cache
def engine_filter() -> bytes:
    """The same denials in the same order. Engines skip names that the machine does not know."""
    rules = [_rule(list(DENIED)), _rule(["clone3"], code=errno.ENOSYS)]
    rules += [_rule(["clone"], _masked(0, flag, flag)) for flag in CLONE_NAMESPACES]
    for call, at in MODE_CALLS:
        rules += [_rule([call], _masked(at, bit, bit)) for bit in SET_ID_BITS]
    for call, at in MAKE_CALLS:
        rules += [_rule([call], _masked(at, 0o170000, kind)) for kind in DEVICES]
    rules += [_rule(["ioctl"], _masked(1, 0xFFFF_FFFF, number)) for number in TERMINAL_INPUT]
    # Process 1 is the same user's: its limits would be the program's to set.
    rules += [_rule([call], _other(at, 0)) for call, at in OTHERS]
    rules += [_rule([call], _other(0, kind)) for call, kind in ONE_PROCESS]
    others = [family for family in range(max(FAMILIES) + 1) if family not in FAMILIES]
    no_family = errno.EAFNOSUPPORT
    for family in others:
        argument = {"index": 0, "value": family, "op": "SCMP_CMP_EQ"}
        rules.append(_rule(["socket"], argument, code=no_family))
    beyond = {"index": 0, "value": max(FAMILIES), "op": "SCMP_CMP_GT"}
    rules.append(_rule(["socket"], beyond, code=no_family))
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}).encode()


def _rule(names: list[str], *arguments: dict[str, Any], code: int = errno.EPERM) -> dict[str, Any]:
    return {
        "names": names,
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": code,
        "args": list(arguments),
    }


def _other(at: int, value: int) -> dict[str, Any]:
    return {"index": at, "value": value, "op": "SCMP_CMP_NE"}


def _masked(at: int, mask: int, value: int) -> dict[str, Any]:
    return {"index": at, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}


START: Final = "/opt/finegrade/start.pyc"
CONTROL: Final = "/control"
IMAGE: Final = "finegrade-sandbox"


@cache
def image_name() -> str:
    """Equal images have equal names."""
    return f"{IMAGE}:{hashlib.sha256(image()).hexdigest()[:16]}"


@cache
def image() -> bytes:
    """The image as a tar archive: all files that are not mounted from the machine."""
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

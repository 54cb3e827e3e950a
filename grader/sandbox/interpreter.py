"""Where this package would be seen in a sandbox: its source says what hidden checks look at.

The Python that runs students' scripts: this one, with the packages that are installed here.

It is laid out below /opt in the sandbox, wherever it lies on the machine, so that a script and its
output do not depend on that place. Nothing else of its surroundings is shown.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import grader
from grader.core.constants import SANDBOX_SEEN_UID
from grader.core.errors import GraderFault
from grader.core.openai_wire import KEY_VARIABLE, URL_VARIABLE
from grader.sandbox.api import GATEWAY_PORT, RunSpec


def own_package(shown: Mapping[str, Path]) -> list[str]:
    """The folders to hide, by their paths inside; `shown` maps paths inside to the machine's."""
    return [
        f"{inside}/{hidden.relative_to(place)}"
        for inside, place in shown.items()
        for hidden in own_folders([place])
        if hidden.is_relative_to(place)
    ]


def own_folders(shown: Iterable[Path]) -> list[Path]:
    """This package, and the files beside it in an editable installation."""
    beside = [
        place / "grader"
        for place in shown
        if place.name == "site-packages" and (place / "grader").is_dir()
    ]
    return [*dict.fromkeys([Path(grader.__file__).resolve().parent, *beside])]


HOME: Final = "/box"
TMP: Final = "/tmp"
SHM: Final = "/dev/shm"
SCRATCH: Final = (HOME, TMP, SHM)
"""The folders that a program may write to."""

SUBMISSION: Final = "/submission"
"""Where files of the submission appear that are too large to copy."""

BASE: Final = "/opt/python"
VENV: Final = "/opt/venv"
PYTHON: Final = f"{VENV}/bin/python"

SYSTEM_FOLDERS: Final = ("/usr/bin", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo")
SYSTEM_LINKS: Final = {"/bin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib64"}
SYSTEM_FILES: Final = {
    "/etc/passwd": f"student:x:{SANDBOX_SEEN_UID}:{SANDBOX_SEEN_UID}::{HOME}:/bin/sh\n",
    "/etc/group": f"student:x:{SANDBOX_SEEN_UID}:\n",
    "/etc/hosts": "127.0.0.1 localhost\n",
}
"""Names that libraries look up: the user's and the machine's own."""

LOADER_CACHE: Final = "/etc/ld.so.cache"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What to show where: `mounts` maps a path inside to one of the machine, all read-only."""

    mounts: dict[str, Path]
    links: dict[str, str]
    files: dict[str, str]
    library_path: str | None


@cache
def interpreter() -> Interpreter:
    """This process's interpreter and packages, as a virtual environment below /opt.

    Raises GraderFault when this interpreter has no place on the disk (a frozen program).
    """
    executable = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    prefix = Path(os.path.realpath(sys.base_prefix))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if not executable.is_file() or not prefix.is_dir():
        raise GraderFault(f"the sandbox needs a Python on the disk; {executable} is none")
    mounts: dict[str, Path] = {}
    if prefix == Path("/usr"):
        base = str(executable)
        local = Path("/usr/local/lib") / version
        if local.is_dir():  # where pip of Debian's Python installs
            mounts[str(local)] = local
    else:
        base = f"{BASE}/bin/{version}"
        mounts[base] = executable
        mounts[f"{BASE}/lib"] = prefix / "lib"
    in_venv = sys.prefix != sys.base_prefix
    for folder in _packages(in_venv):
        mounts[f"{VENV}/{folder.parts[-3]}/{version}/site-packages"] = folder
    config = "\n".join(
        (
            f"home = {os.path.dirname(base)}",
            f"include-system-site-packages = {str(not in_venv or _sees_system()).lower()}",
            f"version = {'.'.join(map(str, sys.version_info[:3]))}",
            "",
        )
    )
    return Interpreter(
        mounts=mounts,
        links={PYTHON: base, f"{VENV}/bin/python3": base},
        files={f"{VENV}/pyvenv.cfg": config},
        library_path=_library_path(prefix),
    )


def _packages(in_venv: bool) -> list[Path]:
    """Folders of installed packages that the base interpreter does not find by itself."""
    if in_venv:
        named = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    else:
        named = {site.getusersitepackages()} if site.ENABLE_USER_SITE else set()
    return sorted(Path(os.path.realpath(folder)) for folder in named if os.path.isdir(folder))


def _sees_system() -> bool:
    config = Path(sys.prefix, "pyvenv.cfg").read_text("utf-8").lower()
    return any(
        line.partition("=")[0].strip() == "include-system-site-packages"
        and line.partition("=")[2].strip() == "true"
        for line in config.splitlines()
    )


def _library_path(prefix: Path) -> str | None:
    """Where libpython lies: an interpreter built to share it looks at its place of birth."""
    shared = bool(sysconfig.get_config_var("Py_ENABLE_SHARED"))
    return f"{BASE}/lib" if shared and prefix != Path("/usr") else None


def environment(launch: RunSpec, served: bool) -> dict[str, str]:
    """All variables of a run. Equal runs have equal ones, whoever grades and wherever."""
    variables = {
        "PATH": f"{VENV}/bin:/usr/bin:/bin",
        "HOME": HOME,
        "USER": "student",
        "TMPDIR": TMP,
        "XDG_CACHE_HOME": f"{TMP}/cache",  # else caches are taken for results
        "MPLCONFIGDIR": f"{TMP}/matplotlib",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",  # the same order of sets every time
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",  # what was printed before a kill is seen
        "OMP_NUM_THREADS": "1",  # as many as cores would pass the limit on threads
        "OPENBLAS_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    library_path = interpreter().library_path
    if library_path:
        variables["LD_LIBRARY_PATH"] = library_path
    if served:
        variables[URL_VARIABLE] = f"http://127.0.0.1:{GATEWAY_PORT}/v1"
        variables[KEY_VARIABLE] = "sandbox"
    return {**variables, **launch.environment}

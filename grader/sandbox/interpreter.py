"""The Python environment that a sandboxed program sees: this interpreter and its packages.

Where a backend can mount, they appear below /opt, so that a script and its output do not depend on
their place on the machine. Otherwise they are read where they lie. This package is hidden: its
source says what hidden checks look for.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import grader
from grader.core.constants import SANDBOX_SEEN_UID
from grader.core.errors import GraderFault
from grader.core.openai_wire import KEY_VARIABLE, URL_VARIABLE
from grader.sandbox.api import GATEWAY_PORT, RunSpec
from grader.sandbox.inside import landlock


def own_package(shown: Mapping[str, Path]) -> list[str]:
    """This package's folders, to be hidden, by path inside; `shown` maps these to the machine's."""
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
    """The interpreter's files: `mounts` maps a path inside to one of the machine, read-only."""

    mounts: dict[str, Path]
    links: dict[str, str]
    files: dict[str, str]
    library_path: str | None


@cache
def interpreter() -> Interpreter:
    """This process's interpreter and packages, as a virtual environment below /opt.

    Raises GraderFault when this interpreter has no place on the disk (a frozen program).
    """
    executable = Path(_base_python())
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
    """The folder of libpython, which a shared build looks for where it was built."""
    shared = bool(sysconfig.get_config_var("Py_ENABLE_SHARED"))
    return f"{BASE}/lib" if shared and prefix != Path("/usr") else None


def environment(spec: RunSpec, served: bool) -> dict[str, str]:
    """The environment of a run, equal for equal runs on every machine."""
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
    return {**variables, **spec.environment}


# --- without mounts: the interpreter where it lies ---------------------------------------------

READABLE: Final = (
    *("/proc", "/sys/devices/system/cpu", "/etc/hosts", "/etc/localtime", LOADER_CACHE),
    *SYSTEM_FOLDERS,
    *SYSTEM_LINKS,
)


@cache
def readable_rights() -> tuple[tuple[str, int], ...]:
    """(path, Landlock rights) of all that a run without mounts may read."""
    places = [Path(path) for path in (*READABLE, *interpreter_paths())]
    packages = [Path(os.path.realpath(sysconfig.get_path(kind))) for kind in ("purelib", "platlib")]
    hidden = frozenset(own_folders(packages))
    return tuple(right for place in places for right in _without_the_grader(place, hidden))


def python_in_place() -> str:
    """The path of this interpreter."""
    return f"{sys.prefix}/bin/python" if sys.prefix != sys.base_prefix else _base_python()


def _base_python() -> str:
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


@cache
def interpreter_paths() -> tuple[str, ...]:
    """The interpreter and its packages, where they lie."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(os.path.realpath(sys.base_prefix))
    places: set[str] = set()
    if base == Path("/usr"):
        places |= {_base_python(), f"/usr/local/lib/{version}"}
    else:
        places |= {str(base / "bin"), str(base / "lib")}
    if sys.prefix != sys.base_prefix:
        places |= {f"{sys.prefix}/{name}" for name in ("bin", "lib", "lib64", "pyvenv.cfg")}
        places |= {os.path.realpath(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}
    elif site.ENABLE_USER_SITE:
        places.add(os.path.realpath(site.getusersitepackages()))
    return tuple(sorted(place for place in places if os.path.exists(place)))


def _without_the_grader(folder: Path, hidden: Collection[Path]) -> list[tuple[str, int]]:
    """The rights to read a folder, except for hidden folders below it."""
    inside = Path(os.path.realpath(folder))
    if inside in hidden:
        return []
    if not any(inside in path.parents for path in hidden):
        return [(str(folder), landlock.READ)]
    found = [(str(folder), landlock.READ_DIR)]
    for entry in sorted(inside.iterdir()):
        found += _without_the_grader(entry, hidden)
    return found


@cache
def closed_to_others() -> tuple[str, ...]:
    """The topmost folders above the interpreter that only root may enter."""
    found = set()
    for place in interpreter_paths():
        for path in dict.fromkeys((place, os.path.realpath(place))):
            for folder in reversed(Path(path).parents):
                if not folder.stat().st_mode & 0o001:
                    found.add(str(folder))
                    break
    return tuple(sorted(found))

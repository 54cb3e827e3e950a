"""The machine's paths that a restricted run may read: the interpreter and its packages."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Final

from grader.sandbox.inside import landlock
from grader.sandbox.interpreter import LOADER_CACHE, SYSTEM_FOLDERS, SYSTEM_LINKS, own_folders

READABLE: Final = (
    *("/proc", "/sys/devices/system/cpu", "/etc/hosts", "/etc/localtime", LOADER_CACHE),
    *SYSTEM_FOLDERS,
    *SYSTEM_LINKS,
)


@cache
def readable() -> tuple[tuple[str, int], ...]:
    places = [Path(path) for path in (*READABLE, *needed())]
    packages = [Path(os.path.realpath(sysconfig.get_path(kind))) for kind in ("purelib", "platlib")]
    hidden = frozenset(own_folders(packages))
    return tuple(right for place in places for right in _without_the_grader(place, hidden))


def python() -> str:
    return f"{sys.prefix}/bin/python" if sys.prefix != sys.base_prefix else _base_python()


def _base_python() -> str:
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


@cache
def needed() -> tuple[str, ...]:
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
    for place in needed():
        for path in dict.fromkeys((place, os.path.realpath(place))):
            for folder in reversed(Path(path).parents):
                if not folder.stat().st_mode & 0o001:
                    found.add(str(folder))
                    break
    return tuple(sorted(found))

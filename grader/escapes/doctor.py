"""`finegrade doctor`: which sandboxes hold here, which models there are, which hardware."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from grader import __version__
from grader.core.constants import COURSE_MODEL, MIB
from grader.core.files import home, resource
from grader.escapes.arena import ProgramOutcome
from grader.escapes.suite import SuiteReport, try_walls
from grader.sandbox.api import Sandbox
from grader.sandbox.choose import BACKENDS
from grader.sandbox.limits import enforced

_EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "models": ("torch", "transformers", "peft"),
    "simulate": ("fastapi", "uvicorn", "openai"),
    "web": ("fastapi", "uvicorn"),
}
_LOW_DISK_BYTES: Final = 2_048 * MIB  # a class of adapters and their evidence


@dataclass(frozen=True, slots=True)
class Backend:
    """One sandbox on this machine. `why_not` is None where it works; `report` says whether
    it also holds."""

    name: str
    isolation: str
    why_not: str | None
    report: SuiteReport | None

    @property
    def usable(self) -> bool:
        """Whether it works and contains every program."""
        return self.report is not None and self.report.holds


@dataclass(frozen=True, slots=True)
class Health:
    """The doctor's results. Bytes are free bytes."""

    finegrade: str
    python: str
    system: str
    processors: int
    extras: Mapping[str, bool]
    gpu: str
    course_model: bool
    hub_cache: str
    home: str
    free_bytes: int
    backends: tuple[Backend, ...]
    limits: Mapping[str, str]
    """By limit on a run, what enforces it here."""

    @property
    def low_disk(self) -> bool:
        """Whether free disk space may not suffice for a class."""
        return self.free_bytes < _LOW_DISK_BYTES

    @property
    def sandbox(self) -> str | None:
        """The backend that grading takes."""
        full = [b.name for b in self.backends if b.usable and b.isolation == "full"]
        return full[0] if full else None

    def as_json(self) -> dict[str, Any]:
        """For `--format json`, under the schema's name."""
        facts = asdict(self)
        facts["backends"] = [_backend_json(backend) for backend in self.backends]
        return {"schema": "finegrade/doctor/v1", "sandbox": self.sandbox, **facts}


def examine(begin: Callable[[str], Callable[[ProgramOutcome], None]]) -> Health:
    """Examine everything. `begin` gets a sandbox's name, and returns a callback for results."""
    place = home()
    while not place.exists():
        place = place.parent
    return Health(
        finegrade=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}",
        processors=os.cpu_count() or 1,
        extras={name: all(map(find_spec, needed)) for name, needed in _EXTRAS.items()},
        gpu=_gpu(),
        course_model=(resource("starter", COURSE_MODEL) / "model.safetensors").exists(),
        hub_cache=os.environ.get("HF_HOME", str(Path.home() / ".cache" / "huggingface")),
        home=str(home()),
        free_bytes=shutil.disk_usage(place).free,
        backends=tuple(_backend(name, make, begin) for name, make in BACKENDS.items()),
        limits=enforced() if sys.platform.startswith("linux") else {},
    )


def _backend(
    name: str, make: Callable[[], Sandbox], begin: Callable[[str], Callable[[ProgramOutcome], None]]
) -> Backend:
    if not sys.platform.startswith("linux"):
        return Backend(name, "", "programs of submissions run on Linux only", None)
    sandbox = make()
    why_not = sandbox.why_not()
    report = try_walls(sandbox, begin(name)) if why_not is None else None
    return Backend(name, sandbox.isolation, why_not, report)


def _gpu() -> str:
    """The first GPU's name; "" without one, or without torch."""
    if find_spec("torch") is None:
        return ""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""


def _backend_json(backend: Backend) -> dict[str, Any]:
    report = backend.report
    escapes = [
        {
            "name": row.name,
            "claim": row.claim,
            "expected": sorted(row.expected),
            "got": row.got,
            "contained": row.contained,
            "why_not": list(row.why_not),
        }
        for row in (report.rows if report else ())
    ]
    return {
        "name": backend.name,
        "isolation": backend.isolation,
        "why_not": backend.why_not,
        "usable": backend.usable,
        "escapes": escapes,
        "disturbed": list(report.disturbed) if report else [],
        "left_behind": list(report.left_behind) if report else [],
    }

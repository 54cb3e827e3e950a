"""Chooses a sandbox backend that works on this machine."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from grader.core.errors import GraderFault, UsageError
from grader.sandbox.api import Isolation, RunResult, RunSpec, Sandbox, Serve


class NoSandbox(UsageError):
    """No backend works here; says why, and what to do."""


def _bubblewrap() -> Sandbox:
    from grader.sandbox.backends.bubblewrap import Bubblewrap

    return Bubblewrap()


def _container() -> Sandbox:
    from grader.sandbox.backends.container import Container

    return Container()


def _restricted() -> Sandbox:
    from grader.sandbox.backends.restricted import Restricted

    return Restricted()


BACKENDS: Final[Mapping[str, Callable[[], Sandbox]]] = {
    "bubblewrap": _bubblewrap,
    "container": _container,
    "restricted": _restricted,
}
"""By name, the best first."""

_ELSEWHERE: Final = (
    "Programs of submissions run on Linux only: use a Linux machine, WSL 2 on Windows, or a Linux "
    "container on macOS. Adapters, data and documents are graded here all the same."
)


def choose_sandbox(name: str | None = None, *, reduced: bool = False) -> Sandbox:
    """The best backend that works here, or the one of this name.

    One of reduced isolation is taken only if `reduced` says so: hidden inputs are at stake. Raises
    NoSandbox, and UsageError for a name that is none.
    """
    if not sys.platform.startswith("linux"):
        raise NoSandbox(_ELSEWHERE)
    if name is not None and name not in BACKENDS:
        raise UsageError(f"There is no sandbox {name!r}. Known: {', '.join(BACKENDS)}.")
    reasons = []
    for known in [name] if name is not None else BACKENDS:
        sandbox = BACKENDS[known]()
        why = sandbox.why_not()
        if why is None and sandbox.isolation is not Isolation.FULL and not reduced:
            why = "it works, with less isolation; `--allow-reduced` takes it all the same."
        if why is None:
            return sandbox
        reasons.append(f"{known}: {why}")
    raise NoSandbox("No sandbox works here. " + " ".join(reasons))


class UnavailableSandbox:
    """Stands in where no sandbox works: every run raises GraderFault with the reason."""

    name = "absent"
    isolation = Isolation.NONE

    def __init__(self, why: str) -> None:
        self._why = why

    def why_not(self) -> str | None:
        """See Sandbox."""
        return self._why

    def policy(self) -> Mapping[str, Any]:
        """Nothing is run."""
        return {}

    def run(
        self, spec: RunSpec, serve: Serve | None = None, stop: threading.Event | None = None
    ) -> RunResult:
        """Raises GraderFault."""
        raise GraderFault(self._why)

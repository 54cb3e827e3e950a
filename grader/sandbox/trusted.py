"""The sandbox that grading may use: one whose walls were tried on this very machine.

The escape suite takes half a minute. What it found is remembered for as long as nothing of what it
depends on changes: the backend's policy, the kernel, the user and finegrade itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path

from grader import __version__
from grader.resources import home
from grader.sandbox.choose import NoSandbox, choose_sandbox
from grader.sandbox.escapes.arena import Row
from grader.sandbox.escapes.service import SentenceService
from grader.sandbox.escapes.suite import SuiteReport, run_suite
from grader.sandbox.escapes.table import all_programs
from grader.sandbox.gateway import Gateway
from grader.sandbox.launch import Sandbox

OnRow = Callable[[Row], None]


def trusted_sandbox(
    name: str | None = None,
    *,
    reduced: bool = False,
    begin: Callable[[int], OnRow] = lambda total: lambda row: None,
) -> Sandbox:
    """As `choose_sandbox`, and every hostile program was contained by it.

    `begin` is called with the number of programs when they have to be run, and gives what hears
    of each result. Raises NoSandbox when one of them was not contained.
    """
    sandbox = choose_sandbox(name, reduced=reduced)
    record = _record(sandbox)
    if not record.exists():
        report = try_walls(sandbox, begin(len(all_programs())))
        if not report.holds:
            escaped = [row.name for row in report.rows if not row.contained]
            what = ", ".join([*escaped, *report.disturbed, *report.left_behind])
            raise NoSandbox(
                f"The sandbox {sandbox.name} does not hold here ({what}). No program of a "
                "submission is run; `finegrade doctor` says more."
            )
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"sandbox": sandbox.name, "contained": len(report.rows)}))
    return sandbox


def try_walls(sandbox: Sandbox, on_row: OnRow) -> SuiteReport:
    """Run all hostile programs in this sandbox, with a model service to attack."""
    with Gateway() as gateway:
        return run_suite(
            sandbox, partial(SentenceService, gateway), os.cpu_count() or 1, on_result=on_row
        )


def _record(sandbox: Sandbox) -> Path:
    """Where it is written that this sandbox held."""
    depends_on = {
        "policy": sandbox.policy(),
        "finegrade": __version__,
        "programs": [program.name for program in all_programs()],
        "kernel": platform.release(),
        "machine": platform.node(),
        "user": os.geteuid(),
    }
    digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return home() / "sandbox" / f"{sandbox.name}-{digest[:16]}.json"

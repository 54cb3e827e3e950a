"""A backend without any wall, which the suite must condemn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grader.sandbox.api import ExitReason, Isolation, RunResult, RunSpec, Serve
from support.waiting import PATIENCE


class BareSubprocess:
    """Runs a program like any other: only for programs that do no harm."""

    name = "bare"
    isolation = Isolation.FULL

    def why_not(self) -> str | None:
        return None

    def policy(self) -> Mapping[str, Any]:
        return {}

    def run(self, launch: RunSpec, serve: Serve | None = None, stop: object = None) -> RunResult:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            box = Path(folder)
            submitted = {name: path.read_bytes() for name, path in launch.files.items()}
            given = submitted | dict(launch.inputs)
            for name, content in given.items():
                (box / name).write_bytes(content)
            done = subprocess.run(
                [sys.executable, launch.script, *launch.arguments],
                cwd=box,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
            files = {
                str(path.relative_to(box)): path.read_bytes()
                for path in box.rglob("*")
                if path.is_file() and given.get(str(path.relative_to(box))) is None
            }
        code = done.returncode
        verdict = ExitReason.OK if code == 0 else ExitReason.EXIT if code > 0 else ExitReason.SIGNAL
        return RunResult(
            verdict=verdict,
            exit_code=code if code >= 0 else None,
            signal=signal.Signals(-code) if code < 0 else None,
            wall_seconds=time.monotonic() - began,
            cpu_seconds=0.0,
            peak_memory_bytes=0,
            stdout=done.stdout,
            stderr=done.stderr,
            stdout_bytes=len(done.stdout),
            stderr_bytes=len(done.stderr),
            files=files,
            refused=(),
            isolation=self.isolation,
        )

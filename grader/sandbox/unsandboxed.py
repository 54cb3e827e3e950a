"""No sandbox: the user's own program on the user's own machine, at the user's request.

`finegrade check --run --own-code` uses it, and labels its results. Grading never does.
"""

from __future__ import annotations

import os
import resource
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from grader.core.constants import SANDBOX_TICK_SECONDS
from grader.core.openai_wire import KEY_VARIABLE, URL_VARIABLE
from grader.core.temporary import prefix
from grader.sandbox.api import (
    ExitReason,
    Isolation,
    RunResult,
    RunSpec,
    RunStopped,
    Serve,
    SocketService,
)
from grader.sandbox.harvest import harvest, snapshot
from grader.sandbox.inside.clock import install
from grader.sandbox.opened_files import OpenedFiles, can_watch

_BEGIN: Final = "import sys; from grader.sandbox.unsandboxed import begin; begin(*sys.argv[1:])"


class Unsandboxed:
    """Runs a program as `python script.py` would; only its wall time is limited."""

    name = "own-code"
    isolation = Isolation.NONE

    def why_not(self) -> str | None:
        """None: it works everywhere."""
        return None

    def policy(self) -> Mapping[str, Any]:
        """No isolation."""
        return {"backend": self.name}

    def run(
        self, spec: RunSpec, serve: Serve | None = None, stop: threading.Event | None = None
    ) -> RunResult:
        """See `Sandbox.run`."""
        with tempfile.TemporaryDirectory(prefix=prefix("own")) as work:
            box = Path(work) / "box"
            _fill(box, spec)
            listener = socket.create_server(("127.0.0.1", 0))
            environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **spec.environment}
            served, port = None, None
            if serve is not None:
                port = listener.getsockname()[1]
                environment[URL_VARIABLE] = f"http://127.0.0.1:{port}/v1"
                environment[KEY_VARIABLE] = "own-code"
                served = serve(listener)
            try:
                return _run(spec, box, Path(work), environment, port, served, stop)
            finally:
                if served is not None:
                    served.close()
                listener.close()


def _fill(box: Path, spec: RunSpec) -> None:
    box.mkdir()
    for name, file in spec.files.items():
        (box / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, box / name)
    for name, data in spec.inputs.items():
        path = box / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _run(
    spec: RunSpec,
    box: Path,
    work: Path,
    environment: Mapping[str, str],
    port: int | None,
    served: SocketService | None,
    stop: threading.Event | None,
) -> RunResult:
    folder = os.open(box, os.O_RDONLY | os.O_DIRECTORY)
    watch = None
    try:
        if spec.watched and can_watch():
            watch = OpenedFiles(folder, {*spec.files, *spec.inputs}, {})
        before = snapshot(folder)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        with (work / "stdout").open("w+b") as stdout, (work / "stderr").open("w+b") as stderr:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-c", _BEGIN),
                    *(str(spec.clock_rate), str(port or ""), spec.script, *spec.arguments),
                ],
                cwd=box,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            late = _wait(process, began + spec.limits.wall_seconds, served, stop)
            wall = time.monotonic() - began
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            texts = [_read(file, spec.limits.output_bytes) for file in (stdout, stderr)]
        opened = watch.seen() if watch is not None else None  # before the harvest
        taken = harvest(folder, before, spec.limits, spec.harvest)
    finally:
        if watch is not None:
            watch.close()
        os.close(folder)
    code = process.returncode
    verdict = ExitReason.SIGNAL if code < 0 else ExitReason.EXIT if code else ExitReason.OK
    return RunResult(
        verdict=ExitReason.TIMEOUT if late else verdict,
        exit_code=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        wall_seconds=wall,
        cpu_seconds=after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime,
        peak_memory_bytes=after.ru_maxrss * 1024,
        stdout=texts[0][0],
        stderr=texts[1][0],
        stdout_bytes=texts[0][1],
        stderr_bytes=texts[1][1],
        files=taken.files,
        refused=tuple(taken.refused),
        isolation=Isolation.NONE,
        made_bytes=taken.made_bytes,
        opened=opened,
    )


def _wait(
    process: subprocess.Popen[bytes],
    end: float,
    served: SocketService | None,
    stop: threading.Event | None,
) -> bool:
    """Wait for the program; True on timeout. Ends its process group."""
    try:
        while process.poll() is None:
            held = 0.0 if served is None else served.held_seconds
            if time.monotonic() > end + held or (served is not None and served.time_is_up):
                break
            if stop is not None and stop.is_set():
                raise RunStopped
            time.sleep(SANDBOX_TICK_SECONDS)
        return process.poll() is None
    finally:
        with suppress(ProcessLookupError):  # all of it has ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _read(file: Any, limit: int) -> tuple[bytes, int]:
    """The first `limit` bytes of the output, and its size in bytes."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    return file.read(limit), size


def begin(rate: str, port: str, script: str, *arguments: str) -> None:
    """In the program's own process: run it as `python script` would, on the faster clock.

    `port` is where its model service listens, "" without one.
    """
    if float(rate) != 1.0:
        install(float(rate), int(port) if port else None)
    sys.argv[:] = [script, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    runpy.run_path(script, run_name="__main__")

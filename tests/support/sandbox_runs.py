"""What the sandbox's tests share: short programs, a small service, and counts of what is left."""

from __future__ import annotations

import http.server
import os
import socket
import textwrap
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from grader.core.files import files_below
from grader.sandbox.api import Limits, RunResult, RunSpec, Sandbox, Serve
from grader.sandbox.limits import CGROUP_ROOT
from support.waiting import PATIENCE

SMALL = Limits(
    wall_seconds=PATIENCE,
    cpu_seconds=30,
    memory_bytes=256 * 2**20,
    scratch_bytes=16 * 2**20,
    scratch_files=500,
    file_bytes=32 * 2**20,
)
"""Limits that a few megabytes pass, with time enough for a busy machine."""


def run(
    sandbox: Sandbox,
    program: str,
    *arguments: str,
    serve: Serve | None = None,
    files: Mapping[str, bytes] | None = None,
    submission: Path | None = None,
    environment: Mapping[str, str] | None = None,
    clock_rate: float = 1.0,
    **limits: Any,
) -> RunResult:
    """Run the text of a program as `main.py`."""
    launch = RunSpec(
        files_below(submission) if submission else {},
        "main.py",
        arguments,
        inputs={**(files or {}), "main.py": textwrap.dedent(program).encode()},
        environment=environment or {},
        limits=replace(SMALL, **limits),
        clock_rate=clock_rate,
    )
    return sandbox.run(launch, serve)


def said(ended: RunResult) -> str:
    """What a program that went well printed."""
    assert ended.verdict == "ok", (ended.verdict, ended.exit_code, ended.stderr.decode())
    return ended.stdout.decode()


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[::-1])

    def log_message(self, *_: Any) -> None:
        pass


class MirrorService:
    """A real HTTP service on a socket that it is given; answers a body with its bytes reversed."""

    time_is_up = False
    held_seconds = 0.0

    def __init__(self, listener: socket.socket) -> None:
        self._server = http.server.HTTPServer(("", 0), _Answer, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listener
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def left_on_the_machine() -> dict[str, Any]:
    """What a run could leave: counts and names that are equal before and after it."""
    own = os.getpid()
    return {
        "processes": _descendants(own),
        "mounts": mounts(),
        "groups": sorted(groups_of(own)),
        "files": sorted(
            name
            for name in os.listdir("/tmp")
            if name.startswith("finegrade-") and f"-{own}-" in name
        ),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": sorted(thread.name for thread in threading.enumerate()),
    }


def mounts() -> int:
    """Mounts of the machine; those of container engines come and go by themselves."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return sum("/containers/" not in line and "/docker/" not in line for line in lines)


def groups_of(pid: int) -> list[str]:
    """Control groups that a grader of this process id has made and not removed."""
    return [
        os.path.join(folder, name)
        for folder, names, _ in os.walk(CGROUP_ROOT)  # which bears that groups go away meanwhile
        for name in names
        if name.startswith(f"finegrade-{pid}-")
    ]


def _descendants(pid: int) -> list[str]:
    names = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split():
            names += [Path(f"/proc/{child}/comm").read_text().strip(), *_descendants(int(child))]
    return sorted(names)


def processes_with(marker: str) -> list[int]:
    """Processes of the machine that have this in their environment or command line."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            texts = [Path("/proc", name, part).read_bytes() for part in ("environ", "cmdline")]
        except OSError:
            continue
        if any(marker.encode() in text for text in texts):
            found.append(int(name))
    return found

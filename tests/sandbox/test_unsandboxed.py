"""A student's own program on the student's own machine: no walls, and said so."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from grader.core.files import files_below
from grader.sandbox.api import ExitReason, Isolation, Limits, RunSpec, RunStopped, SocketService
from grader.sandbox.unsandboxed import Unsandboxed


def launch(tmp_path: Path, code: str, **more: object) -> RunSpec:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "main.py").write_text(code)
    return RunSpec(files_below(folder), "main.py", **more)  # type: ignore[arg-type]


def test_it_runs_with_arguments_inputs_and_its_own_folder(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom helper import word\n"
        "print(sys.argv[1:], word, open('given.txt').read())\nopen('made.txt', 'w').write('x')\n"
    )
    (tmp_path / "helper.py").write_text("word = 'helped'")
    given = launch(tmp_path, code, arguments=("a",), inputs={"given.txt": b"hello"})
    given = replace(given, files={**given.files, "helper.py": tmp_path / "helper.py"})
    ended = Unsandboxed().run(given)
    assert (ended.verdict, ended.isolation) == (ExitReason.OK, Isolation.NONE)
    assert ended.stdout == b"['a'] helped hello\n"
    assert ended.files == {"made.txt": b"x"}
    assert sorted(p.name for p in (tmp_path / "work").iterdir()) == ["main.py"]


@pytest.mark.parametrize(
    ("code", "verdict", "exit_code"),
    [
        ("raise SystemExit(3)", ExitReason.EXIT, 3),
        ("1/0", ExitReason.EXIT, 1),
        ("import os; os.kill(os.getpid(), 15)", ExitReason.SIGNAL, None),
        ("while True: pass", ExitReason.TIMEOUT, None),
    ],
)
def test_it_says_how_the_program_ended(
    tmp_path: Path, code: str, verdict: ExitReason, exit_code: int | None
) -> None:
    ended = Unsandboxed().run(launch(tmp_path, code, limits=Limits(wall_seconds=2)))
    assert (ended.verdict, ended.exit_code) == (verdict, exit_code)


def test_sleeps_pass_on_the_faster_clock(tmp_path: Path) -> None:
    code = "import time\nbegan = time.time()\ntime.sleep(100)\nprint(time.time() - began >= 100)"
    ended = Unsandboxed().run(launch(tmp_path, code, clock_rate=1000.0))
    assert ended.stdout == b"True\n"


def test_the_service_is_found_by_the_usual_variables(tmp_path: Path) -> None:
    class Line(SocketService):
        time_is_up = False
        held_seconds = 0.0

        def __init__(self, listener: socket.socket) -> None:
            self.heard = b""
            self._thread = threading.Thread(target=self._hear, args=(listener,))
            self._thread.start()

        def _hear(self, listener: socket.socket) -> None:
            connection, _ = listener.accept()
            with connection:
                self.heard = connection.recv(100)

        def close(self) -> None:
            self._thread.join()

    lines: list[Line] = []

    def serve(listener: socket.socket) -> Line:
        lines.append(Line(listener))
        return lines[0]

    code = (
        "import os, socket\nfrom urllib.parse import urlsplit\n"
        "at = urlsplit(os.environ['OPENAI_BASE_URL'])\n"
        "with socket.create_connection((at.hostname, at.port)) as line: line.send(b'hello')\n"
    )
    assert Unsandboxed().run(launch(tmp_path, code), serve).verdict is ExitReason.OK
    assert lines[0].heard == b"hello"


def test_it_stops_when_told(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    with pytest.raises(RunStopped):
        Unsandboxed().run(launch(tmp_path, "import time; time.sleep(60)"), None, stop)
    assert time.monotonic() - began < 50

"""A service in a process of its own, as `finegrade simulate` starts it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai

from support.sim_apps import environment
from support.waiting import wait_for


class Simulate:
    """A running `finegrade simulate`; `url` is what it tells clients to use."""

    def __init__(self, process: subprocess.Popen[str], exports: dict[str, str]) -> None:
        self.process = process
        self.exports = exports
        self.url = exports["OPENAI_BASE_URL"]

    def client(self) -> openai.OpenAI:
        """A client that has nothing but what the service printed."""
        return openai.OpenAI(
            base_url=self.url, api_key=self.exports["OPENAI_API_KEY"], max_retries=0
        )

    def kill(self) -> None:
        """As `kill -9` does it."""
        self.process.kill()
        self.process.wait()


@contextmanager
def simulate(home: Path, *options: str) -> Iterator[Simulate]:
    """The service on a free port; whatever becomes of the test, it ends."""
    log = home.with_suffix(".log")
    command = [sys.executable, "-m", "grader.cli.main", "simulate"]
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [*command, "--port=0", f"--home={home}", "--time-scale=0", *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment(),
        )
    try:
        assert process.stdout is not None
        exports = {}
        for _ in range(2):
            line = process.stdout.readline()
            assert line.startswith("export "), log.read_text()
            name, _, value = shlex.split(line)[1].partition("=")
            exports[name] = value
        yield Simulate(process, exports)
    finally:
        interrupted(process)


def interrupted(process: subprocess.Popen[str]) -> None:
    """End a command as Ctrl-C does, and by force where that does not help."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def is_alive(pid: int) -> bool:
    """Whether the process runs: not ended, and no zombie that nobody has fetched yet."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def gone(pid: int) -> None:
    """Wait until the process is no more."""
    wait_for(lambda: not is_alive(pid))

"""Training processes, forked from one process that has loaded what every training needs.

Loading torch, transformers and peft takes more than four seconds of processor time, training on a
small file one. So they are loaded once, by the fork server, and each job's process is a fork of it.
The fork server is a program of its own: it has one thread, holds no file or lock of the service
and imports nothing of it.

For each job the service sends a packet to the fork server's standard input: the arguments of
`grader.openai_sim.jobs.training` as JSON, and two file descriptors, of a socket and of the job's
log. The socket becomes the standard input of the new process, so that it ends when the service
does. Through the socket the fork server sends the process id and, at the end, the exit code.
The fork server itself ends when its standard input closes.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, NoReturn, Protocol, Self

from grader.core.constants import FORK_WITH_TORCH

_PACKET_BYTES: Final = 65536  # the arguments of a job are four paths at most


class TrainingProcess(Protocol):
    """A job's process, in the terms of subprocess.Popen. Leaving its context waits for its end."""

    pid: int

    def poll(self) -> int | None:
        """The exit code, -N for signal N; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended; raises TimeoutExpired after `timeout` seconds."""

    def terminate(self) -> None:
        """Ask it to save its state and end."""

    def kill(self) -> None:
        """End it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class ForkServer:
    """Starts training processes. Runs while somebody holds it. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def acquire(self, base: Path) -> None:
        """Hold it until `release`. Where it does not run, it starts to load what the model in
        the folder `base` needs."""
        with self._lock:
            self._holders += 1
            if FORK_WITH_TORCH and (self._process is None or self._process.poll() is not None):
                self._close()
                self._open(base)

    def release(self) -> None:
        """Let go of it; it ends with its last holder. Training processes are left alone."""
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._close()

    def start(self, arguments: Sequence[str], log: BinaryIO) -> TrainingProcess:
        """The process of a job. `arguments` are those of `grader.openai_sim.jobs.training`.

        It is forked, once all is loaded. Without a fork server, be it that the platform does not
        allow one or that it was killed, the process loads all by itself.
        """
        with suppress(OSError):
            return self._fork(arguments, log)
        return subprocess.Popen(
            [sys.executable, "-m", "grader.openai_sim.jobs.training", *arguments],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=_environment(),
        )

    def _open(self, base: Path) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "grader.openai_sim.jobs.fork_server", str(base)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # where it fails, the job's own process says why
                env=_environment(),
            )

    def _close(self) -> None:
        if self._requests is not None and self._process is not None:
            self._requests.close()
            self._process.kill()  # it may still be loading
            self._process.wait()
        self._requests = self._process = None

    def _fork(self, arguments: Sequence[str], log: BinaryIO) -> _ForkedProcess:
        """Raises OSError when there is no fork server."""
        requests = self._requests
        if requests is None:
            raise ConnectionError
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                descriptors = [theirs.fileno(), log.fileno()]
                socket.send_fds(requests, [json.dumps(arguments).encode()], descriptors)
            return _ForkedProcess(ours)
        except OSError:
            ours.close()
            raise


FORK_SERVER: Final = ForkServer()
"""That of this process: all its services train through it."""


class _ForkedProcess:
    """A process that the fork server forked and waits for."""

    def __init__(self, line: socket.socket) -> None:
        """Waits for the process id, raises ConnectionError where none comes."""
        self._line = line
        self._code: int | None = None
        packet = line.recv(_PACKET_BYTES)
        if not packet:
            raise ConnectionError
        self.pid = int(packet)

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("training", timeout or 0)
            packet = self._line.recv(_PACKET_BYTES)
            # Nothing comes when the fork server was killed before the process ended.
            self._code = int(packet) if packet else -signal.SIGKILL
        return self._code

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()
        self._line.close()


def _environment() -> dict[str, str]:
    """Of a process that trains: one thread, no network, and this very package."""
    package = str(Path(__file__).parents[3])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH", ""))))
    return {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "TQDM_DISABLE": "1",
    }


def main() -> None:
    """The fork server: `python -m grader.openai_sim.jobs.fork_server BASE`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which then ends us
    preload(Path(sys.argv[1]))
    _serve(socket.socket(fileno=0))


def preload(base: Path) -> None:
    """Import what a training of the model in the folder `base` uses; it must start no thread."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    import grader.models.training
    import grader.openai_sim.jobs.training  # noqa: F401
    from grader.training_data.check import DEFAULT_MODEL
    from grader.training_data.tokens import counter

    torch.set_num_threads(1)
    AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):  # without weights: it is the model's code that takes long to load
        AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    counter(DEFAULT_MODEL)
    gc.collect()
    gc.freeze()  # a collection in a fork would copy all these objects' memory


def _serve(requests: socket.socket) -> None:
    """Fork a process for each packet, and say how each ended, until the service is gone."""
    woken, waker = socket.socketpair()
    for end in (woken, waker):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno())
    lines: dict[int, socket.socket] = {}  # by process id
    while True:
        ready = select.select([requests, woken], [], [])[0]
        if woken in ready:
            woken.recv(_PACKET_BYTES)
            _report(lines)
        if requests not in ready:
            continue
        packet, descriptors, _, _ = socket.recv_fds(requests, _PACKET_BYTES, 2)
        if not packet:
            return
        line, log = socket.socket(fileno=descriptors[0]), descriptors[1]
        pid = os.fork()
        if not pid:
            for held in (requests, woken, waker, *lines.values()):
                held.close()
            _become(json.loads(packet), line.detach(), log)
        os.close(log)
        lines[pid] = line
        with suppress(OSError):  # the service is gone, and the process soon will be
            line.send(str(pid).encode())


def _report(lines: dict[int, socket.socket]) -> None:
    """Send the exit codes of processes that have ended."""
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            with lines.pop(pid) as line, suppress(OSError):
                line.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(arguments: Sequence[str], line: int, log: int) -> NoReturn:
    """Be the process of a job, from the fork to the end."""
    from grader.openai_sim.jobs import training

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor, number in ((line, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, number)
    os.close(line)
    os.close(log)
    training.run(arguments)


if __name__ == "__main__":
    main()

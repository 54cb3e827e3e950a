"""What a hostile program must not get at: fresh secrets, and listeners that nobody may reach."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import grader
from grader.sandbox.launch import Isolation, Limits

PREFIX: Final = "fgcanary"  # programs know it and look for it
_SOCKETS: Final = "/tmp"  # a socket's path is at most 107 bytes, the temporary folder's may be more
_SHARED_MEMORY: Final = Path("/dev/shm")


def fresh_canary() -> str:
    """A string that was never anywhere before."""
    return PREFIX + secrets.token_hex(12)


class Decoy:
    """A process of the grader's own user with secrets in its environment and its arguments.

    While it lives, the environment that this process hands to its children holds one as well.
    """

    def __init__(self) -> None:
        self.canaries = [fresh_canary() for _ in range(3)]
        os.environ["FINEGRADE_ESCAPE_SECRET"] = self.canaries[0]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", "input()", self.canaries[1]],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"SECRET": self.canaries[2]},
        )

    @property
    def pid(self) -> int:
        """Its process id, which programs are told."""
        return self._process.pid

    def alive(self) -> bool:
        """Nobody killed or stopped it."""
        if self._process.poll() is not None:
            return False
        status = Path(f"/proc/{self.pid}/stat").read_text()
        return status.rpartition(")")[2].split()[0] not in "Tt"

    def close(self) -> None:
        """End it and take the secret out of the environment again."""
        os.environ.pop("FINEGRADE_ESCAPE_SECRET", None)
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()


class Plants:
    """Fresh secrets and listeners for one run; all gone after `close`.

    `submission` is the program's own folder. `targets` says where everything lies, as an attacker
    would know it who has read all of our source, but not the secrets themselves.
    """

    def __init__(self, decoy: Decoy, isolation: Isolation, limits: Limits, token: str) -> None:
        self._open = contextlib.ExitStack()
        self._base = Path(tempfile.mkdtemp(prefix="finegrade-escape-"))
        self._open.callback(shutil.rmtree, self._base, ignore_errors=True)
        # Permissions alone must not be what protects other students: many folders are 0755.
        self._base.chmod(0o755)
        self.canaries = list(decoy.canaries)
        hidden = self._secret("hidden/questions.jsonl", folder_mode=0o700)
        evidence = self._secret("store/evidence.sqlite", folder_mode=0o755)
        class_folder = self._base / f"submissions-{self._canary()}"
        self.submission = class_folder / "me"
        self.submission.mkdir(parents=True)
        other = self._base / "others" / "ada"
        self._secret("others/ada/reflection.md", folder_mode=0o755)
        public = self._secret("public.txt", folder_mode=0o755)
        self._listeners: list[socket.socket] = []
        tcp = self._listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        udp = self._listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        sockets = Path(tempfile.mkdtemp(prefix="finegrade-escape-", dir=_SOCKETS))
        self._open.callback(shutil.rmtree, sockets, ignore_errors=True)
        sockets.chmod(0o755)
        unix = str(sockets / "socket")
        self._listen(socket.AF_UNIX, socket.SOCK_STREAM, unix)
        Path(unix).chmod(0o777)
        abstract = f"finegrade-escape-{secrets.token_hex(8)}"
        self._listen(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + abstract)
        files = [hidden, evidence, other / "reflection.md", public]
        if _SHARED_MEMORY.is_dir():
            shared = _SHARED_MEMORY / f"finegrade-escape-{secrets.token_hex(8)}"
            self._open.callback(shared.unlink, missing_ok=True)
            shared.write_text(self._canary())
            shared.chmod(0o644)
            files.append(shared)
        self.targets: dict[str, Any] = {
            "prefix": PREFIX,
            "token": token,
            "isolation": isolation.value,
            "base": str(self._base),
            "hidden": str(hidden),
            "evidence": str(evidence),
            "other": str(other),
            "files": [str(path) for path in files],
            "home": str(Path.home()),
            "source": str(Path(grader.__file__).parent),
            "uid": os.getuid(),
            "grader": os.getpid(),
            "decoy": decoy.pid,
            "tcp": tcp[1],
            "udp": udp[1],
            "unix": unix,
            "abstract": abstract,
            "processes": limits.processes,
            "memory": limits.memory_bytes,
            "scratch": limits.scratch_bytes,
            "inodes": limits.scratch_files,
            "descriptors": limits.open_files,
        }

    def targets_file(self) -> bytes:
        """`targets` as the input file that programs read."""
        return json.dumps(self.targets).encode()

    def reached(self) -> list[str]:
        """The listeners of ours that something came to."""
        names = ["TCP server", "UDP server", "Unix socket", "abstract Unix socket"]
        return [
            name
            for name, listener in zip(names, self._listeners, strict=True)
            if _anything_came(listener)
        ]

    def close(self) -> None:
        """Remove the files and close the listeners."""
        self._open.close()

    def _canary(self) -> str:
        self.canaries.append(fresh_canary())
        return self.canaries[-1]

    def _secret(self, relative: str, folder_mode: int) -> Path:
        path = self._base / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(folder_mode)
        path.write_text(f'{{"answer": "{self._canary()}"}}\n')
        path.chmod(0o644)
        return path

    def _listen(self, family: int, kind: int, address: Any) -> Any:
        listener = self._open.enter_context(socket.socket(family, kind))
        listener.bind(address)
        if kind == socket.SOCK_STREAM:
            listener.listen(8)
        listener.setblocking(False)
        self._listeners.append(listener)
        return listener.getsockname()


@contextlib.contextmanager
def own_temporary_folder() -> Iterator[Path]:
    """All temporary files of this process lie in a folder of their own meanwhile."""
    before = tempfile.tempdir
    folder = Path(tempfile.mkdtemp(prefix="finegrade-escapes-"))
    folder.chmod(0o755)
    tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def _anything_came(listener: socket.socket) -> bool:
    try:
        if listener.type == socket.SOCK_DGRAM:
            listener.recv(1)
        else:
            listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True

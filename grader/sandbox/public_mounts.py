"""Starts programs from a thread that sees root's files at a place that every user can reach.

A grader that is root runs scripts as another user, to whom a virtual environment below /root is
out of reach. The thread has a mount namespace of its own, with the folders bound below /mnt; no
other thread or process of the machine sees them, and they go away with the thread. It lives as
long as the grader, because the programs that it starts are killed when it ends.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Final

from grader.constants import SANDBOX_ROOT_BYTES
from grader.errors import GraderFault
from grader.sandbox.interpreter import interpreter

PUBLIC: Final = Path("/mnt")
CLONE_NEWNS: Final = 0x00020000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_SLAVE = 0x2, 0x4, 0x1000, 0x4000, 0x80000


def public_mounts() -> dict[str, Path]:
    """The interpreter's mounts as `run_in_public` sees them: path inside to path there."""
    return {inside: PUBLIC / str(at) for at, inside in enumerate(interpreter().mounts)}


def popen_publicly(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Call `start` in the thread. Raises GraderFault where no namespace can be made."""
    return _thread_of(os.getpid()).submit(_entered, start).result()


@cache
def _thread_of(process: int) -> ThreadPoolExecutor:
    """One thread in each process: a fork has none of its parent's."""
    return ThreadPoolExecutor(1, thread_name_prefix="sandbox-launcher")


def _entered(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    _enter(os.getpid())
    return start()


@cache
def _enter(process: int) -> None:
    """Make the namespace; runs once, in the thread."""
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int, what: str) -> None:
        if result != 0:
            reason = os.strerror(ctypes.get_errno())
            raise GraderFault(f"{what} failed: {reason}")

    def mount(source: str, target: Path | str, kind: str | None, flags: int, data: str) -> None:
        check(
            libc.mount(
                source.encode(),
                str(target).encode(),
                kind.encode() if kind else None,
                ctypes.c_ulong(flags),
                data.encode() or None,
            ),
            f"mounting {target}",
        )

    check(libc.unshare(CLONE_NEWNS), "making a mount namespace")
    mount("none", "/", None, MS_REC | MS_SLAVE, "")
    # opened first: they may lie below the folder that is hidden next
    wanted = [
        (os.open(path, os.O_PATH | os.O_CLOEXEC), path.is_dir())
        for path in interpreter().mounts.values()
    ]
    size = f"mode=0755,size={SANDBOX_ROOT_BYTES}"
    mount("finegrade", PUBLIC, "tmpfs", MS_NOSUID | MS_NODEV, size)
    for target, (fd, is_folder) in zip(public_mounts().values(), wanted, strict=True):
        target.mkdir() if is_folder else target.touch()
        mount(f"/proc/self/fd/{fd}", target, None, MS_BIND | MS_REC, "")
        os.close(fd)

"""The watchdog: looks at a running program from outside and says when it has used too much."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grader.constants import SANDBOX_DISK_SLACK_BYTES, SANDBOX_TMP_SHARE
from grader.sandbox.cgroups import Cgroup
from grader.sandbox.launch import Limits, Verdict

PAGE: Final = os.sysconf("SC_PAGE_SIZE")
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What the scratch folders hold: bytes and files of each."""

    scratch: tuple[tuple[int, int], ...]

    @property
    def total_bytes(self) -> int:
        return sum(size for size, _ in self.scratch)


def scratch_bytes(limits: Limits) -> tuple[int, int, int]:
    """How many bytes the working folder, /tmp and /dev/shm may hold."""
    other = int(limits.scratch_bytes * SANDBOX_TMP_SHARE)
    return limits.scratch_bytes, other, other


def folder_bytes(limits: Limits) -> tuple[int, int, int]:
    """How large the file systems of these folders are: a little more, so that too much shows."""
    box, tmp, shm = scratch_bytes(limits)
    slack = SANDBOX_DISK_SLACK_BYTES
    return box + slack, tmp + slack, shm + slack


class Watchdog:
    """Watches one run.

    `members` gives the processes of the run; `scratch` are descriptors of its folders, each a file
    system of its own; `group` is its control group, where there is one.
    """

    def __init__(
        self,
        limits: Limits,
        members: Callable[[], Iterable[int]],
        usage: Callable[[], Usage],
        group: Cgroup | None,
    ) -> None:
        self.limits = limits
        self.group = group
        self.peak_bytes = 0
        self.cpu_seconds = 0.0
        self._members = members
        self._usage = usage
        self._staged = usage()
        self._began = time.monotonic()

    def look(self) -> Verdict | None:
        """Which limit the run has passed, if any."""
        if time.monotonic() - self._began > self.limits.wall_seconds:
            return Verdict.TIMEOUT
        members = list(self._members())
        self.cpu_seconds = max(self.cpu_seconds, sum(map(cpu_seconds, members)))
        if self.cpu_seconds > self.limits.cpu_seconds:
            return Verdict.TIMEOUT
        return self._memory(members) or self.disk()

    def disk(self) -> Verdict | None:
        """Whether the scratch folders hold more than they may, also after the run's end."""
        allowed = scratch_bytes(self.limits)
        for now, first, most in zip(
            self._usage().scratch, self._staged.scratch, allowed, strict=True
        ):
            if now[0] - first[0] > most or now[1] - first[1] > self.limits.scratch_files:
                return Verdict.DISK
        return None

    def memory(self) -> Verdict | None:
        """Whether the kernel has ended something of the run for its memory."""
        return Verdict.MEMORY if self.group and self.group.out_of_memory() else None

    def _memory(self, members: list[int]) -> Verdict | None:
        if self.group:
            self.peak_bytes = self.group.peak_bytes()
            return self.memory()
        folders = self._usage().total_bytes
        used = sum(map(resident_bytes, members)) + folders
        if used > self.limits.memory_bytes:  # pages that processes share were counted for each
            used = sum(map(proportional_bytes, members)) + folders
        self.peak_bytes = max(self.peak_bytes, used)
        return Verdict.MEMORY if used > self.limits.memory_bytes else None


def folder_usage(folders: list[int]) -> Usage:
    """What file systems hold, each given by a descriptor of a folder in it."""
    found = [os.fstatvfs(fd) for fd in folders]
    return Usage(
        tuple(((at.f_blocks - at.f_bfree) * at.f_frsize, at.f_files - at.f_ffree) for at in found)
    )


def family(pid: int) -> list[int]:
    """A process and all that descend from it, as far as they live."""
    found = [pid]
    for one in found:
        try:
            threads = os.listdir(f"/proc/{one}/task")
            for thread in threads:
                children = Path(f"/proc/{one}/task/{thread}/children").read_text()
                found += map(int, children.split())
        except OSError:
            continue
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and of those of its children that it has waited for."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def resident_bytes(pid: int) -> int:
    """A process's pages, those shared with others included."""
    fields = _read(pid, "statm").split()
    return int(fields[1]) * PAGE if fields else 0


def proportional_bytes(pid: int) -> int:
    """A process's pages, each shared one divided by the number of those who share it."""
    for line in _read(pid, "smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return resident_bytes(pid)  # it may not be looked into


def _read(pid: int, name: str) -> bytes:
    """A file of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""

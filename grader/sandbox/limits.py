"""Resource limits on a run: a watchdog outside the sandbox, and control groups where there are any.

A control group lets the kernel limit memory; versions 1 and 2 of the interface are supported.
Where none can be made, the watchdog alone measures.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from grader.core.constants import (
    SANDBOX_DISK_SLACK_BYTES,
    SANDBOX_END_SECONDS,
    SANDBOX_TICK_SECONDS,
    SANDBOX_TMP_SHARE,
)
from grader.sandbox.api import ExitReason, Limits
from grader.sandbox.queue_delay import QueueDelay

CGROUP_ROOT = Path("/sys/fs/cgroup")
PREFIX = "finegrade-"
JANITOR = """
read -r _
for i in $(seq 200); do
    left=0
    for prefix; do
        for folder in "$prefix"*; do
            [ -d "$folder" ] && { rmdir "$folder" 2>/dev/null || left=1; }
        done
    done
    [ $left = 0 ] && exit
    sleep 0.05
done
"""
_NUMBERS = itertools.count()


class Cgroup:
    """The control group of one run: one folder for each controller."""

    def __init__(self, memory: Path, pids: Path | None, version: int) -> None:
        self.memory = memory
        self.folders = [memory] if pids in (None, memory) else [memory, pids]
        self.version = version

    def add(self, pid: int) -> None:
        """Add a process; its later children belong to the group as well."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed a process of the group for its memory."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        found = re.search(r"^oom_kill (\d+)$", (self.memory / name).read_text(), re.MULTILINE)
        return found is not None and int(found[1]) > 0

    def peak_bytes(self) -> int:
        """Peak memory in bytes; 0 where the kernel is too old to report it."""
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        try:
            return int((self.memory / name).read_text())
        except OSError:
            return 0

    def remove(self) -> None:
        """Remove the folders; the kernel refuses for a moment after the last process's end."""
        for folder in self.folders:
            _remove(folder)


def _remove(folder: Path) -> None:
    until = time.monotonic() + SANDBOX_END_SECONDS
    while folder.is_dir():
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.002)


def make_cgroup(limits: Limits) -> Cgroup | None:
    """A new empty group with the limits on memory and processes; None where none can be made."""
    home = _home()
    if home is None:
        return None
    version, memory, pids = home
    homes = tuple(folder for folder in dict.fromkeys((memory, pids)) if folder)
    _janitor(os.getpid(), homes)
    name = f"{PREFIX}{os.getpid()}-{next(_NUMBERS)}"
    made = [folder / name for folder in homes]
    try:
        for folder in made:
            folder.mkdir()
        group = Cgroup(made[0], made[-1] if pids else None, version)
        _limit(group, limits)
    except OSError:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        return None
    return group


def _limit(group: Cgroup, limits: Limits) -> None:
    # a thread more than the program's own limit: the process that waits for it
    (group.folders[-1] / "pids.max").write_text(str(limits.processes + 2))
    if group.version == 1:
        (group.memory / "memory.limit_in_bytes").write_text(str(limits.memory_bytes))
        with_swap = group.memory / "memory.memsw.limit_in_bytes"
        if with_swap.exists():
            with_swap.write_text(str(limits.memory_bytes))
    else:
        (group.memory / "memory.max").write_text(str(limits.memory_bytes))
        (group.memory / "memory.oom.group").write_text("1")
        with_swap = group.memory / "memory.swap.max"
        if with_swap.exists():
            with_swap.write_text("0")


def can_make_cgroups() -> bool:
    """Whether this machine lets the grader limit memory by control groups."""
    return _home() is not None


def enforced() -> dict[str, str]:
    """By limit, what enforces it for all processes of a run on this machine."""
    home = _home()
    version, pids = (home[0], home[2] is not None) if home is not None else (0, False)
    group = f"control groups (version {version})"
    watchdog = f"the watchdog, which looks every {SANDBOX_TICK_SECONDS * 1000:.0f} ms"
    return {
        "memory": group if version else watchdog,
        "processes": group if pids else "the kernel's limit on a user's processes (RLIMIT_NPROC)",
        "disk": f"{watchdog}; sized file systems where the sandbox can mount them",
        "processor time": f"{watchdog}; for one process the kernel as well (RLIMIT_CPU)",
    }


@cache
def _janitor(process: int, folders: tuple[Path, ...]) -> None:
    """Start a shell that removes this process's groups after it has ended in any way.

    The kernel keeps an empty group for ever, and a killed grader removes nothing.
    """
    read, _write = os.pipe()  # the writing end stays open as long as this process lives
    names = [str(folder / f"{PREFIX}{process}-") for folder in folders]
    os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", JANITOR, "finegrade-janitor", *names],
        {"PATH": "/usr/bin:/bin"},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, read, 0),
            *((os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)),
        ],
        setsid=True,  # Ctrl-C is for the grader
    )
    os.close(read)


@cache
def _home() -> tuple[int, Path, Path | None] | None:
    """(version, folder for memory, folder for pids) in which groups can be made."""
    own = Path("/proc/self/cgroup").read_text()
    paths = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in own.splitlines()}
    if "memory" in paths:
        memory = CGROUP_ROOT / "memory" / paths["memory"].lstrip("/")
        pids = CGROUP_ROOT / "pids" / paths.get("pids", "/").lstrip("/")
        usable = _writable(memory) and _writable(pids)
        return (1, memory, pids) if usable else None
    if "" in paths:
        at = CGROUP_ROOT / paths[""].lstrip("/")
        for folder in (at, *at.parents):
            if folder == CGROUP_ROOT.parent:
                break
            if _delegated(folder):
                return 2, folder, folder
    return None


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK)


def _delegated(folder: Path) -> bool:
    """Whether groups below this one of version 2 can hold memory and processes."""
    try:
        passed_on = (folder / "cgroup.subtree_control").read_text().split()
    except OSError:
        return False
    may_move = os.access(folder / "cgroup.procs", os.W_OK)
    return {"memory", "pids"} <= set(passed_on) and may_move and _writable(folder)


PAGE: Final = os.sysconf("SC_PAGE_SIZE")
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """Bytes and files in each scratch folder."""

    scratch: tuple[tuple[int, int], ...]

    @property
    def total_bytes(self) -> int:
        return sum(size for size, _ in self.scratch)


def scratch_bytes(limits: Limits) -> tuple[int, int, int]:
    """How many bytes the working folder, /tmp and /dev/shm may hold."""
    other = int(limits.scratch_bytes * SANDBOX_TMP_SHARE)
    return limits.scratch_bytes, other, other


def folder_bytes(limits: Limits) -> tuple[int, int, int]:
    """The sizes of their file systems: a little more, so that an excess is seen."""
    box, tmp, shm = scratch_bytes(limits)
    slack = SANDBOX_DISK_SLACK_BYTES
    return box + slack, tmp + slack, shm + slack


class Watchdog:
    """Measures one run against its limits.

    `members` gives the processes of the run; `scratch` are descriptors of its folders, each a file
    system of its own; `group` is its control group, where there is one. `held` gives the seconds
    of wall time that do not count.
    """

    def __init__(
        self,
        limits: Limits,
        members: Callable[[], Iterable[int]],
        usage: Callable[[], DiskUsage],
        group: Cgroup | None,
        held: Callable[[], float] = float,
    ) -> None:
        self.limits = limits
        self.group = group
        self.peak_bytes = 0
        self.cpu_seconds = 0.0
        self._members = members
        self._held = held
        self._usage = usage
        self._staged = usage()
        self._began = time.monotonic()
        self._queue = QueueDelay()

    @property
    def uncounted_seconds(self) -> float:
        """Wall time that does not count: the service worked, or no processor was free."""
        return self._held() + self._queue.seconds

    def look(self) -> ExitReason | None:
        """The limit that the run has exceeded, if any."""
        members = list(self._members())
        self._queue.look(members)
        if time.monotonic() - self._began - self.uncounted_seconds > self.limits.wall_seconds:
            return ExitReason.TIMEOUT
        self.cpu_seconds = max(self.cpu_seconds, sum(map(cpu_seconds, members)))
        if self.cpu_seconds > self.limits.cpu_seconds:
            return ExitReason.TIMEOUT
        return self._memory(members) or self.disk()

    def disk(self) -> ExitReason | None:
        """Whether the scratch folders hold more than they may, also after the run's end."""
        allowed = scratch_bytes(self.limits)
        for now, first, most in zip(
            self._usage().scratch, self._staged.scratch, allowed, strict=True
        ):
            if now[0] - first[0] > most or now[1] - first[1] > self.limits.scratch_files:
                return ExitReason.DISK
        return None

    def memory(self) -> ExitReason | None:
        """Whether the kernel has ended something of the run for its memory."""
        return ExitReason.MEMORY if self.group and self.group.out_of_memory() else None

    def _memory(self, members: list[int]) -> ExitReason | None:
        if self.group:
            self.peak_bytes = self.group.peak_bytes()
            return self.memory()
        other = sum(map(page_table_bytes, members)) + self._usage().total_bytes
        used = sum(map(resident_bytes, members)) + other
        if used > self.limits.memory_bytes:  # pages that processes share were counted for each
            used = sum(map(proportional_bytes, members)) + other
        self.peak_bytes = max(self.peak_bytes, used)
        return ExitReason.MEMORY if used > self.limits.memory_bytes else None


def folder_usage(folders: list[int]) -> DiskUsage:
    """Bytes and files of file systems, each given by a descriptor of a folder in it."""
    found = [os.fstatvfs(fd) for fd in folders]
    return DiskUsage(
        tuple(((at.f_blocks - at.f_bfree) * at.f_frsize, at.f_files - at.f_ffree) for at in found)
    )


def family(pid: int) -> list[int]:
    """The living processes among a process and its descendants."""
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


def page_table_bytes(pid: int) -> int:
    """A process's page tables: mappings that are only read fill them and nothing else."""
    for line in _read(pid, "status").splitlines():
        if line.startswith(b"VmPTE:"):
            return int(line.split()[1]) * 1024
    return 0


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

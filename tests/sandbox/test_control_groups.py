"""Control groups: both versions of the text, and the real ones of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from support.waiting import wait_for

from grader.sandbox import limits
from grader.sandbox.api import Limits
from grader.sandbox.limits import Cgroup, family, make_cgroup


def test_a_real_group_holds_what_is_put_in_and_goes_away():
    group = make_cgroup(Limits(memory_bytes=64 * 2**20))
    assert (group is not None) == limits.can_make_cgroups()
    if group is None:  # an ordinary user: then the watchdog counts
        return
    assert not group.out_of_memory()
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        group.add(sleeper.pid)
        held = [(folder / "cgroup.procs").read_text().split() for folder in group.folders]
        sleeper.kill()
    assert held == [[str(sleeper.pid)]] * len(group.folders)
    group.remove()
    assert not any(folder.exists() for folder in group.folders)


@pytest.mark.parametrize(
    ("version", "name", "text"),
    [
        (1, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"),
        (2, "memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill {}\noom_group_kill 0\n"),
    ],
)
def test_a_kill_for_memory_is_read_in_both_versions(
    tmp_path: Path, version: int, name: str, text: str
):
    group = Cgroup(tmp_path, None, version)
    (tmp_path / name).write_text(text.format(0))
    assert not group.out_of_memory()
    (tmp_path / name).write_text(text.format(2))
    assert group.out_of_memory()


def test_a_kernel_that_keeps_no_peak_is_no_fault(tmp_path: Path):
    assert Cgroup(tmp_path, None, 2).peak_bytes() == 0
    (tmp_path / "memory.peak").write_text("4096\n")
    assert Cgroup(tmp_path, None, 2).peak_bytes() == 4096


@pytest.mark.parametrize(
    ("passed_on", "found"), [("memory pids", True), ("cpu memory", False), ("", False)]
)
def test_version_2_is_used_only_where_both_controllers_are_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passed_on: str, found: bool
):
    for name in ("cgroup.procs", "cgroup.subtree_control"):
        (tmp_path / name).write_text(passed_on)
    assert limits._delegated(tmp_path) is found


def test_a_family_is_a_process_and_its_descendants():
    def names() -> list[str]:
        found = (Path(f"/proc/{pid}/comm") for pid in family(shell.pid))
        return sorted(path.read_text().strip() for path in found if path.exists())

    with subprocess.Popen(
        ["sh", "-c", "sleep 600 & sh -c 'sleep 600; :' & wait"], start_new_session=True
    ) as shell:
        try:
            wait_for(lambda: names() == ["sh", "sh", "sleep", "sleep"])
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
    assert family(2**22 + 1) == [2**22 + 1]

"""What bubblewrap's walls are made of, and what it says on a machine where they cannot stand."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.sandbox_runs import MirrorService, run, said
from support.sandboxes import need_backend
from support.waiting import PATIENCE

from grader.core.constants import SANDBOX_UID
from grader.core.errors import GraderFault
from grader.sandbox.api import Sandbox
from grader.sandbox.backends import bubblewrap
from grader.sandbox.limits import family


@pytest.fixture
def walls() -> Sandbox:
    return need_backend("bubblewrap")


def test_it_works_here_or_says_why_not(walls: Sandbox):
    assert walls.why_not() is None


def test_no_capability_and_no_way_to_one(walls: Sandbox):
    ended = run(
        walls,
        """
        for line in open("/proc/self/status"):
            if line.startswith(("Cap", "NoNewPrivs", "Seccomp:")):
                print(*line.split())
        """,
    )
    lines = dict(line.split(": ") for line in said(ended).splitlines())
    assert {name: int(value, 16) for name, value in lines.items()} == {
        **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0),
        "NoNewPrivs": 1,
        "Seccomp": 2,
    }


def test_root_starts_it_as_a_user_who_owns_nothing(walls: Sandbox):
    ended = run(walls, "print(open('/proc/self/mountinfo').read())")
    expected = SANDBOX_UID if os.geteuid() == 0 else os.geteuid()
    assert f",uid={expected}," in said(ended)
    assert ",uid=0" not in said(ended)


def test_only_three_folders_take_files(walls: Sandbox):
    ended = run(
        walls,
        """
        import os
        for folder, names, _ in os.walk("/"):
            if folder == "/":
                names.remove("proc")
            try:
                open(os.path.join(folder, "new"), "x").close()
            except OSError:
                continue
            print(folder)
            names.clear()
        """,
    )
    assert sorted(said(ended).split()) == ["/box", "/dev/shm", "/tmp"]


def test_the_submissions_place_is_not_told(walls: Sandbox, tmp_path):
    submission = tmp_path / "student-4711"
    submission.mkdir()
    (submission / "data.txt").write_text("x")
    program = "print(open('/proc/self/mountinfo').read(), open('/proc/1/cmdline').read())"
    assert "4711" not in said(run(walls, program, submission=submission))


def test_it_is_process_two_of_two(walls: Sandbox):
    program = "import os; print(os.getpid(), sorted(p for p in os.listdir('/proc') if p.isdigit()))"
    assert said(run(walls, program)) == "2 ['1', '2']\n"


def test_the_reaper_cannot_be_ended_from_inside(walls: Sandbox):
    ended = run(
        walls,
        """
        import os, signal
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP):
            os.kill(1, number)
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            pass
        print("still here")
        raise SystemExit(7)
        """,
    )
    assert (ended.exit_code, ended.stdout) == (7, b"still here\n")


def test_a_missing_bwrap_is_named_with_the_command_that_installs_it(
    walls: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bubblewrap, "TOOL_PATH", "/nowhere")
    assert walls.why_not() == "bwrap is not installed; run: sudo apt install bubblewrap"
    with pytest.raises(GraderFault, match="apt install bubblewrap"):
        run(walls, "pass")


ASK = "from grader.sandbox.backends.bubblewrap import Bubblewrap; print(Bubblewrap().why_not())"


@pytest.mark.parametrize("user", ["0", "1000"])
def test_blocked_user_namespaces_are_named_with_the_way_out(walls: Sandbox, user: str):
    """Asked inside a user namespace in which no other can be made."""
    outer = ["bwrap", "--dev-bind", "/", "/", "--unshare-user", "--disable-userns", "--uid"]
    answer = subprocess.run(
        [*outer, user, sys.executable, "-c", ASK],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert answer.returncode == 0, answer.stderr
    if user == "0":
        assert "this root may not" in answer.stdout
        assert "run finegrade as a user who is not root" in answer.stdout
    else:
        assert answer.stdout.startswith("namespaces are blocked on this machine")
        assert "sudo sysctl" in answer.stdout


def test_a_sandbox_ended_from_outside_is_no_verdict_about_the_program(walls: Sandbox):
    def serve(listener: socket.socket) -> MirrorService:
        for pid in family(os.getpid()):
            if Path(f"/proc/{pid}/comm").read_text() == "bwrap\n":
                os.kill(pid, signal.SIGKILL)
        return MirrorService(listener)

    with pytest.raises(GraderFault, match="ended"):
        run(walls, "import time; time.sleep(600)", serve=serve)

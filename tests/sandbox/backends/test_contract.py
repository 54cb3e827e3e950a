"""What every sandbox keeps to, however it is built. `sandbox` is each backend that works here.

The programs are honest ones and those that pass a limit; the hostile ones are the escape suite.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import threading
from pathlib import Path

import pytest
from support.sandbox_runs import SMALL, MirrorService, run, said

from grader.core.files import files_below
from grader.sandbox.api import ExitReason, Isolation, RunSpec, RunStopped, Sandbox

# --- how it ends -------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 3, 139, 255])
def test_an_exit_code_comes_back(sandbox: Sandbox, code: int):
    ended = run(sandbox, f"raise SystemExit({code})")
    assert (ended.verdict, ended.exit_code, ended.signal) == (
        ExitReason.EXIT if code else ExitReason.OK,
        code,
        None,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGINT])
def test_a_signal_that_nobody_sent_but_the_program(sandbox: Sandbox, number: int):
    ended = run(
        sandbox,
        f"import os, signal; signal.raise_signal({number}) if {number} == 9 else None\n"
        f"signal.signal({number}, signal.SIG_DFL); os.kill(os.getpid(), {number})",
    )
    assert (ended.verdict, ended.exit_code, ended.signal) == (ExitReason.SIGNAL, None, number)


def test_an_exception_is_told_as_python_tells_it(sandbox: Sandbox):
    ended = run(sandbox, "def f():\n    raise ValueError('näh')\nf()")
    assert (ended.verdict, ended.exit_code) == (ExitReason.EXIT, 1)
    lines = ended.stderr.decode().splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith('main.py", line 3, in <module>')
    assert lines[-1] == "ValueError: näh"
    assert "start" not in ended.stderr.decode()


def test_a_program_that_is_no_python(sandbox: Sandbox):
    ended = run(sandbox, "def f(:")
    assert (ended.verdict, ended.exit_code) == (ExitReason.EXIT, 1)
    assert ended.stderr.decode().splitlines()[-1].startswith("SyntaxError")


def test_a_script_that_is_not_there(sandbox: Sandbox):
    ended = sandbox.run(RunSpec({}, "missing.py", limits=SMALL))
    assert (ended.verdict, ended.exit_code) == (ExitReason.EXIT, 2)
    assert "missing.py" in ended.stderr.decode()
    assert "No such file" in ended.stderr.decode()


def test_what_runs_at_exit_still_runs(sandbox: Sandbox):
    ended = run(
        sandbox,
        """
        import atexit, threading, time
        atexit.register(print, "at exit")
        threading.Thread(target=lambda: (time.sleep(0.05), print("thread"))).start()
        """,
    )
    assert said(ended) == "thread\nat exit\n"


def test_it_can_be_stopped(sandbox: Sandbox):
    stop = threading.Event()

    def serve(listener: socket.socket) -> MirrorService:
        stop.set()
        return MirrorService(listener)

    launch = RunSpec({}, "a.py", inputs={"a.py": b"import time; time.sleep(600)"}, limits=SMALL)
    with pytest.raises(RunStopped):
        sandbox.run(launch, serve, stop)


# --- what it sees ------------------------------------------------------------------------------


def test_arguments_and_working_folder(sandbox: Sandbox):
    ended = run(
        sandbox,
        """
        import os, sys
        print(sys.argv)
        print(sys.path[0] == os.getcwd(), __name__, os.path.basename(__file__), __doc__)
        print(sorted(os.listdir()))
        """,
        "--data",
        "fragen für alle.jsonl",
        "",
        files={"sub/x.txt": b"x"},
    )
    assert said(ended).splitlines() == [
        str(["main.py", "--data", "fragen für alle.jsonl", ""]),
        "True __main__ main.py None",
        "['main.py', 'sub']",
    ]


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    """A student's folder, as closed as the grader's umask can make it."""
    folder = tmp_path / "private" / "anna"
    (folder / "tool" / "deep").mkdir(parents=True)
    (folder / "tool" / "__init__.py").write_text("name = 'tool'\n")
    (folder / "tool" / "deep" / "résumé ü.txt").write_text("unchanged")
    (folder / "run.py").write_text(
        "import helper, tool, tool.other\nprint(helper.name, tool.name, tool.other.name)\n"
    )
    (folder / "tool" / "other.py").write_text("name = 'other'\n")
    (folder / "tool" / "__main__.py").write_text("import other; print('as folder', other.name)\n")
    (folder / "helper.py").write_text("name = 'student'\n")
    (folder / "run.py").chmod(0o600)
    (tmp_path / "private").chmod(0o700)
    return folder


def test_a_script_with_modules_of_its_own(sandbox: Sandbox, submission: Path):
    assert said(sandbox.run(RunSpec(files_below(submission), "run.py"))) == "student tool other\n"


def test_a_script_that_is_a_folder(sandbox: Sandbox, submission: Path):
    assert said(sandbox.run(RunSpec(files_below(submission), "tool"))) == "as folder other\n"


def test_a_script_in_a_folder_finds_the_modules_beside_it(sandbox: Sandbox, submission: Path):
    launch = RunSpec(files_below(submission), "tool/__main__.py")
    assert said(sandbox.run(launch)) == "as folder other\n"


def test_inputs_lie_over_the_submission(sandbox: Sandbox, submission: Path):
    launch = RunSpec(files_below(submission), "run.py", inputs={"helper.py": b"name = 'grader'\n"})
    ended = sandbox.run(launch)
    assert said(ended) == "grader tool other\n"
    assert ended.files == {}


@pytest.mark.parametrize("name", ["resource", "marshal_", "json", "socket", "typing", "errno_"])
def test_modules_of_the_student_come_before_those_of_python(sandbox: Sandbox, name: str):
    ended = run(
        sandbox, f"import {name}; print({name}.whose)", files={f"{name}.py": b"whose = 'mine'"}
    )
    assert said(ended) == "mine\n"


def test_the_submission_stays_as_it_is(sandbox: Sandbox, submission: Path):
    def state() -> dict[str, tuple[bytes, int, int]]:
        return {
            str(path.relative_to(submission)): (
                path.read_bytes(),
                path.stat().st_mtime_ns,
                path.stat().st_mode,
            )
            for path in submission.rglob("*")
            if path.is_file()
        }

    before = state()
    ended = run(
        sandbox,
        """
        import os
        for folder, _, names in os.walk("."):
            for name in names:
                path = os.path.join(folder, name)
                open(path, "a").write("# changed")
                os.chmod(path, 0o777)
        os.rename("helper.py", "other.py")
        """,
        submission=submission,
    )
    assert said(ended) == ""
    assert state() == before
    assert ended.files["other.py"] == b"name = 'student'\n# changed"
    assert "helper.py" not in ended.files


def test_a_large_file_of_the_submission_can_be_read(sandbox: Sandbox, submission: Path):
    large = submission / "tool" / "weights.bin"
    large.write_bytes(b"w" * 9 * 2**20)
    large.chmod(0o600)
    ended = run(
        sandbox,
        "import os; print(len(open('tool/weights.bin', 'rb').read()))",
        submission=submission,
    )
    assert said(ended) == f"{9 * 2**20}\n"
    assert (ended.files, ended.refused) == ({}, ())


def test_it_does_not_see_the_graders_environment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FINEGRADE_CANARY", "canary-4711")
    ended = run(
        sandbox,
        """
        import glob, os
        seen = [repr(dict(os.environ)).encode()]
        for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/cmdline"):
            try:
                seen.append(open(path, "rb").read())
            except OSError:
                pass
        print(any(b"4711" in one for one in seen), os.environ["ADDED"])
        """,
        environment={"ADDED": "ä"},
    )
    assert said(ended) == "False ä\n"


def test_it_does_not_see_the_graders_files(sandbox: Sandbox, tmp_path: Path):
    secret = tmp_path / "hidden.jsonl"
    secret.write_text("answers")
    secret.chmod(0o644)
    ended = run(
        sandbox,
        """
        import sys
        for path in sys.argv[1:]:
            try:
                print(open(path).read())
            except OSError as error:
                print("refused")
        """,
        str(secret),
        __file__,
        "/etc/shadow",
    )
    assert said(ended) == "refused\n" * 3


def test_it_has_three_descriptors_and_no_input(sandbox: Sandbox):
    ended = run(
        sandbox,
        """
        import os, sys
        fds = []
        for fd in range(1024):
            try:
                os.fstat(fd); fds.append(fd)
            except OSError:
                pass
        print(fds, repr(sys.stdin.read()))
        """,
    )
    assert said(ended) == "[0, 1, 2] ''\n"


def test_it_has_the_packages_that_are_installed_here(sandbox: Sandbox):
    ended = run(
        sandbox,
        """
        import subprocess, sys, yaml
        code = "import yaml, sys; print(yaml.__version__)"
        sys.stdout.write(subprocess.check_output([sys.executable, "-c", code], text=True))
        sys.stdout.write(subprocess.check_output(["python", "-c", code], text=True))
        print(yaml.__version__, sys.version_info[:3])
        """,
    )
    first, second, third = said(ended).splitlines()
    assert first == second == third.split()[0]
    assert third.endswith(str(tuple(sys.version_info[:3])))


def test_processes_of_its_own_work(sandbox: Sandbox):
    ended = run(
        sandbox,
        """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        def double(x):
            return 2 * x

        if __name__ == "__main__":
            for way in ("fork", "spawn"):
                context = multiprocessing.get_context(way)
                with ProcessPoolExecutor(2, mp_context=context) as pool:
                    print(list(pool.map(double, range(4))))
        """,
    )
    assert said(ended) == "[0, 2, 4, 6]\n" * 2


# --- the clock ---------------------------------------------------------------------------------


def test_sleeps_pass_faster_and_the_clock_says_they_took_their_time(sandbox: Sandbox):
    ended = run(
        sandbox,
        """
        import time
        began = time.monotonic(), time.time()
        for _ in range(10):
            time.sleep(60)
        print(600 <= time.monotonic() - began[0] < 700, 600 <= time.time() - began[1] < 700)
        """,
        clock_rate=600.0,
        wall_seconds=60.0,
    )
    assert said(ended) == "True True\n"
    assert ended.wall_seconds < 60.0


# --- what it is made of ------------------------------------------------------------------------


def test_it_says_what_its_walls_are(sandbox: Sandbox):
    import json

    assert sandbox.isolation in Isolation
    policy = json.loads(json.dumps(sandbox.policy()))
    assert policy == sandbox.policy()
    assert policy["backend"] == sandbox.name


def test_equal_runs_are_equal(sandbox: Sandbox):
    program = "import os\nprint({str(i) for i in range(50)}, dict(os.environ))"
    first, second = run(sandbox, program), run(sandbox, program)
    assert said(first) == said(second)


def test_the_mode_of_a_script_is_kept(sandbox: Sandbox, submission: Path):
    script = submission / "tool.sh"
    script.write_text("#!/bin/sh\necho from shell\n")
    script.chmod(0o755)
    assert stat.S_IMODE(os.stat(script).st_mode) == 0o755
    program = "import subprocess; print(subprocess.check_output(['./tool.sh'], text=True))"
    assert said(run(sandbox, program, submission=submission)) == "from shell\n\n"

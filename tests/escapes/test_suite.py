"""The suite condemns a backend without walls, and says why."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.leaky_backend import BareSubprocess
from support.sandboxes import need_sandbox

from grader.core.errors import GraderFault
from grader.escapes import plants, suite
from grader.escapes.arena import ProgramOutcome
from grader.escapes.judge import HostileProgram, all_programs, read_program
from grader.escapes.suite import SuiteReport, run_suite
from grader.sandbox.api import RunResult, RunSpec, RunStopped, Sandbox, Serve

# These only read, connect or look, so that they may run without any wall around them.
HARMLESS = (
    "connects_to_host_servers",
    "connects_to_unix_sockets",
    "opens_every_kind_of_socket",
    "pretends_a_result_on_stdout",
    "reads_another_student",
    "reads_command_lines",
    "reads_environments",
    "reads_grader_source",
    "reads_hidden_questions",
    "reads_host_temporary_files",
    "reads_system_secrets",
    "sends_datagrams",
    "talks_to_the_machine_below",
)


@pytest.fixture(autouse=True, scope="module")
def _soon() -> Iterator[None]:
    """Nobody else's things come and go in a folder of our own: no need to wait for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plants, "_SETTLE_SECONDS", 0.2)
        yield


def program(text: str, expect: str = "ok", name: str = "tries") -> HostileProgram:
    return read_program(name, f"# claim: tries\n# expect: {expect}\n\n{text}\n".encode())


@pytest.fixture(scope="module")
def condemned() -> dict[str, ProgramOutcome]:
    chosen = [one for one in all_programs() if one.name in HARMLESS]
    report = run_suite(BareSubprocess(), programs=chosen)
    assert not report.holds
    assert report.disturbed == report.left_behind == ()
    return {row.name: row for row in report.rows}


def test_a_backend_without_walls_is_condemned(condemned: dict[str, ProgramOutcome]) -> None:
    escaped = {name for name, row in condemned.items() if not row.contained}
    # A program that only prints needs no wall; vsock and packets hang on the machine.
    assert escaped >= set(HARMLESS) - {"pretends_a_result_on_stdout", "talks_to_the_machine_below"}
    assert "pretends_a_result_on_stdout" not in escaped


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("reads_environments", "a planted secret is in its stdout"),
        ("reads_command_lines", "a planted secret is in its stdout"),
        ("reads_hidden_questions", "a planted secret is in its stdout"),
        ("reads_another_student", "a planted secret is in its stdout"),
        ("connects_to_host_servers", "our TCP server"),
        ("sends_datagrams", "our UDP server"),
        ("connects_to_unix_sockets", "our Unix socket"),
        ("connects_to_unix_sockets", "our abstract Unix socket"),
        ("reads_system_secrets", "ESCAPED: "),
    ],
)
def test_it_says_what_came_through(
    condemned: dict[str, ProgramOutcome], name: str, words: str
) -> None:
    assert words in "\n".join(condemned[name].why_not)


def judge_one(sandbox: BareSubprocess, one: HostileProgram) -> SuiteReport:
    report = run_suite(sandbox, programs=[one], workers=1)
    assert [row.name for row in report.rows] == [one.name]
    return report


def test_a_silent_program_in_any_sandbox_is_contained() -> None:
    report = judge_one(BareSubprocess(), program("print('calm')"))
    assert report.holds


def test_an_orphan_is_found() -> None:
    forks = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
    forks += "        os.closerange(0, 3)\n        time.sleep(12)\n    os._exit(0)"
    report = judge_one(BareSubprocess(), program(forks))
    assert not report.holds
    assert any(text.startswith("process ") for text in report.left_behind)


def test_a_file_that_is_left_is_found() -> None:
    class Untidy(BareSubprocess):
        def run(
            self, launch: RunSpec, serve: Serve | None = None, stop: object = None
        ) -> RunResult:
            tempfile.mkdtemp()
            return super().run(launch, serve)

    report = judge_one(Untidy(), program("pass"))
    assert any(text.startswith("file ") for text in report.left_behind)


def test_a_descriptor_that_is_left_open_is_found() -> None:
    kept: list[int] = []

    class Forgetful(BareSubprocess):
        def run(
            self, launch: RunSpec, serve: Serve | None = None, stop: object = None
        ) -> RunResult:
            kept.append(os.memfd_create("forgotten"))
            return super().run(launch, serve)

    report = judge_one(Forgetful(), program("pass"))
    for number in kept:
        os.close(number)
    assert any("descriptor of the grader" in text for text in report.left_behind)


def test_an_honest_program_that_is_disturbed_is_noticed() -> None:
    class Moody(BareSubprocess):
        runs = 0

        def run(
            self, launch: RunSpec, serve: Serve | None = None, stop: object = None
        ) -> RunResult:
            self.runs += 1
            more = ("late",) if self.runs > 1 else ()
            changed = RunSpec(launch.files, launch.script, more, launch.inputs)
            return super().run(changed, serve)

    report = judge_one(Moody(), program("pass"))
    assert "stdout" in "".join(report.disturbed)


def test_a_program_that_breaks_the_backend_is_not_contained() -> None:
    class Fragile(BareSubprocess):
        def run(
            self, launch: RunSpec, serve: Serve | None = None, stop: object = None
        ) -> RunResult:
            if launch.script != "honest.py":
                raise GraderFault("the socket is gone")
            return super().run(launch, serve)

    (row,) = judge_one(Fragile(), program("pass")).rows
    assert row.got is None
    assert "the socket is gone" in row.why_not[0]


def test_a_backend_in_which_nothing_runs_is_a_fault_of_the_grader() -> None:
    class Dead(BareSubprocess):
        def run(
            self, launch: RunSpec, serve: Serve | None = None, stop: object = None
        ) -> RunResult:
            raise GraderFault("no bwrap")

    with pytest.raises(GraderFault, match="no bwrap"):
        run_suite(Dead(), programs=[program("pass")])


def test_programs_for_a_service_are_left_out_by_name_where_there_is_none() -> None:
    needs = read_program("asks", b"# claim: asks\n# expect: ok\n# service: asked\n")
    report = run_suite(BareSubprocess(), programs=[needs])
    assert report.left_out == ("asks",)
    assert not report.holds  # nothing was shown


def test_nothing_of_the_suite_itself_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert judge_one(BareSubprocess(), program("pass")).holds
    assert list(tmp_path.iterdir()) == []
    assert tempfile.gettempdir() == str(tmp_path)
    assert "FINEGRADE_ESCAPE_SECRET" not in os.environ


def test_a_backend_that_does_not_come_back_is_a_fault_of_the_grader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = threading.Event()

    class Stuck(BareSubprocess):
        def run(
            self, launch: RunSpec, serve: Serve | None = None, stop: object = None
        ) -> RunResult:
            if launch.script != "honest.py":
                released.wait(30)
            return super().run(launch, serve)

    monkeypatch.setattr(suite, "_LATE_SECONDS", 0.2)
    with pytest.raises(GraderFault, match="does not come back"):
        run_suite(Stuck(), programs=[program("pass")])
    released.set()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.name.startswith("escapes"):
            thread.join(30)


def test_a_process_is_ours_by_its_environment_whoever_is_its_parent() -> None:
    here = Path(tempfile.gettempdir())
    with subprocess.Popen(["/bin/sleep", "60"], env={"RUN": "token-of-a-run"}) as bearer:
        try:
            assert bearer.pid in plants.look(here, "token-of-a-run").processes
        finally:
            bearer.kill()


def test_a_zombie_is_no_process() -> None:
    done = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, done.pid, os.WEXITED | os.WNOWAIT)
    assert done.pid not in plants.look(Path(tempfile.gettempdir()), "no-such").processes
    done.wait()


def test_an_interrupt_kills_what_runs() -> None:
    """The slow program would take ten minutes; nothing of it is left."""

    class Watched:
        """A real sandbox that notes what was stopped."""

        def __init__(self, real: Sandbox) -> None:
            self.name, self.isolation = real.name, real.isolation
            self.why_not, self.policy, self._real = real.why_not, real.policy, real
            self.stopped: list[str] = []

        def run(
            self, launch: RunSpec, serve: Serve | None = None, stop: threading.Event | None = None
        ) -> RunResult:
            try:
                return self._real.run(launch, serve, stop)
            except RunStopped:
                self.stopped.append(launch.script)
                raise

    def interrupt(row: ProgramOutcome) -> None:
        raise KeyboardInterrupt

    header = "# claim: waits\n# expect: timeout\n# limits: wall_seconds=600\n\n"
    waits = read_program(
        "waits_ten_minutes", f"{header}import threading\nthreading.Event().wait(600)\n".encode()
    )
    sandbox = Watched(need_sandbox())
    with pytest.raises(KeyboardInterrupt):
        run_suite(sandbox, programs=[waits, program("pass")], workers=2, on_result=interrupt)
    assert sandbox.stopped == ["waits_ten_minutes.py"]
    assert not any("waits_ten_minutes" in command for command in command_lines())


def command_lines() -> Iterator[str]:
    """Of every process that can be seen."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            yield path.read_text(errors="replace")

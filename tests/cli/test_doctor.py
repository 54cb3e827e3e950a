"""`finegrade doctor` and what depends on its verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from grader.cli.main import app
from grader.escapes import doctor, suite
from grader.escapes.arena import ProgramOutcome
from grader.escapes.suite import SuiteReport
from grader.sandbox.api import ExitReason, Isolation
from grader.sandbox.choose import NoSandbox, UnavailableSandbox
from grader.sandbox.limits import can_make_cgroups


class Fake(UnavailableSandbox):
    """A sandbox of which only its verdict matters."""

    name = "fake"
    isolation = Isolation.FULL

    def why_not(self) -> str | None:
        return self._why or None


def report(*, held: bool) -> SuiteReport:
    why = () if held else ("ESCAPED: \x1b[31mall of it",)
    row = ProgramOutcome(
        "reads_all", "reads all of it", frozenset({ExitReason.OK}), ExitReason.OK, why, 0.1
    )
    return SuiteReport((row,), (), (), ())


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A machine whose one sandbox works or not, and holds or not; counts how often it is tried."""
    tried: list[str] = []

    def made(why: str = "", *, held: bool = True) -> list[str]:
        def walls(sandbox: Any, on_row: Any) -> SuiteReport:
            tried.append(sandbox.name)
            found = report(held=held)
            on_row(found.rows[0])
            return found

        monkeypatch.setenv("FINEGRADE_HOME", str(tmp_path))
        monkeypatch.setattr(doctor, "BACKENDS", {"fake": lambda: Fake(why)})
        monkeypatch.setattr("grader.sandbox.choose.BACKENDS", {"fake": lambda: Fake(why)})
        monkeypatch.setattr(doctor, "try_walls", walls)
        monkeypatch.setattr(suite, "try_walls", walls)
        return tried

    return made


@pytest.mark.parametrize(
    ("why", "held", "code", "said"),
    [
        ("", True, 0, "1 of 1 hostile programs"),
        ("", False, 1, "let reads_all out"),
        ("it is missing; run: apt install it", True, 1, "apt install it"),
    ],
)
def test_it_says_what_holds_and_what_to_do(
    machine: Any, why: str, held: bool, code: int, said: str
) -> None:
    machine(why, held=held)
    done = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "200"})
    assert done.exit_code == code
    assert said in done.stdout
    assert "\x1b" not in done.stdout


def test_it_says_of_each_limit_what_enforces_it(machine: Any) -> None:
    machine()
    lines = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "200"}).stdout.splitlines()
    limits = {line.partition(":")[0]: line for line in lines if line.startswith("Limit on ")}
    assert set(limits) == {
        f"Limit on {what}" for what in ("memory", "processes", "disk", "processor time")
    }
    by = "control groups" if can_make_cgroups() else "the watchdog"
    assert by in limits["Limit on memory"]


def test_json_goes_to_stdout_alone(machine: Any) -> None:
    machine()
    done = CliRunner().invoke(app, ["doctor", "--format", "json"])
    found = json.loads(done.stdout)
    assert (found["schema"], found["sandbox"]) == ("finegrade/doctor/v1", "fake")
    assert found["backends"][0]["escapes"][0]["contained"]


def test_walls_are_tried_once_and_a_sandbox_that_leaks_never_runs_anything(machine: Any) -> None:
    tried = machine()
    assert suite.trusted_sandbox().name == "fake"
    assert suite.trusted_sandbox().name == "fake"
    assert tried == ["fake"]


def test_a_sandbox_that_leaks_is_refused_each_time(machine: Any) -> None:
    tried = machine(held=False)
    for _ in range(2):
        with pytest.raises(NoSandbox, match="reads_all"):
            suite.trusted_sandbox()
    assert tried == ["fake", "fake"]


def test_reduced_isolation_wants_a_word_of_the_instructor(
    machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine()
    monkeypatch.setattr(Fake, "isolation", Isolation.REDUCED)
    for name in (None, "fake"):
        with pytest.raises(NoSandbox, match="--allow-reduced"):
            suite.trusted_sandbox(name)
    assert suite.trusted_sandbox(reduced=True).name == "fake"

"""A program that stops before it is asked: one finding says why and where, the rest is skipped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from support.dspy_runs import enhanced, judged, original, scores, stopped
from support.transcripts import Run

from grader.checks.api.context import Context
from grader.checks.api.registry import in_order, run_check
from grader.core.nouns import Assignment, Evidence, Finding, Outcome
from grader.course import grade
from grader.intake.find import submission_at
from grader.intake.submission import take_in

FAULT = "ModuleNotFoundError: No module named 'google' (dspy_enhanced.py, line 2)"


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return grade.load("llm-methods")


def findings(
    assignment: Assignment,
    work: Path,
    evidence: Mapping[str, Evidence],
    *,
    hidden: bool = True,
    script: str = "x = 1\nimport google\n",
) -> dict[str, Finding]:
    home = work / "s01"
    home.mkdir()
    for name in ("dspy_enhanced.py", "openai_domain_finetune.py"):
        (home / name).write_text(script)
    for name in ("dspy_report.md", "openai_train.jsonl", "cost_analysis.md"):
        (home / name).write_text("Some words.\n")
    submission = take_in(submission_at(home), work / "taken", assignment.deliverables)
    context = Context(assignment, submission, evidence, hidden=hidden)
    found: dict[str, Finding] = {}
    for check in in_order(assignment.refs, assignment):
        found[check.ref] = run_check(check, context, found, {})
    return found


def part_1(*, told: bool) -> dict[str, Evidence]:
    return {
        "dspy_original": original(),
        "dspy_enhanced": stopped(enhanced(text=None), FAULT, told=told),
        "dspy_perturbed": stopped(enhanced(text=None), FAULT, told=told),
        "dspy_metric": stopped(scores(lambda _: None), FAULT, told=told),
        "dspy_metric_original": scores(judged),
    }


def test_one_finding_names_error_file_and_line(assignment: Assignment, tmp_path: Path) -> None:
    found = findings(assignment, tmp_path, part_1(told=True))
    of_program = [f for f in found.values() if f.check.startswith("DSP0") and f.check < "DSP030"]
    skipped = [f for f in of_program if f.outcome is Outcome.SKIP and "SRC014" in f.message]
    assert {f.check for f in of_program} - {f.check for f in skipped} == {"DSP009"}
    assert found["SRC014"].outcome is Outcome.FAIL
    assert FAULT in found["SRC014"].message
    assert found["SRC014"].location.path == "dspy_enhanced.py"
    assert found["SRC014"].location.line == 2
    assert "requirements.txt" in found["SRC014"].hint
    assert found["SRC016"].outcome is Outcome.SKIP


def test_what_may_hold_a_hidden_question_is_for_staff(
    assignment: Assignment, tmp_path: Path
) -> None:
    finding = findings(assignment, tmp_path, part_1(told=False))["SRC014"]
    assert "google" not in finding.message + finding.hint
    assert finding.location.line is None
    assert FAULT in finding.note


def test_in_a_self_check_all_is_told(assignment: Assignment, tmp_path: Path) -> None:
    finding = findings(assignment, tmp_path, part_1(told=False), hidden=False)["SRC014"]
    assert FAULT in finding.message


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        ("FileNotFoundError: no (x.py, line 1)", "Path(__file__).parent"),
        ("SystemExit: 3", "__main__"),
        ("SystemExit: x.py, still to write: the loop", "Write what this line asks for"),
        ("it ended the run itself, with exit code 0", "__main__"),
        ("the run was ended (timeout)", "takes long"),
        ("NotImplementedError: write the loop", "Write what this line asks for"),
        ("TypeError: no", "import the file from another one"),
    ],
)
def test_the_hint_is_of_this_error(
    fault: str, hint: str, assignment: Assignment, tmp_path: Path
) -> None:
    evidence = part_1(told=True) | {"dspy_enhanced": stopped(enhanced(text=None), fault)}
    finding = findings(assignment, tmp_path, evidence)["SRC014"]
    assert fault in finding.message
    assert hint in finding.hint


def test_a_metric_that_is_not_there_leaves_the_program_alone(
    assignment: Assignment, tmp_path: Path
) -> None:
    fault = "AttributeError: module 'dspy_enhanced' has no attribute 'metric'"
    evidence = part_1(told=True) | {
        "dspy_enhanced": enhanced(),
        "dspy_metric": stopped(scores(lambda _: None), fault),
    }
    found = findings(assignment, tmp_path, evidence)
    assert found["SRC014"].outcome is Outcome.PASS
    assert found["DSP001"].outcome is Outcome.PASS
    assert found["SRC016"].outcome is Outcome.FAIL
    assert found["DSP022"].outcome is Outcome.SKIP


TRACE = """Traceback (most recent call last):
  File "/box/openai_domain_finetune.py", line 2, in <module>
    import google
  File "/usr/lib/python3/importlib.py", line 90, in load
ModuleNotFoundError: No module named 'google'
"""


def test_a_workflow_that_stops_before_its_first_request_is_one_finding(
    assignment: Assignment, tmp_path: Path
) -> None:
    found = findings(assignment, tmp_path, {"openai_ok": Run().ended(1, stderr=TRACE)})
    finding = found["SRC015"]
    assert finding.outcome is Outcome.FAIL
    assert "No module named 'google'" in finding.message
    assert (finding.location.path, finding.location.line) == ("openai_domain_finetune.py", 2)
    skipped = [found[f"API00{n}"] for n in range(1, 8)]
    assert {f.outcome for f in skipped} == {Outcome.SKIP}
    assert all("SRC015" in f.message for f in skipped)


def test_a_line_that_is_no_python_is_found_without_a_run(
    assignment: Assignment, tmp_path: Path
) -> None:
    found = findings(assignment, tmp_path, {}, script="x = 1\ny = (\n")
    for code in ("SRC012", "SRC013"):
        assert found[code].outcome is Outcome.FAIL
        assert found[code].location.line == 2
    assert found["DSP001"].outcome is Outcome.SKIP

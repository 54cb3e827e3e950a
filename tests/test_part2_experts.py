"""What an expert would give for scripts that do part of the work, and for those that cheat.

The table was written by judgement before any of them was run. Each script is run for real, in the
sandbox and against the simulator, in the scenarios that its row speaks of: in the others it is no
different from `naive`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from class_builder import Silent
from notebook_builder import as_notebook

from grader.assignment import load_assignment
from grader.checks import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.registry import Context, all_checks, in_order, run_check
from grader.collect.collector import Want
from grader.collect.transcripts import Transcripts, transcript_want
from grader.constants import TRANSCRIPT_SEED
from grader.intake import find_submissions, locate, take_in
from grader.model import Assignment, Evidence, Finding, Outcome, Submission
from grader.rubric import score
from grader.sandbox.choose import choose_sandbox
from grader.sandbox.launch import Sandbox
from grader.sandbox.simulated import Simulator

HERE = Path(__file__).parent
VARIANTS = HERE / "variants" / "openai"

WORKS: Mapping[str, float] = {
    "openai_upload": 1,
    "openai_one_job": 1,
    "openai_polling": 1,
    "openai_end": 0.5,
    "openai_events": 0.5,
    "openai_model": 0.5,
    "openai_evaluation": 1.5,
    "openai_results": 0.5,
    "openai_test_set": 0.5,
    "openai_test_apart": 0.5,
}
"""When nothing goes wrong, for a script that does all it should."""

WITHSTANDS: Mapping[str, float] = {
    "openai_rate_limits": 0.5,
    "openai_server_errors": 0.5,
    "openai_failed_job": 1,
    "openai_no_training": 0.5,
    "openai_lost_answer": 1,
    "openai_bad_file": 0.5,
    "openai_dead_key": 0.5,
}
"""When something does, for a script that does all it should."""

NOTHING = dict.fromkeys([*WORKS, *WITHSTANDS], 0.0)
OWN_FILES = {"openai_test_set": 0.5, "openai_test_apart": 0.5}

EXPERT: Mapping[str, Mapping[str, float]] = {
    "good": {**WORKS, **WITHSTANDS},
    "good_notebook": WORKS,
    # The client library retries by itself. Of a failed job the reason is printed, among the
    # events, and then it crashes; refusals it meets with a stack trace; a lost answer it awaits.
    "naive": {
        **WORKS,
        "openai_rate_limits": 0.5,
        "openai_server_errors": 0.5,
        "openai_failed_job": 0.5,
        "openai_no_training": 0,
        "openai_lost_answer": 0,
        "openai_bad_file": 0.25,
        "openai_dead_key": 0.25,
    },
    "busy": {**WORKS, "openai_polling": 0},
    "two_jobs": {**WORKS, "openai_one_job": 0},
    "endless": {**WORKS, "openai_failed_job": 0, "openai_bad_file": 0},
    # Half of the evaluation is there: the base was asked.
    "hard_coded_model": {
        **WORKS,
        "openai_end": 0,
        "openai_model": 0,
        "openai_evaluation": 0.5,
        "openai_results": 0,
    },
    "never_evaluates": {
        **WORKS,
        "openai_model": 0,
        "openai_evaluation": 0,
        "openai_results": 0,
    },
    "creates_again": {**WORKS, "openai_lost_answer": 0, "openai_failed_job": 1},
    "wrong_purpose": {**dict.fromkeys(WORKS, 0.0), **OWN_FILES},
    "fixed_minute": {**WORKS, "openai_failed_job": 1, "openai_bad_file": 0.5},
    # Right when nothing goes wrong; the two faults that the library retries do no harm.
    "swallows": {
        **WORKS,
        **dict.fromkeys(WITHSTANDS, 0.0),
        "openai_rate_limits": 0.5,
        "openai_server_errors": 0.5,
    },
    "prints_success": {**NOTHING, **OWN_FILES},
    "crashes": {**NOTHING, **OWN_FILES},
    # Trained on its test set: no score on it means anything.
    "tests_on_training": {
        **WORKS,
        "openai_upload": 0.5,
        "openai_evaluation": 0,
        "openai_test_apart": 0,
    },
}


Runner = Callable[[Submission, set[str]], dict[str, Evidence]]


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return load_assignment(HERE / "part2.yaml")


@pytest.fixture(scope="module")
def run(assignment: Assignment, trainings: Path) -> Runner:
    """Runs a submission's script in the scenarios of these evidence ids."""
    sandbox = choose_sandbox()

    def runs(submission: Submission, ids: set[str]) -> dict[str, Evidence]:
        wants = _wants(submission, ids, assignment, sandbox)
        by_key = {want.key: want.id for want in wants}
        found: dict[str, Evidence] = {}

        def put(evidence: Evidence) -> None:
            found[by_key[evidence.key]] = evidence

        simulator = Simulator(assignment.base, trainings, seed=TRANSCRIPT_SEED)
        failed = Transcripts(sandbox, simulator).produce(
            {want.key: want for want in wants}, put, Silent()
        )
        assert not failed
        return found

    return runs


def _wants(
    submission: Submission, ids: set[str], assignment: Assignment, sandbox: Sandbox
) -> list[Want]:
    script = locate(submission, assignment.deliverable("openai_script"))
    assert script is not None
    return [
        transcript_want(submission, spec, script, assignment.base, sandbox)
        for spec in assignment.evidence
        if spec.id in ids
    ]


def _needed(assignment: Assignment, criteria: Mapping[str, float]) -> set[str]:
    """The evidence that decides about these criteria."""
    codes = {
        code
        for criterion in assignment.criteria
        if criterion.id in criteria
        for code in (criterion.source.split(".")[0], *criterion.requires)
    }
    return {id for code in codes for id in all_checks()[code].evidence}


def _handed_in(variant: str, folder: Path) -> Submission:
    home = folder / variant
    home.mkdir()
    script = VARIANTS / f"{variant.removesuffix('_notebook')}.py"
    data, test = VARIANTS / "openai_train.jsonl", VARIANTS / "openai_test.jsonl"
    if variant == "tests_on_training":
        script, test = VARIANTS / "naive.py", data
    if variant.endswith("notebook"):
        (home / "openai_domain_finetune.ipynb").write_bytes(as_notebook(script.read_text()))
    else:
        shutil.copyfile(script, home / "openai_domain_finetune.py")
    shutil.copyfile(data, home / "openai_train.jsonl")
    shutil.copyfile(test, home / "openai_test.jsonl")
    (found,) = find_submissions([home])
    return take_in(found, folder / "work")


def test_a_good_script_reaches_every_point(assignment: Assignment) -> None:
    part = [c for c in assignment.criteria if c.category == "functionality"]
    assert {c.id: c.points for c in part} == EXPERT["good"]


@pytest.mark.parametrize("variant", EXPERT)
def test_the_grader_gives_what_an_expert_would(
    variant: str, assignment: Assignment, run: Runner, tmp_path: Path
) -> None:
    expected = EXPERT[variant]
    submission = _handed_in(variant, tmp_path)
    context = Context(assignment, submission, run(submission, _needed(assignment, expected)))
    findings: dict[str, Finding] = {}
    for check in in_order(assignment.checks, assignment):
        findings[check.code] = run_check(check, context, findings, {})
    broken = {f.code: f.note for f in findings.values() if f.outcome is Outcome.ERROR}
    assert not broken
    given = {s.id: s.points for s in score(assignment, list(findings.values()))}
    said = [f"{f.code}: {f.message}" for f in findings.values()]
    assert {id: given[id] for id in expected} == expected, "\n".join(said)
    # Whoever loses points reads what to do about it.
    lost = [f for f in findings.values() if f.outcome is Outcome.FAIL]
    assert all(f.message and f.hint for f in lost)

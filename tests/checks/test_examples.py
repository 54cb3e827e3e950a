"""Every code has an example that passes and one that fails, and each does.

An example is a small class (see `support.examples`). The rules on training data have theirs in
`tests/corpus/`: each file there is submitted as a data set.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.examples import EXAMPLES
from support.paths import CORPUS, ROOT

from grader.assignment.load import load_assignment
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Classmate, Context
from grader.checks.api.registry import Check, all_checks, all_needs, check_of, run_check
from grader.core.errors import FileRefused, IntakeError
from grader.core.nouns import Assignment, Finding, Outcome, Submission
from grader.intake.find import find_submissions, submission_at
from grader.intake.submission import take_in
from grader.models.adapter_files import read_adapter, sketch
from grader.training_data.rules import RULES

CANNOT_FAIL = {
    "ADP022": "only a person decides whether a script made the adapter beside it",
    "ADP024": "only a person decides whether a recorded trial took place",
    "ADP032": "speed and memory vary between machines and never decide anything",
    "EVL003": "speed and memory vary between machines and never decide anything",
    "GRD001": "a fault of the machine is an error, never a student's fail",
    "GRD002": "a fault of the service is a question, never a student's fail",
    "GRD003": "a fault of a check is a question, never a student's fail",
    "INT002": "only a person decides where training questions come from",
    "DOC201": "a person decides whether an aspect is spoken of",
    "DOC202": "a person decides what a number claims",
    "DOC203": "a person decides what may be taken over",
}
NOT_IN_A_SMALL_FILE = {  # tests/training_data/test_corpus_files.py makes these when it runs
    "JSL011": "a line of 16 MiB",
    "JSL324": "an image of 10 MB",
    "JSL326": "50,001 examples with images",
}
CODES = sorted(set(all_checks()) - set(CANNOT_FAIL) - set(RULES))
DATA_CODES = sorted((set(all_checks()) & set(RULES)) - set(NOT_IN_A_SMALL_FILE))


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return load_assignment("llm-methods")


def _submissions(
    folder: Path, work: Path, assignment: Assignment
) -> tuple[list[Submission], list[IntakeError]]:
    taken, refused = [], []
    for found in find_submissions([folder]).submissions:
        try:
            taken.append(take_in(found, work, assignment.deliverables))
        except IntakeError as error:
            refused.append(error)
    return taken, refused


def _classmates(submissions: list[Submission]) -> tuple[Classmate, ...]:
    mates = []
    for one in submissions:
        try:
            folder = one.place("adapter")
            if folder is not None:
                adapter = read_adapter(one, folder)
                mates.append(Classmate(one.student, one.submitted_at, sketch(adapter)))
        except FileRefused:
            continue
    return tuple(mates)


def _with_its_needs(check: Check, context: Context) -> dict[str, Finding]:
    """Findings of the check and all it needs, each run after what it needs itself."""
    findings: dict[str, Finding] = {}

    def run(code: str) -> None:
        for needed in all_needs(check_of(code, context.assignment), context.assignment):
            run(needed)
        if code not in findings:
            findings[code] = run_check(check_of(code, context.assignment), context, findings, {})

    run(check.code)
    return findings


def test_every_example_is_of_a_check() -> None:
    assert set(EXAMPLES) == set(CODES)


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.FAIL])
@pytest.mark.parametrize("code", CODES)
def test_the_example_shows_what_it_says(
    code: str, outcome: Outcome, assignment: Assignment, tmp_path: Path
) -> None:
    assert code in EXAMPLES, f"{code} has no example that is to {outcome}"
    write = EXAMPLES[code][outcome is Outcome.FAIL]
    folder = tmp_path / "class"
    folder.mkdir()
    evidence = write(folder)
    taken, refused = _submissions(folder, tmp_path / "work", assignment)
    mates = _classmates(taken)
    seen = []
    for submission in taken:
        context = Context(assignment, submission, evidence, mates)
        findings = _with_its_needs(check_of(code, assignment), context)
        seen.append(findings[code].outcome)
        before = [f for f in findings.values() if f.code != code]
        assert all(f.outcome is Outcome.PASS for f in before), "only this code may fail"
    codes_refused = [error.code for error in refused]
    if outcome is Outcome.PASS:
        assert seen
        assert set(seen) == {Outcome.PASS}
        assert not codes_refused
    else:
        assert set(codes_refused) <= {code}
        assert codes_refused or Outcome.FAIL in seen


def _submission(data: Path, work: Path, assignment: Assignment) -> Submission:
    """A submission of nothing but this data set."""
    (deliverable,) = (d for d in assignment.deliverables if d.id == "openai_data")
    home = work / "s01"
    home.mkdir(parents=True)
    shutil.copyfile(data, home / deliverable.paths[0])
    found = submission_at(home)
    return take_in(found, work / "work", assignment.deliverables)


@pytest.mark.parametrize("code", DATA_CODES)
def test_a_data_set_that_is_submitted_is_held_to_each_rule(
    code: str, assignment: Assignment, tmp_path: Path
) -> None:
    breaking = sorted(CORPUS.glob(f"{code}-*"))
    assert breaking, f"{code} has no example that is to fail"
    assert assignment.data is not None
    outcomes = []
    for number, data in enumerate(
        [*breaking, ROOT / "datasets" / "educational-qa" / "train.jsonl"]
    ):
        submission = _submission(data, tmp_path / str(number), assignment)
        finding = run_check(all_checks()[code], Context(assignment, submission, {}), {}, {})
        outcomes.append(finding.outcome)
    assert outcomes.pop() is Outcome.PASS
    assert Outcome.FAIL in outcomes

"""What the grader gives for a variant that an expert has judged: its program is run for real."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from grader.assignment.questions import make_hidden
from grader.assignment.rubric import score
from grader.checks import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.registry import Context, all_checks, in_order, run_check
from grader.core.nouns import Assignment, Evidence, Finding, Outcome, Submission
from grader.evidence.kind import Candidate, Grading
from grader.evidence.kinds import KINDS
from grader.intake.find import find_submissions, take_in
from support.classes import Silent
from support.sandboxes import need_sandbox

Runner = Callable[[Submission, set[str]], dict[str, Evidence]]
"""From a submission and ids of evidence to what was seen."""


def runner(assignment: Assignment, trainings: Path) -> Runner:
    """Runs the programs of submissions; equal trainings are done once and kept in the folder."""
    sandbox, questions = need_sandbox(), make_hidden(assignment.topic, 7, 10)

    def run(submission: Submission, ids: set[str]) -> dict[str, Evidence]:
        grading = Grading(assignment, questions, "cpu", trainings, lambda: sandbox)
        candidate = Candidate(submission, lambda codes: True)
        found: dict[str, Evidence] = {}
        for kind in KINDS.values():
            batch = kind.plan(grading, [candidate])
            new = {request.key: request for request in batch.requests if request.id in ids}
            if new:

                def put(evidence: Evidence, new: dict[str, Any] = new) -> None:
                    found[new[evidence.key].id] = evidence

                assert not kind.producer(grading).produce(new, put, Silent())
        return found

    return run


def handed_in(files: dict[str, bytes], home: Path, work: Path) -> Submission:
    """A submission of these files by name, laid into the new folder `home`."""
    home.mkdir(parents=True)
    for name, body in files.items():
        (home / name).write_bytes(body)
    (found,) = find_submissions([home])
    return take_in(found, work)


def needed(assignment: Assignment, criteria: Iterable[str]) -> tuple[set[str], set[str]]:
    """The codes that decide about these criteria, and the evidence that they read."""
    wanted = set(criteria)
    codes = {
        code
        for criterion in assignment.criteria
        if criterion.id in wanted
        for code in (criterion.source.split(".")[0], *criterion.requires)
    }
    return codes, {role.id for code in codes for role in all_checks()[code].evidence}


def judged(
    assignment: Assignment, submission: Submission, criteria: Iterable[str], run: Runner
) -> tuple[dict[str, float | None], str]:
    """What each criterion earned, and all that was said. No check breaks; whoever fails reads why
    and what to do."""
    wanted = set(criteria)
    codes, evidence = needed(assignment, wanted)
    context = Context(assignment, submission, run(submission, evidence))
    findings: dict[str, Finding] = {}
    for check in in_order(sorted(codes), assignment):
        findings[check.code] = run_check(check, context, findings, {})
    broken = {f.code: f.note for f in findings.values() if f.outcome is Outcome.ERROR}
    assert not broken
    lost = [f for f in findings.values() if f.outcome is Outcome.FAIL]
    assert all(f.message and f.hint for f in lost)
    mine = tuple(c for c in assignment.criteria if c.id in wanted)
    scores = score(replace(assignment, criteria=mine), list(findings.values()))
    said = "\n".join(f"{f.code} {f.outcome}: {f.message}" for f in findings.values())
    return {one.id: one.points for one in scores}, said

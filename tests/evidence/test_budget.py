"""All runs of one submission share a budget, and a program that fails is not run for nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.experts import lay_out, narrowed
from support.paths import EXPERTS
from support.recorded import Family

from grader.assignment.load import load_assignment
from grader.assignment.questions import make_hidden
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Context, NotRun
from grader.checks.api.registry import check_of, run_check
from grader.core.constants import SUBMISSION_MAX_EVIDENCE_BYTES
from grader.core.nouns import Assignment, Budget, Evidence, Finding, Outcome, Submission
from grader.core.payloads import ProgramRun
from grader.evidence.budget import Ledger
from grader.evidence.kind import EvidenceRequest
from grader.evidence.program_runs import RunQueue

WHOLE = load_assignment("llm-methods")
VARIANTS = EXPERTS / "variants" / "openai"
FAULTS = {"API011", "API012", "API013", "API014", "API015", "API016", "API017"}
CREATES = {"method": "POST", "path": "/v1/fine_tuning/jobs"}
UPLOADS = {"method": "POST", "path": "/v1/files"}
OTHERS = {
    "openai_rate_limited": False,
    "openai_flaky": False,
    "openai_expired_key": False,
    "openai_sunset": True,
    "openai_timeout": True,
    "openai_job_fails": True,
    "openai_bad_file": True,
}
"""The other runs of a workflow, and whether their scenarios are met by who creates a job."""


def first(verdict: str, *exchanges: dict[str, str]) -> Evidence:
    """The run with nothing going wrong."""
    run = ProgramRun("s", verdict, None, None, "", "", {}, exchanges)
    return Evidence("transcript", "k", run.to_json(), {})


@pytest.mark.parametrize("verdict", ["exit", "signal", "timeout", "memory", "disk"])
def test_a_program_that_fails_is_not_run_where_it_would_meet_nothing(verdict: str) -> None:
    """Each scenario changes the answer to some request: who never sends it, earns nothing by it."""
    for exchanges, kept in (
        ((), set[str]()),
        ((UPLOADS,), {id for id, by_jobs in OTHERS.items() if not by_jobs}),
        ((UPLOADS, CREATES), set(OTHERS)),
    ):
        ledger = Ledger(WHOLE)
        ledger.note_first("s1", "openai_ok", first(verdict, *exchanges))
        withheld = {id: ledger.decide("s1", id, id) for id in OTHERS}
        assert {id for id, why in withheld.items() if why is None} == kept
        assert {why.outcome for why in withheld.values() if why} <= {Outcome.SKIP}
        assert ledger.decide("s2", "openai_flaky", "k") is None


def test_a_program_that_runs_to_its_end_is_run_everywhere() -> None:
    ledger = Ledger(WHOLE)
    ledger.note_first("s1", "openai_ok", first("ok"))
    assert all(ledger.decide("s1", id, id) is None for id in OTHERS)


@pytest.mark.parametrize("variant", ["crashes", "prints_success", "hard_coded_model", "endless"])
def test_what_is_not_run_costs_no_point(variant: str, tmp_path: Path, trainings: Path) -> None:
    """Of recorded submissions: judged without the runs, and by all that the recording holds."""
    part = load_assignment(EXPERTS / "part2.yaml")
    scored = [c.id for c in part.criteria if c.source.partition(".")[0] in FAULTS]
    if variant == "endless":
        scored = ["openai_failed_job", "openai_refusals"]
    elif variant == "hard_coded_model":
        scored = []
    scored = [*scored, "openai_one_job"]  # by the run with nothing going wrong
    files = {
        "openai_domain_finetune.py": (VARIANTS / f"{variant}.py").read_bytes(),
        **{
            name: (VARIANTS / name).read_bytes()
            for name in ("openai_train.jsonl", "openai_test.jsonl")
        },
    }
    home = lay_out(files, tmp_path / variant)
    with pytest.MonkeyPatch.context() as patch:
        results = []
        # What crashes before it asks was never run in other scenarios: its recording has none.
        for skipping in (True,) if variant == "crashes" else (True, False):
            if not skipping:
                patch.setattr(Ledger, "behind_first", lambda *_: None)
            work = tmp_path / str(skipping)
            family = Family("part2", work, trainings, recording=False)
            asked = narrowed(part, scored)
            questions = make_hidden("educational-qa", 7, 10)
            results.append(family.recorded([home], asked, questions)[variant])
    now = results[0]
    assert {s.points for s in now.scores} == {0} or now.scores == results[1].scores
    skipped = {f.code for f in now.findings if "was not run" in f.message}
    assert skipped == (FAULTS if variant == "crashes" else set())


@pytest.mark.parametrize(
    ("cost", "stored", "names"),
    [
        ({"wall_seconds": 101.0}, 0, "100 seconds over all"),
        ({"wall_seconds": 500.0, "uncounted_seconds": 399.0}, 0, "100 seconds over all"),
        ({"cpu_seconds": 11.0}, 0, "10 seconds of processor time"),
        ({}, SUBMISSION_MAX_EVIDENCE_BYTES, "32 MiB of requests and output"),
    ],
)
def test_runs_beyond_the_budget_fail_by_the_students_doing(
    cost: dict[str, float], stored: int, names: str
) -> None:
    assignment = replace(WHOLE, budget=Budget(100.0, 10.0))
    ledger = Ledger(assignment)
    ledger.charge("s1", cost, stored)
    why = ledger.decide("s1", "openai_ok", "k")
    assert why is not None
    assert ledger.withheld == {"k": why}
    finding = judged(assignment, {"openai_ok": why})
    assert finding.outcome is Outcome.FAIL
    assert names in finding.message
    assert finding.hint
    told = finding.message.replace(names, "") + finding.hint
    assert not any(letter.isdigit() for letter in told), "what was used may hold hidden bits"
    assert "Used before this run" in finding.note
    assert ledger.decide("s2", "openai_ok", "other") is None


def judged(assignment: Assignment, not_run: dict[str, NotRun]) -> Finding:
    submission = Submission("s1", Path("/nowhere"), "d", ())
    context = Context(assignment, submission, {}, not_run=not_run)
    earlier = {"LAY022": passing("LAY022"), "SRC013": passing("SRC013")}
    return run_check(check_of("API001", assignment), context, earlier, {})


def passing(code: str) -> Finding:
    return Finding(code, Outcome.PASS, code, "")


def test_waiting_for_the_service_or_for_a_processor_is_not_charged() -> None:
    ledger = Ledger(replace(WHOLE, budget=Budget(100.0, 10.0)))
    ledger.charge("s1", {"wall_seconds": 500.0, "uncounted_seconds": 450.0}, 0)
    assert ledger.decide("s1", "openai_ok", "k") is None


def request(student: str, id: str) -> EvidenceRequest[Any]:
    return EvidenceRequest(student, id, "transcript", f"{student} {id}", None, own=True)


def test_honest_short_work_comes_first() -> None:
    """Every program once with nothing going wrong; then those that took least, as they end."""
    students = ("long", "short", "slow")
    ids = ("openai_flaky", "openai_ok")
    requests = [request(student, id) for student in students for id in ids]
    ledger = Ledger(WHOLE)
    queue = RunQueue(requests, ledger)
    started = [queue.next() for _ in students]
    assert [r.key for r in started if r] == [f"{student} openai_ok" for student in students]
    assert queue.next() is None, "nothing is known of any program yet"
    for student, seconds in (("long", 90.0), ("short", 3.0)):
        ledger.charge(student, {"wall_seconds": seconds}, 0)
        ledger.note_first(student, "openai_ok", first("ok", CREATES))
        queue.ended(request(student, "openai_ok"))
    rest = [queue.next(), queue.next(), queue.next()]
    assert [r.student if r else None for r in rest] == ["short", "long", None]
    queue.ended(request("slow", "openai_ok"))  # by a fault of the machine: nothing is noted
    last = queue.next()
    assert last is not None
    assert last.student == "slow"

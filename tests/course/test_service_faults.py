"""A fault of the model service that a student's program can cause: it earns and costs nothing."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.classes import Silent
from support.sandboxes import need_sandbox
from support.sim_services import chat_file

from grader.assignment.load import load_assignment
from grader.assignment.questions import make_hidden
from grader.core.nouns import Outcome, Status
from grader.core.payloads import SERVICE_FAULT
from grader.core.result import Result
from grader.course import grade
from grader.evidence.store import open_store
from grader.intake.find import Extent
from grader.openai_sim.api import models

ASSIGNMENT = load_assignment("llm-methods")
# Two of the workflow's runs tell as much as all eight.
ASSIGNMENT = replace(
    ASSIGNMENT,
    evidence=tuple(
        spec if spec.id in ("openai_ok", "openai_flaky") else replace(spec, needs=("LAY050",))
        for spec in ASSIGNMENT.evidence
    ),
)
NOTHING = "print('nothing')\n"
TRICK = """
import os, urllib.request
place = os.environ["OPENAI_BASE_URL"] + "/models"
try:
    urllib.request.urlopen(urllib.request.Request(place, headers={"Authorization": "Bearer x"}))
except Exception as error:
    print(error)
"""


def graded(folder: Path, **scripts: str) -> dict[str, Result]:
    """A class of one script each, graded into a store that stays."""
    for name, script in scripts.items():
        (folder / "class" / name).mkdir(parents=True, exist_ok=True)
        (folder / "class" / name / "openai_domain_finetune.py").write_text(script)
        (folder / "class" / name / "openai_train.jsonl").write_bytes(chat_file())
    results = grade.grade(
        [folder / "class"],
        ASSIGNMENT,
        make_hidden(ASSIGNMENT.topic, 3, 10),
        folder / "e.sqlite",
        Silent(),
        open_sandbox=need_sandbox,
        extent=Extent.CLASS,
    )
    return {result.student: result for result in results.results}


def fails(times: float, error: Callable[[], Exception]) -> tuple[list[int], Callable[..., Any]]:
    """What fails so many times, and a list of one number for each time."""
    original, calls = models._object, list[int]()

    def failing(row: Any) -> Any:
        calls.append(1)
        if len(calls) <= times:
            raise error()
        return original(row)

    return calls, failing


def test_a_do_nothing_script_earns_the_same_with_and_without_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, failing = fails(float("inf"), lambda: ValueError("ours"))
    calls, failing = fails(float("inf"), lambda: ValueError("ours"))
    monkeypatch.setattr(models, "_object", failing)
    results = graded(tmp_path, quiet=NOTHING, tricky=TRICK)
    quiet, tricky = results["quiet"], results["tricky"]
    assert [replace(score, because=()) for score in tricky.scores] == [
        replace(score, because=()) for score in quiet.scores
    ]
    assert tricky.total == quiet.total
    assert len(calls) >= 2, "each run was made a second time"

    (question,) = (f for f in tricky.findings if f.code == "GRD002")
    assert question.outcome is Outcome.REVIEW
    assert "GET /v1/models (ValueError" in question.note
    assert "ValueError" not in question.message
    assert tricky.status is Status.PENDING_MANUAL
    assert not any(f.outcome is Outcome.ERROR for f in tricky.findings)
    assert not any(f.code == "GRD002" for f in quiet.findings)

    key = tricky.provenance["evidence"]["openai_ok"]
    with open_store(tmp_path / "e.sqlite") as store:
        evidence = store.get(key)
    assert evidence is not None
    assert any(SERVICE_FAULT in one["notes"] for one in evidence.payload["exchanges"])

    before = len(calls)
    assert graded(tmp_path)["tricky"] == tricky
    assert len(calls) == before, "what failed twice is stored, and not run at every grading"


def test_a_fault_that_does_not_come_again_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, failing = fails(1, lambda: ValueError("ours"))
    monkeypatch.setattr(models, "_object", failing)
    result = graded(tmp_path, honest=TRICK)["honest"]
    assert not any(f.code == "GRD002" for f in result.findings)
    assert not any(f.outcome is Outcome.ERROR for f in result.findings)


def test_a_full_disk_is_no_evidence_and_costs_no_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, failing = fails(float("inf"), lambda: OSError(errno.ENOSPC, "full"))
    monkeypatch.setattr(models, "_object", failing)
    first = graded(tmp_path, honest=TRICK)["honest"]
    assert any(f.outcome is Outcome.ERROR for f in first.findings)
    assert "openai_ok" not in first.provenance["evidence"]
    monkeypatch.undo()
    second = graded(tmp_path)["honest"]
    assert not any(f.outcome is Outcome.ERROR for f in second.findings)

"""Runs that see hidden questions leave nothing that a later run could read, not even by time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.sandboxes import need_sandbox
from support.sim_apps import add_file, add_job, chat_lines, job_of

from grader.assignment.load import load_assignment
from grader.core.openai_wire import ENDED
from grader.evidence.kind import Grading
from grader.evidence.kinds import KINDS
from grader.openai_sim.store.clock import ProgramClock


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("kind", "hidden"), [("answers", True), ("metric_scores", True), ("transcript", False)]
)
def test_only_jobs_of_runs_without_hidden_questions_are_recorded(
    kind: str, hidden: bool, tmp_path: Path
) -> None:
    trainings = tmp_path / "trainings"
    grading = Grading(load_assignment("llm-methods"), None, "cpu", trainings, need_sandbox)
    producer: Any = KINDS[kind].producer(grading)
    services = getattr(producer, "_runs", producer)._services
    clock = ProgramClock(rate=1e6)
    with services, services.service((), clock) as app:
        store = app.services.store
        job = add_job(
            store,
            add_file(store, chat_lines(4)),
            hyperparameters={"n_epochs": 1, "batch_size": 4},
        )
        for _ in range(3):
            asyncio.run(clock.sleep(500))
        assert job_of(store, job).status in ENDED
    assert trainings.exists() is not hidden

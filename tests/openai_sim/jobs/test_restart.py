"""A service that is killed in the middle of a job, and the next one in the same folder."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest
from support.sim_apps import chat_lines
from support.sim_processes import gone, is_alive, simulate
from support.waiting import wait_for

from grader.openai_sim.store.store import SimulatorStore

MODEL = "gpt-4.1-nano-2025-04-14"
EXAMPLES = 20
SHORT = {"n_epochs": 1, "batch_size": 8}
# Long enough to be killed in the middle, whatever else the machine does.
LONG = {"n_epochs": 4, "batch_size": 1}
# Many times as long, for jobs that are never to be done.
ENDLESS = {"n_epochs": 50, "batch_size": 1}
_STEPS = LONG["n_epochs"] * EXAMPLES


@pytest.mark.live(sample=1, of="killed service")
def test_a_killed_service_loses_nothing_and_its_job_goes_on_at_the_next_start(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    with simulate(home) as first, first.client() as client:
        file = _uploaded(client)
        done = _ended(client, _created(client, file, SHORT))
        assert done.status == "succeeded"
        known = _known(client, done)
        half = _created(client, file, LONG)
        waiting = _created(client, file, SHORT)
        # Beyond an epoch, whose state is saved.
        wait_for(lambda: len(_steps(client, half)) > EXAMPLES)
        trained_by = _process(home, half)
        assert is_alive(trained_by)
        first.kill()
        gone(trained_by)

    with simulate(home) as second, second.client() as client:
        assert _known(client, done) == known
        assert [job.id for job in client.fine_tuning.jobs.list()] == [waiting, half, done.id]
        resumed, after = _ended(client, half), _ended(client, waiting)
        assert (resumed.status, after.status) == ("succeeded", "succeeded")
        assert resumed.finished_at <= after.finished_at  # the order of the queue is kept
        assert _steps(client, half) == list(range(1, _STEPS + 1))  # each told, and told once
        assert _said(client, resumed.fine_tuned_model)
        assert all(not is_alive(process) for process in (trained_by, first.process.pid))


@pytest.mark.live(sample=1, of="killed service")
def test_what_was_wanted_of_a_job_when_the_service_was_killed_still_holds(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with simulate(home) as first, first.client() as client:
        file = _uploaded(client)
        half = _created(client, file, ENDLESS)
        waiting, queued, paused = (_created(client, file, ENDLESS) for _ in range(3))
        wait_for(partial(_is, client, half, "running"))
        for job in (waiting, queued, paused):
            wait_for(partial(_is, client, job, "queued"))
        for job in (waiting, paused):
            client.fine_tuning.jobs.pause(job)
        for job in (queued, paused):
            client.fine_tuning.jobs.cancel(job)
        # Where the process has not heeded this yet when it is killed, the next one must.
        client.fine_tuning.jobs.cancel(half)
        first.kill()

    with simulate(home) as second, second.client() as client:
        for job in (half, queued, paused):
            ended = _ended(client, job)
            assert (ended.status, ended.error) == ("cancelled", None)
            assert _told(client, job).count("Fine-tuning job cancelled") == 1
        assert client.fine_tuning.jobs.retrieve(waiting).status == "paused"
        client.fine_tuning.jobs.resume(waiting)
        wait_for(lambda: _steps(client, waiting))
        client.fine_tuning.jobs.cancel(waiting)
        assert _ended(client, waiting).status == "cancelled"


def _is(client: openai.OpenAI, job_id: str, status: str) -> bool:
    return client.fine_tuning.jobs.retrieve(job_id).status == status


def _uploaded(client: openai.OpenAI) -> str:
    raw = "".join(json.dumps(line) + "\n" for line in chat_lines(EXAMPLES)).encode()
    return client.files.create(file=("train.jsonl", raw), purpose="fine-tune").id


def _created(client: openai.OpenAI, file: str, numbers: dict[str, int]) -> str:
    method: Any = {"type": "supervised", "supervised": {"hyperparameters": numbers}}
    made = client.fine_tuning.jobs.create(model=MODEL, training_file=file, seed=3, method=method)
    return made.id


def _ended(client: openai.OpenAI, job_id: str) -> Any:
    def done() -> Any:
        found = client.fine_tuning.jobs.retrieve(job_id)
        return found if found.finished_at else None

    return wait_for(done)


def _told(client: openai.OpenAI, job_id: str) -> list[str]:
    """What the job's events say."""
    return [event.message for event in client.fine_tuning.jobs.list_events(job_id)]


def _steps(client: openai.OpenAI, job_id: str) -> list[int]:
    """The numbers of the steps that the job told, in the order it told them."""
    events = list(client.fine_tuning.jobs.list_events(job_id, limit=1000))
    return [event.data["step"] for event in events[::-1] if event.type == "metrics"]  # type: ignore[index]


def _process(home: Path, job_id: str) -> int:
    store = SimulatorStore.open(home)
    try:
        job = store.get_job(job_id)
    finally:
        store.close()
    assert job is not None
    assert job.pid is not None
    return job.pid


def _known(client: openai.OpenAI, job: Any) -> dict[str, Any]:
    """All that clients can learn of a job that has ended, its files and its models."""
    model = client.models.retrieve(job.fine_tuned_model)
    files = (job.training_file, *job.result_files)
    return {
        "job": client.fine_tuning.jobs.retrieve(job.id).to_dict(),
        "events": [e.to_dict() for e in client.fine_tuning.jobs.list_events(job.id)],
        "checkpoints": [c.to_dict() for c in client.fine_tuning.jobs.checkpoints.list(job.id)],
        "files": [client.files.retrieve(file).to_dict() for file in files],
        "contents": [client.files.content(file).read() for file in files],
        "model": model.to_dict(),
        "says": _said(client, model.id),
    }


def _said(client: openai.OpenAI, model: str) -> str | None:
    messages: Any = chat_lines(1)[0]["messages"][:-1]
    answer = client.chat.completions.create(
        model=model, messages=messages, temperature=0, max_completion_tokens=24
    )
    return answer.choices[0].message.content

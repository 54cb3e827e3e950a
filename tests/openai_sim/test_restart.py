"""A service that is killed in the middle of a job, and one that is started where it lay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest
from process_builder import Simulate, gone, is_alive, simulate
from service_builder import wait_for
from sim_builder import chat_lines

from grader.openai_sim.store import Store
from grader.strict_json import dumps

MODEL = "gpt-4.1-nano-2025-04-14"
# Long enough to be killed in the middle, whatever else the machine does.
LONG = {"n_epochs": 16, "batch_size": 1}
SHORT = {"n_epochs": 1, "batch_size": 8}


def job(client: openai.OpenAI, file: str, numbers: dict[str, int]) -> str:
    method: Any = {"type": "supervised", "supervised": {"hyperparameters": numbers}}
    made = client.fine_tuning.jobs.create(model=MODEL, training_file=file, seed=3, method=method)
    return made.id


def ended(client: openai.OpenAI, job_id: str) -> Any:
    def done() -> Any:
        found = client.fine_tuning.jobs.retrieve(job_id)
        return found if found.finished_at else None

    return wait_for(done, 90)


def steps(client: openai.OpenAI, job_id: str) -> list[int]:
    """The numbers of the steps that the job told, in the order it told them."""
    events = list(client.fine_tuning.jobs.list_events(job_id, limit=100))
    return [event.data["step"] for event in events[::-1] if event.type == "metrics"]  # type: ignore[index]


def said(client: openai.OpenAI, model: str) -> str | None:
    messages: Any = chat_lines(1)[0]["messages"][:-1]
    answer = client.chat.completions.create(model=model, messages=messages, temperature=0)
    return answer.choices[0].message.content


def seen(client: openai.OpenAI) -> dict[str, Any]:
    """All that a client can list, but what changes while a job runs."""
    return {
        "files": [file.to_dict() for file in client.files.list()],
        "jobs": [found.id for found in client.fine_tuning.jobs.list()],
        "models": [model.to_dict() for model in client.models.list()],
    }

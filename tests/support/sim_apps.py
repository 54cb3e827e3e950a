"""Stores with files and jobs in them, as the service would have made them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from grader.openai_sim.jobs.job_validation import resolved
from grader.openai_sim.store.store import FileRow, JobRow, SimulatorStore, new_id, now
from grader.topics import get_topic
from support.paths import ROOT

BASE = ROOT / "starter" / "course-model"
MODEL = "gpt-4.1-nano-2025-04-14"


def chat_lines(n: int, split: str = "train") -> list[dict[str, Any]]:
    """The first n public examples, as chat examples."""
    topic = get_topic("educational-qa")
    return [
        {
            "messages": [
                {"role": "system", "content": topic.system},
                {"role": "user", "content": example.question},
                {"role": "assistant", "content": example.answer},
            ]
        }
        for example in topic.public(split)[:n]
    ]


def add_file(store: SimulatorStore, examples: Iterable[Mapping[str, Any]]) -> str:
    """A training file in the store; its id."""
    raw = "".join(json.dumps(example) + "\n" for example in examples).encode()
    file_id = new_id("file")
    store.file_path(file_id).write_bytes(raw)
    store.add_file(FileRow(file_id, len(raw), now(), "train.jsonl", "fine-tune"))
    return file_id


def add_job(store: SimulatorStore, training_file: str, **changes: Any) -> str:
    """A job whose files are found valid; its id."""
    values = {"id": new_id("ftjob"), "model": MODEL, "seed": 7, "status": "queued", **changes}
    asked, method = values.get("hyperparameters"), values.get("method", "supervised")
    lines = store.file_path(training_file).read_bytes().count(b"\n")
    values["resolved"] = resolved(asked, lines, method)
    job = JobRow(created_at=now(), training_file=training_file, **values)
    return store.add_job(job, f"Created fine-tuning job: {job.id}").id


def environment() -> dict[str, str]:
    """Of a process that imports this very package and fetches nothing."""
    here = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **here, "TQDM_DISABLE": "1"}


def job_of(store: SimulatorStore, job_id: str) -> JobRow:
    """The job as it is now."""
    job = store.get_job(job_id)
    assert job is not None
    return job


def steps_told(store: SimulatorStore, job_id: str) -> list[dict[str, Any]]:
    """The data of all steps that a job told, in order."""
    events = reversed(store.list_events(job_id))
    return [dict(e.data) for e in events if e.type == "metrics" and e.data]

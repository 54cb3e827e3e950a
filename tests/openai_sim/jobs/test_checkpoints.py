"""What a training leaves behind, also when it was killed while it left it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.sim_apps import add_file, add_job, chat_lines, job_of

from grader.openai_sim.decoding.model_names import checkpoint_name
from grader.openai_sim.jobs.checkpoints import keep_checkpoint
from grader.openai_sim.store import store as store_module
from grader.openai_sim.store.store import CheckpointRow, EventRow, SimulatorStore

STEP = 3


class Run:
    """A training after some steps, whose adapter is a single file."""

    done = STEP

    def save_adapter(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_bytes(b"weights")


@pytest.mark.parametrize("killed_at", [CheckpointRow, EventRow])
def test_a_checkpoint_is_told_once_whatever_is_killed_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: type[Any]
) -> None:
    store = SimulatorStore(tmp_path)
    job = job_of(store, add_job(store, add_file(store, chat_lines(10))))
    data: dict[str, Any] = {"step": STEP, "train_loss": 1.5, "total_steps": 9}
    run: Any = Run()
    insert = store_module._insert

    def killed(db: Any, row: Any) -> None:
        insert(db, row)
        if isinstance(row, killed_at):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store_module, "_insert", killed)
        with pytest.raises(KeyboardInterrupt):
            keep_checkpoint(store, job, run, data)
    assert store.list_checkpoints(job.id) == []
    for _ in range(2):
        keep_checkpoint(store, job, run, data)
    name = checkpoint_name(job, STEP)
    said = f"Checkpoint created at step {STEP} with Snapshot ID: {name}"
    assert [event.message for event in store.list_events(job.id)].count(said) == 1
    [row] = store.list_checkpoints(job.id)
    assert (row.model_name, row.metrics) == (name, {"step": STEP, "train_loss": 1.5})
    assert store.get_model(name) is not None

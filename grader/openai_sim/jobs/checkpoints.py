"""What a training starts from, an earlier job's adapter, and what it produces: checkpoints, the
model and the file of its metrics."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grader.core.openai_wire import RESULTS_PURPOSE
from grader.openai_sim.decoding.model_names import ORGANIZATION, checkpoint_name, tuned_name
from grader.openai_sim.jobs.job_state import adapter_folder, forget_model, job_folder
from grader.openai_sim.jobs.training_set import JobRefused
from grader.openai_sim.store.store import (
    CheckpointRow,
    FileRow,
    JobRow,
    ModelRow,
    SimulatorStore,
    new_id,
    now,
)
from grader.training_data.encodings import base_of

if TYPE_CHECKING:
    from grader.openai_sim.jobs.training_cache import TrainingRun


def write_warm_start(store: SimulatorStore, job: JobRow, base: Path, state: Path) -> bool:
    """Write the first state, as LoraRun.save does, of a job that starts from a fine-tuned model.

    False for a job that starts from a base. The state is written once; the job does not need the
    model from then on. Raises JobRefused when the model is gone or of another base than `base`.
    """
    if base_of(job.model) == job.model:
        return False
    if not state.exists():
        row = store.get_model(job.model)
        if row is None or row.adapter is None:
            said = f"The model `{job.model}` does not exist or you do not have access to it."
            raise JobRefused("model_not_found", said, "model")
        _convert(store, row, base, state)
    return True


def _convert(store: SimulatorStore, row: ModelRow, base: Path, state: Path) -> None:
    from safetensors.torch import load_file, save_file

    adapter = store.adapters_folder / (row.adapter or "")
    config = json.loads((adapter / "adapter_config.json").read_text())
    made_from = Path(config["base_model_name_or_path"]).name
    if made_from != base.name:
        said = f"The model `{row.id}` was made from {made_from}, and this service has {base.name}."
        raise JobRefused("model_not_available", f"{said} Start from a model of this base.", "model")
    weights = load_file(adapter / "adapter_model.safetensors")
    # PEFT leaves the adapter's own name, "default", out of the files that it writes.
    tensors = {
        f"weight/{name.removesuffix('.weight')}.default.weight": value
        for name, value in weights.items()
    }
    new = state.with_suffix(".new")
    save_file(tensors, new, metadata={"done": "0"})
    os.replace(new, state)


_KEPT_CHECKPOINTS: Final = 3  # the model itself among them, as the service keeps them
_COLUMNS: Final = {  # of the result file: the key of a step's data
    "step": ("step",),
    "train_loss": ("train_loss",),
    "train_accuracy": ("train_mean_token_accuracy", "train_reward_accuracy"),
    "valid_loss": ("valid_loss",),
    "valid_mean_token_accuracy": ("valid_mean_token_accuracy", "valid_reward_accuracy"),
}


def keep_checkpoint(
    store: SimulatorStore, job: JobRow, run: TrainingRun, data: Mapping[str, Any]
) -> None:
    """Add the checkpoint of an epoch's end, unless it exists; only the newest are kept."""
    name, step = checkpoint_name(job, run.done), run.done
    if all(row.step != step for row in store.list_checkpoints(job.id)):
        _add_model(store, job, run, name)
        row = CheckpointRow(new_id("ftckpt"), job.id, now(), step, name, _metrics(data))
        made = f"Checkpoint created at step {step} with Snapshot ID: {name}"
        store.add_checkpoint(row, made)
    _drop(store, store.list_checkpoints(job.id)[_KEPT_CHECKPOINTS:])


def finish(store: SimulatorStore, job: JobRow, run: TrainingRun, trained_tokens: int) -> None:
    """End a job as succeeded, with its model and its metrics; remove both if it was cancelled.

    It may be repeated after a kill half way: all that it makes gets the same names again.
    """
    name = tuned_name(job)
    metrics = [
        dict(e.data) for e in reversed(store.list_events(job.id)) if e.type == "metrics" and e.data
    ]
    _add_model(store, job, run, name)
    if all(row.step != run.done for row in store.list_checkpoints(job.id)):
        last = CheckpointRow(new_id("ftckpt"), job.id, now(), run.done, name, _metrics(metrics[-1]))
        store.add_checkpoint(last)
    _drop(store, store.list_checkpoints(job.id)[_KEPT_CHECKPOINTS:])
    results = _write_results(store, job, metrics)
    made = f"New fine-tuned model created: {name}"
    if all(event.message != made for event in store.list_events(job.id, limit=3)):
        store.add_event(job.id, made)
    done = store.update_job(
        job.id,
        if_status=("running", "pausing"),
        event="The job has successfully completed",
        status="succeeded",
        finished_at=now(),
        fine_tuned_model=name,
        trained_tokens=trained_tokens,
        result_files=(results,),
        estimated_finish=None,
        pid=None,
    )
    if not done:
        _drop(store, [row for row in store.list_checkpoints(job.id) if row.model_name == name])
        store.delete_file(results)


def _add_model(store: SimulatorStore, job: JobRow, run: TrainingRun, name: str) -> None:
    """Write the adapter as it is now, then add its model."""
    folder = store.adapters_folder / adapter_folder(name)
    new = job_folder(store, job.id) / "adapter"
    shutil.rmtree(new, ignore_errors=True)
    run.save_adapter(new)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)
    store.add_model(ModelRow(name, now(), ORGANIZATION, folder.name, job.id))


def _drop(store: SimulatorStore, checkpoints: Sequence[CheckpointRow]) -> None:
    for row in checkpoints:
        forget_model(store, row.model_name)
        store.delete_checkpoint(row.id)


def _metrics(data: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in data.items() if name != "total_steps"}


def _write_results(store: SimulatorStore, job: JobRow, metrics: list[dict[str, Any]]) -> str:
    """Write the result file, base64 of a CSV with a line a step, as OpenAI has it; its id."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    for data in metrics:
        table.writerow(
            [next((data[k] for k in keys if k in data), "") for keys in _COLUMNS.values()]
        )
    raw = base64.b64encode(text.getvalue().encode())
    file_id = f"file-{job.id.rpartition('-')[2]}"
    store.file_path(file_id).write_bytes(raw)
    if store.get_file(file_id) is None:
        name = "step_metrics.csv"
        store.add_file(FileRow(file_id, len(raw), now(), name, RESULTS_PURPOSE))
    return file_id

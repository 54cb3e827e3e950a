"""Where a training starts: at the base, or at the adapter that an earlier job made."""

from __future__ import annotations

import json
import os
from pathlib import Path

from grader.openai_sim.material import Refused
from grader.openai_sim.store import JobRow, ModelRow, Store
from grader.training_data.encodings import base_of


def write_start(store: Store, job: JobRow, base: Path, state: Path) -> bool:
    """Write the state, as of LoraRun, of a job that goes on from a tuned model; False for others.

    It is written once: from then on the job does not need that model any longer.
    Raises Refused when the model is gone or was made from another base than the one at `base`.
    """
    if base_of(job.model) == job.model:
        return False
    if not state.exists():
        row = store.get_model(job.model)
        if row is None or row.adapter is None:
            said = f"The model `{job.model}` does not exist or you do not have access to it."
            raise Refused("model_not_found", said, "model")
        _convert(store, row, base, state)
    return True


def _convert(store: Store, row: ModelRow, base: Path, state: Path) -> None:
    from safetensors.torch import load_file, save_file

    adapter = store.adapters_folder / (row.adapter or "")
    config = json.loads((adapter / "adapter_config.json").read_text())
    made_from = Path(config["base_model_name_or_path"]).name
    if made_from != base.name:
        said = f"The model `{row.id}` was made from {made_from}, and this service has {base.name}."
        raise Refused("model_not_available", f"{said} Start from a model of this base.", "model")
    weights = load_file(adapter / "adapter_model.safetensors")
    # PEFT leaves the adapter's own name, "default", out of the files that it writes.
    tensors = {
        f"weight/{name.removesuffix('.weight')}.default.weight": value
        for name, value in weights.items()
    }
    new = state.with_suffix(".new")
    save_file(tensors, new, metadata={"done": "0"})
    os.replace(new, state)

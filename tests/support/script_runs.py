"""Evidence of runs of Part 3's scripts, as they would leave it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from grader.core.nouns import Evidence
from grader.core.payloads import METRICS_FILE, STATE_FILE, ScriptRun
from support.predictions import N

TRAIN, ANSWER = "huggingface_custom_lora.py", "inference.py"
METRICS: Mapping[str, Any] = {
    "before": {"exact_match": 0.0},
    "after": {"exact_match": 0.9},
    "tokens_per_second": 300.0,
    "peak_memory_mb": 500.0,
    "validation_loss": 0.01,
}
WEIGHTS = 300_000
MADE: Mapping[str, int] = {
    "adapter/adapter_model.safetensors": WEIGHTS,
    "checkpoints/checkpoint-20/adapter_model.safetensors": WEIGHTS,
    "checkpoints/checkpoint-20/optimizer.pt": 2 * WEIGHTS,
    METRICS_FILE: 500,
}
TRAINED_ON: Mapping[str, int] = {
    TRAIN: 1,
    "common.py": 1,
    "course-model/config.json": 2,
    "course-model/model.safetensors": 2,
    "data/train.jsonl": 1,
}
LOADED: Mapping[str, int] = {
    ANSWER: 1,
    "course-model/model.safetensors": 2,
    "course-model/tokenizer.json": 2,
    "adapter/adapter_config.json": 1,
    "adapter/adapter_model.safetensors": 2,
}
ASKED = tuple(f"question {number}" for number in range(0, N, 10))
COST = {"wall_seconds": 9.0, "cpu_seconds": 8.0, "peak_memory_bytes": 400.0 * 2**20}


def state(
    steps: int = 20,
    most: int = 60,
    losses: tuple[float, ...] = (0.5, 0.4, 0.45),
    *,
    stop: bool = True,
    watched: bool = True,
) -> dict[str, Any]:
    """A trainer's state, as in its last checkpoint; by default of a training that stopped early."""
    callbacks: dict[str, Any] = {"TrainerControl": {"args": {"should_training_stop": stop}}}
    if watched:
        callbacks["EarlyStoppingCallback"] = {"args": {"early_stopping_patience": 2}}
    log = [{"epoch": n + 1.0, "eval_loss": loss} for n, loss in enumerate(losses)]
    return {
        "global_step": steps,
        "max_steps": most,
        "log_history": log,
        "stateful_callbacks": callbacks,
    }


def training(
    *,
    metrics: Mapping[str, Any] | None = METRICS,
    states: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Evidence:
    """A run of a training script in which all went well, but for these fields."""
    left = {METRICS_FILE: metrics, f"checkpoints/checkpoint-20/{STATE_FILE}": states or state()}
    files = {
        path: base64.b64encode(json.dumps(value).encode()).decode()
        for path, value in left.items()
        if value is not None
    }
    fields = {"files": files, "made_bytes": dict(MADE), "opened": dict(TRAINED_ON), **changes}
    return _evidence("training_run", TRAIN, fields)


def inference(*answers: str, **changes: Any) -> Evidence:
    """A run of an inference script that prints these lines, or the right answers to ASKED."""
    lines = answers or tuple(one.replace("question", "answer") for one in ASKED)
    fields = {
        "arguments": list(ASKED),
        "stdout": "".join(f"{line}\n" for line in lines),
        "opened": dict(LOADED),
        **changes,
    }
    return _evidence("inference_run", ANSWER, fields)


def _evidence(kind: str, script: str, fields: Mapping[str, Any]) -> Evidence:
    plain: dict[str, Any] = {
        "script": script,
        "arguments": [],
        "verdict": "ok",
        "exit_code": 0,
        "signal": None,
        "stdout": "",
        "stderr": "",
        "files": {},
        "made_bytes": {},
        "opened": {},
    }
    return Evidence(kind, "k", ScriptRun(**{**plain, **fields}).to_json(), COST)

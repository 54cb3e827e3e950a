"""Adapters in tests: small LoRA folders for the course model, right or wrong on purpose."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Tensor = tuple[str, str, list[int], bytes]
"""Name, dtype, shape, bytes."""

LAYER = "model.layers.0.self_attn.q_proj"
WIDTH = 128
"""The layer that test adapters adapt, [WIDTH, WIDTH] in the course model."""


def config(**changes: Any) -> dict[str, Any]:
    """A config as peft writes it, for rank 2, with these keys changed."""
    plain = {
        "base_model_name_or_path": "kit/course-model",
        "bias": "none",
        "init_lora_weights": True,
        "lora_alpha": 4,
        "lora_dropout": 0.0,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": 2,
        "rank_pattern": {},
        "target_modules": ["q_proj"],
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }
    return plain | changes


def packed(values: np.ndarray, dtype: str) -> bytes:
    """The values as little-endian bytes of this safetensors dtype (BF16 by cutting)."""
    if dtype == "BF16":
        return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return values.astype({"F32": "<f4", "F16": "<f2", "F64": "<f8", "I64": "<i8"}[dtype]).tobytes()


def tensor(name: str, values: np.ndarray, dtype: str = "F32") -> Tensor:
    return name, dtype, list(values.shape), packed(values, dtype)


def pair(
    a: np.ndarray, b: np.ndarray, layer: str = LAYER, dtype: str = "F32", suffix: str = ""
) -> list[Tensor]:
    """The two tensors of one layer under peft's names."""
    stem = f"base_model.model.{layer}.lora_"
    return [
        tensor(f"{stem}A{suffix}.weight", a, dtype),
        tensor(f"{stem}B{suffix}.weight", b, dtype),
    ]


def random_pair(seed: int = 0, rank: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """A [rank, WIDTH] and B [WIDTH, rank]: multiples of 1/64, exact in every dtype."""
    rng = np.random.default_rng(seed)
    shapes = ((rank, WIDTH), (WIDTH, rank))
    a, b = (rng.integers(-16, 17, shape).astype(np.float32) / 64 for shape in shapes)
    return a, b


def safetensors(tensors: Sequence[Tensor], metadata: Any = None) -> bytes:
    """A safetensors file; `metadata` None leaves it out."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    at = 0
    for name, dtype, shape, data in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    return framed(json.dumps(header).encode()) + b"".join(data for *_, data in tensors)


def framed(header: bytes) -> bytes:
    """The header with its length in front."""
    return len(header).to_bytes(8, "little") + header


def write_adapter(
    folder: Path,
    *,
    weights: bytes | None = None,
    settings: Mapping[str, Any] | bytes | None = None,
    seed: int = 0,
) -> Path:
    """A whole adapter folder; by default a good one of rank 2."""
    folder.mkdir(parents=True, exist_ok=True)
    data = safetensors(pair(*random_pair(seed)), {"format": "pt"}) if weights is None else weights
    (folder / "adapter_model.safetensors").write_bytes(data)
    written = config() if settings is None else settings
    text = written if isinstance(written, bytes) else json.dumps(written, indent=1).encode()
    (folder / "adapter_config.json").write_bytes(text)
    return folder

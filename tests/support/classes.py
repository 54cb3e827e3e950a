"""A small class on disk: random adapters (not trained), wrong ones, and a hidden set."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from grader.evidence.kind import Progress
from support.adapters import config, pair, safetensors, write_adapter

SCRIPTS = ("huggingface_custom_lora.py", "inference.py")
LAYER = "model.layers.0.self_attn.v_proj"


class Silent(Progress):
    """A progress that nobody watches."""

    def start(self, stage: str, total: int) -> None: ...

    def step(self, label: str) -> None: ...


def write_student(home: Path, seed: int, *, nan: bool = False) -> Path:
    """A submission with a random adapter that changes answers, and nothing else of note."""
    rng = np.random.default_rng(seed)
    a = rng.normal(0, 0.3, (2, 128)).astype(np.float32)
    b = rng.normal(0, 0.3, (128, 2)).astype(np.float32)
    if nan:
        b[0, 0] = np.nan
    weights = safetensors(pair(a, b, LAYER), {"format": "pt"})
    write_adapter(home / "adapter", weights=weights, settings=config(target_modules=[LAYER]))
    for name in SCRIPTS:
        (home / name).write_text("Filler that is no Python: nothing is run.\n")
    claim = '{"exact_match": 0.0}'
    (home / "metrics.json").write_text(f'{{"before": {claim}, "after": {claim}}}')
    (home / "comparative_analysis.md").write_text("Filler.")
    return home


def write_class(folder: Path) -> Path:
    """Students good-1, good-2, broken (a NaN), copy (of good-1, later) and evil.zip."""
    write_student(folder / "good-1", 1)
    write_student(folder / "good-2", 2)
    write_student(folder / "broken", 3, nan=True)
    write_student(folder / "copy", 1)
    with zipfile.ZipFile(folder / "evil.zip", "w") as archive:
        archive.writestr("../outside.txt", "no")
    rows = [f"{name},2026-03-0{day}T12:00:00+00:00" for name, day in TIMES.items()]
    (folder / "submissions.csv").write_text("\n".join(["student,submitted_at", *rows]) + "\n")
    return folder


TIMES = {"good-1": 1, "good-2": 1, "broken": 1, "copy": 2, "evil": 1}

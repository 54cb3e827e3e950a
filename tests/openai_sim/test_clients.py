"""Programs of other makers that fine-tune with OpenAI: they run here as they are."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.paths import PROGRAMS
from support.sim_apps import chat_lines, environment
from support.sim_processes import Simulate
from support.waiting import PATIENCE

MODEL = "gpt-4.1-nano-2025-04-14"


def test_litellm_fine_tunes(simulated: Simulate, tmp_path: Path) -> None:
    seen = _run("with_litellm.py", simulated, tmp_path, examples=12)
    assert seen["file"] == "train.jsonl"
    assert seen["status"] == "succeeded"
    assert seen["model"].startswith(f"ft:{MODEL}:finegrade:lite:")
    assert seen["cancelled"] == seen["created"][1]
    assert seen["listed"][:2] == seen["created"][::-1]
    assert base64.b64decode(seen["result"]).startswith(b"step,train_loss,")
    assert seen["tokens"] > 0


def test_dspy_fine_tunes_and_bootstraps(simulated: Simulate, tmp_path: Path) -> None:
    seen = _run("with_dspy.py", simulated, tmp_path, examples=24)
    for made in ("taught", "student"):
        assert seen[made].startswith(f"ft:{MODEL}:finegrade::")
        assert seen[f"{made}_score"] >= seen["base_score"] + 50
    assert seen["taught"] != seen["student"]


def _run(program: str, simulated: Simulate, folder: Path, examples: int) -> dict[str, Any]:
    """What the program says it saw, run with nothing but what the service printed."""
    file = folder / "train.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in chat_lines(examples)))
    own = {
        "DSPY_CACHEDIR": str(folder / "dspy"),
        "DSPY_FINETUNEDIR": str(folder / "finetune"),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / program), str(file), MODEL],
        env=environment() | simulated.exports | own,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen

"""Examples of ADP020 to ADP032: runs of Part 3's scripts, and recorded trials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from grader.core.nouns import Evidence
from support.examples.writers import Examples, Writer, with_files
from support.predictions import evidence
from support.script_runs import LOADED, MADE, METRICS, inference, training

_TRIAL = {"settings": {"rank": 2}, "validation_loss": METRICS["validation_loss"], "seconds": 9.3}
_FILES = ("huggingface_custom_lora.py", "inference.py", "metrics.json")


def _ran(**runs: Evidence) -> Writer:
    """A submission of Part 3 whose scripts ran like this; its adapter answers 90 of 100."""

    def write(folder: Path) -> Mapping[str, Evidence]:
        with_files(*_FILES)(folder)
        return {"after": evidence(90), "lora_made": evidence(90), **runs}

    return write


def _tried(line: object, **runs: Evidence) -> Writer:
    """A submission with this line in its trials.jsonl."""

    def write(folder: Path) -> Mapping[str, Evidence]:
        found = _ran(**runs)(folder)
        (folder / "s01" / "trials.jsonl").write_text(json.dumps(line) + "\n")
        return found

    return write


EXAMPLES: Examples = {
    "ADP020": (
        _ran(lora_training=training()),
        _ran(lora_training=training(verdict="timeout", exit_code=None, signal=9)),
    ),
    "ADP021": (
        _ran(lora_training=training()),
        _ran(
            lora_training=training(made_bytes={k: v for k, v in MADE.items() if "point" not in k})
        ),
    ),
    "ADP023": (_tried(_TRIAL), _tried({"settings": {}, "validation_loss": 1, "seconds": 1})),
    "ADP030": (_ran(lora_inference=inference()), _ran(lora_inference=inference("Paris"))),
    "ADP031": (
        _ran(lora_inference=inference()),
        _ran(lora_inference=inference(opened={**LOADED, "data/train.jsonl": 1})),
    ),
}

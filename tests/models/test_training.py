"""LoRA training: what it writes, that it repeats, and that it learns the answers alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.paths import STARTER

from grader.models.training import ChatExample, train_lora
from grader.topics import get_topic

BASE = STARTER / "course-model"

# peft and transformers warn about each other's names; nothing here depends on them.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(scope="module")
def examples() -> list[ChatExample]:
    train = get_topic("educational-qa").public("train")[:16]
    return [([{"role": "user", "content": e.question}], e.answer) for e in train]


def test_training_lowers_the_loss_and_writes_a_peft_adapter(
    examples: list[ChatExample], tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    log = train_lora(
        BASE, examples, tmp_path, epochs=4, on_step=lambda step, of, _: seen.append((step, of))
    )
    assert log.losses[-1] < 0.8 * log.losses[0]
    assert seen == [(i, 4) for i in range(1, 5)]
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (8, 16)
    assert (tmp_path / "adapter_model.safetensors").stat().st_size > 10_000


def test_the_same_seed_gives_the_same_adapter(examples: list[ChatExample], tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train_lora(BASE, examples, tmp_path / name, epochs=1, seed=seed, threads=1)
        weights.append((tmp_path / name / "adapter_model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize("fault", ["no examples", "empty answer", "no epochs"])
def test_nonsense_is_refused(fault: str, examples: list[ChatExample], tmp_path: Path) -> None:
    given = {"no examples": [], "empty answer": [(examples[0][0], " ")]}.get(fault, examples)
    with pytest.raises(ValueError, match=r"needs examples|empty answer"):
        train_lora(BASE, given, tmp_path, epochs=0 if fault == "no epochs" else 1)

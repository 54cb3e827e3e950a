"""A batch in parts: no part is larger than memory allows, and the step is that of the batch."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from support.sim_apps import BASE
from transformers import AutoConfig

from grader.models.micro_batches import micro_batches, most_tokens
from grader.models.tokenization import TokenRow
from grader.models.training import DpoObjective, LoraRun, TrainingExample, answer_loss

# peft and transformers warn about each other's names; nothing here depends on them.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def row(length: int, rng: random.Random) -> TokenRow:
    ids = array("i", [rng.randrange(5, 1_600) for _ in range(length)])
    return TokenRow(ids, rng.randrange(1, length - 1))


def examples(n: int, rows: int = 1) -> list[TrainingExample]:
    rng = random.Random(n)
    return [[row(rng.randrange(6, 30), rng) for _ in range(rows)] for _ in range(n)]


def run_of(
    batch: Sequence[TrainingExample], tokens: int | None = None, objective: Any = answer_loss
) -> LoraRun:
    run = LoraRun(
        BASE,
        batch,
        pad=0,
        objective=objective,
        learning_rate=1e-3,
        epochs=2,
        batch_size=6,
        seed=3,
    )
    if tokens is not None:
        run._most_tokens = tokens
    return run


def sizes(run: LoraRun) -> list[int]:
    """Filled with the tokens of each pass through the model."""
    seen: list[int] = []

    def note(_module: Any, _args: Any, named: dict[str, Any]) -> None:
        seen.append(named["input_ids"].numel())

    run._model.register_forward_pre_hook(note, with_kwargs=True)
    return seen


@given(
    st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4), min_size=1, max_size=12),
    st.integers(1, 200),
)
def test_parts_keep_the_order_and_the_limit(lengths: list[list[int]], tokens: int) -> None:
    batch = [[TokenRow(range(n), 0) for n in example] for example in lengths]
    parts = list(micro_batches(batch, tokens))
    assert [example for part in parts for example in part] == batch
    for part in parts:
        rows = [one for example in part for one in example]
        assert len(part) == 1 or len(rows) * max(len(one.ids) for one in rows) <= tokens


def test_usual_batches_of_the_course_model_are_one_part() -> None:
    tokens = most_tokens(AutoConfig.from_pretrained(BASE))
    assert 16 * 512 <= tokens < 16 * 1_024


def test_a_batch_that_fits_is_one_step_to_the_bit() -> None:
    batch = examples(6)
    run, plain = run_of(batch), run_of(batch)
    found = run._gradient(batch)
    expected = answer_loss(plain._model, batch, 0)
    expected.loss.backward()
    assert torch.equal(found.loss, expected.loss)
    for ours, theirs in zip(run._trained.values(), plain._trained.values(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("preferences", [False, True])
def test_a_batch_in_parts_trains_as_a_whole_one(preferences: bool, tmp_path: Path) -> None:
    batch = examples(11, rows=2 if preferences else 1)
    runs, steps = [], []
    for tokens in (None, 70):
        objective = DpoObjective(0.2) if preferences else answer_loss
        run = run_of(batch, tokens, objective)
        if isinstance(objective, DpoObjective):
            objective.begin(run, batch, 6)
        seen = sizes(run)
        steps.append([run.step() for _ in range(run.steps)])
        assert (len(seen) > run.steps) is (tokens is not None)
        assert tokens is None or max(seen) <= tokens
        measured = run.measure(batch, 5)
        run.save_adapter(tmp_path / str(tokens))
        runs.append((measured, load_file(tmp_path / str(tokens) / "adapter_model.safetensors")))
    for whole, split in zip(*steps, strict=True):
        assert split.loss == pytest.approx(whole.loss, rel=1e-4)
        # Before the first step no output is preferred, but for rounding.
        assert split.accuracy == pytest.approx(whole.accuracy) or split.number == 1
        assert split.others == pytest.approx(dict(whole.others), rel=1e-2, abs=1e-4)
    (whole_measured, whole_weights), (split_measured, split_weights) = runs
    assert split_measured == pytest.approx(whole_measured, rel=1e-3)
    for name, tensor in whole_weights.items():
        assert torch.allclose(tensor, split_weights[name], atol=2e-3), name


def test_one_example_of_many_answers_is_no_larger_than_many_of_one() -> None:
    """Each answer of a conversation is a row, with all that came before: a batch of one has all."""
    rng = random.Random(1)
    run = run_of([[row(25, rng) for _ in range(40)]], tokens=100)
    seen = sizes(run)
    run.step()
    assert max(seen) <= 100
    assert len(seen) == 10


def test_validation_of_many_answers_is_done_in_parts_too() -> None:
    rng = random.Random(1)
    held_out = [[row(25, rng) for _ in range(40)]]
    run = run_of(examples(3), tokens=100)
    seen = sizes(run)
    run.measure(held_out, 256)
    assert max(seen) <= 100

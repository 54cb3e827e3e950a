"""The preference objective, against a plain one that asks the reference anew at each step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from support.sim_apps import BASE, chat_lines
from transformers import AutoTokenizer

from grader.models.training import (
    IGNORED,
    DpoObjective,
    LoraRun,
    ObjectiveValue,
    TrainingExample,
    padded,
)
from grader.openai_sim.jobs.training_set import tokenize_example
from grader.training_data.read.examples import examples_of
from grader.training_data.read.lines import Line

# peft and transformers warn about each other's names; nothing here depends on them.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

BETA = 0.2
EVASIVE = {"role": "assistant", "content": "I would rather not say."}


@pytest.fixture(scope="module")
def examples() -> list[TrainingExample]:
    """Pairs of different lengths, so that batches are padded."""
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    values = [
        {
            "input": {"messages": line["messages"][:2]},
            "preferred_output": line["messages"][2:],
            "non_preferred_output": [EVASIVE],
        }
        for line in chat_lines(7)
    ]
    lines = [Line(i, json.dumps(value).encode()) for i, value in enumerate(values, 1)]
    return [tokenize_example(tokenizer, example) for example in examples_of(lines)]


def run_of(examples: Sequence[TrainingExample], objective: Any) -> LoraRun:
    return LoraRun(
        BASE,
        examples,
        pad=0,
        objective=objective,
        learning_rate=2e-3,
        epochs=3,
        batch_size=2,
        seed=5,
    )


def plain(model: Any, examples: Sequence[TrainingExample], pad: int) -> ObjectiveValue:
    """The loss of the paper, written down pair by pair, with the adapter off for the reference."""

    def log_likelihood(row: Any) -> torch.Tensor:
        batch = padded([row], pad)
        logits = model(input_ids=batch["input_ids"]).logits[0, :-1]
        labels = batch["labels"][0, 1:]
        learned = labels != IGNORED
        return logits.log_softmax(-1)[learned, labels[learned]].sum()

    losses, right = [], 0
    for preferred, other in examples:
        with torch.no_grad(), model.disable_adapter():
            reference = log_likelihood(preferred), log_likelihood(other)
        margin = log_likelihood(preferred) - reference[0] - log_likelihood(other) + reference[1]
        losses.append(-torch.nn.functional.logsigmoid(BETA * margin))
        right += int(margin > 0)
    return ObjectiveValue(torch.stack(losses).mean(), right / len(examples), {})


def test_losses_are_those_of_a_reference_that_is_asked_at_each_step(
    examples: list[TrainingExample],
) -> None:
    objective = DpoObjective(BETA)
    quick, naive = run_of(examples, objective), run_of(examples, plain)
    objective.begin(quick, examples, 3)
    found = [quick.step() for _ in range(quick.steps)]
    expected = [naive.step() for _ in range(naive.steps)]
    assert [step.loss for step in found] == pytest.approx(
        [step.loss for step in expected], rel=1e-3, abs=1e-5
    )
    assert found[-1].loss < found[0].loss / 2  # something was learned between
    assert [step.accuracy for step in found[1:]] == [step.accuracy for step in expected[1:]]


def test_a_run_that_is_taken_up_again_has_the_same_reference(
    examples: list[TrainingExample], tmp_path: Path
) -> None:
    objective = DpoObjective(BETA)
    whole = run_of(examples, objective)
    objective.begin(whole, examples, 3)
    for _ in range(4):
        whole.step()
    whole.save(tmp_path / "state.safetensors")
    again = DpoObjective(BETA)
    resumed = run_of(examples, again)
    again.begin(resumed, examples, 3)
    resumed.resume(tmp_path / "state.safetensors")
    assert resumed.step() == whole.step()


def test_an_example_that_was_not_there_at_the_beginning_has_no_reference(
    examples: list[TrainingExample],
) -> None:
    objective = DpoObjective(BETA)
    run = run_of(examples, objective)
    objective.begin(run, examples[:3], 3)
    with pytest.raises(KeyError):
        run.measure(examples, 7)

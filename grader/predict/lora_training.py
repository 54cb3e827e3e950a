"""Trains a LoRA adapter on chat examples with a plain loop, the same way on every run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from grader.predict.lora_run import ALL_LINEAR, LoraRun

Message = dict[str, str]
Trainable = tuple[Sequence[Message], str]


@dataclass(frozen=True)
class TrainingLog:
    """What a training run did: the loss of every step (nats a token) and its wall time."""

    losses: list[float]
    seconds: float


def train_lora(
    base_dir: Path,
    examples: Sequence[Trainable],
    out_dir: Path,
    *,
    rank: int = 8,
    alpha: int = 16,
    targets: Sequence[str] = ALL_LINEAR,
    learning_rate: float = 5e-3,
    epochs: int = 8,
    batch_size: int = 16,
    seed: int = 0,
    threads: int | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
) -> TrainingLog:
    """Trains a LoRA adapter of the model in `base_dir` and writes it, PEFT style, to `out_dir`.

    Each example is (prompt messages, answer). Only the answer and the end of its turn are
    learned. AdamW, learning rate falling linearly to 0; `rank` and `alpha` are LoRA's,
    `batch_size` counts examples. The same arguments on the same kind of processor give the same
    adapter. `on_step(step, steps, loss)` is called after every step, `step` from 1.

    Raises ValueError for no examples, an empty answer, or epochs or batch_size below 1.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(base_dir)
    run = LoraRun(
        base_dir,
        [[encode(tokenizer, prompt, answer)] for prompt, answer in examples],
        pad=int(tokenizer.pad_token_id),
        rank=rank,
        alpha=alpha,
        targets=targets,
        learning_rate=learning_rate,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
    )
    losses: list[float] = []
    started = time.monotonic()
    while run.done < run.steps:
        losses.append(run.step().loss)
        if on_step:
            on_step(run.done, run.steps, losses[-1])
    seconds = time.monotonic() - started
    run.save_adapter(out_dir)
    return TrainingLog(losses, seconds)


def encode(tokenizer: Any, prompt: Sequence[Message], answer: str) -> tuple[list[int], int]:
    """The token ids of a whole example, and how many of them are prompt.

    Raises ValueError when the chat template does not put the answer after the prompt, as it
    must for the loss to fall on the answer alone.
    """
    if not answer.strip():
        raise ValueError("an example has an empty answer")
    messages = [dict(m) for m in prompt]
    before = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    reply = {"role": "assistant", "content": answer}
    whole = tokenizer.apply_chat_template([*messages, reply], tokenize=False)
    if not whole.startswith(before):
        raise ValueError("the chat template does not extend the prompt with the answer")
    # Tokenised apart, so that the prompt has the very tokens it will have at generation.
    head = tokenizer(before, add_special_tokens=False)["input_ids"]
    tail = tokenizer(whole[len(before) :], add_special_tokens=False)["input_ids"]
    return [*head, *tail], len(head)

"""Trains a LoRA adapter on chat examples with a plain loop, the same way on every run."""

from __future__ import annotations

import logging
import math
import random
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

# bitsandbytes, which peft imports where it is installed, says at every start that it found no
# kernels for 4 bits on this processor. Nothing here is in 4 bits.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

ALL_LINEAR: Final = (
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
)
IGNORED: Final = -100  # the label that cross-entropy leaves out

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
    if not examples or epochs < 1 or batch_size < 1:
        raise ValueError("train_lora needs examples, epochs >= 1 and batch_size >= 1")
    if threads is not None:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(base_dir)
    base = AutoModelForCausalLM.from_pretrained(base_dir, dtype=torch.float32)
    encoded = [encode(tokenizer, prompt, answer) for prompt, answer in examples]
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=list(targets),
        task_type="CAUSAL_LM",
        base_model_name_or_path=str(base_dir),
    )
    with warnings.catch_warnings():  # peft asks for an attribute that transformers renames
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        model = get_peft_model(base, config)
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=0.0)
    steps = epochs * math.ceil(len(encoded) / batch_size)
    losses: list[float] = []
    started = time.monotonic()
    for batch in _batches(encoded, epochs, batch_size, random.Random(seed)):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * (1 - len(losses) / steps)
        loss = model(**_padded(batch, int(tokenizer.pad_token_id))).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
        if on_step:
            on_step(len(losses), steps, losses[-1])
    seconds = time.monotonic() - started
    model.save_pretrained(out_dir)
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


def _batches(
    encoded: Sequence[tuple[list[int], int]], epochs: int, size: int, rng: random.Random
) -> Any:
    for _ in range(epochs):
        order = rng.sample(range(len(encoded)), len(encoded))
        for start in range(0, len(order), size):
            yield [encoded[i] for i in order[start : start + size]]


def _padded(batch: Sequence[tuple[list[int], int]], pad: int) -> dict[str, torch.Tensor]:
    """Right-padded input_ids, attention_mask and labels, each (rows, longest)."""
    longest = max(len(ids) for ids, _ in batch)
    ids = torch.full((len(batch), longest), pad)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for row, (tokens, prompt) in enumerate(batch):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
        labels[row, prompt : len(tokens)] = torch.tensor(tokens[prompt:])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}

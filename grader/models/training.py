"""The training of one LoRA adapter, step by step; it can be saved and resumed.

A run that was interrupted, saved and resumed by another process ends with the same adapter, to the
bit, as a run without interruption: what is drawn at random depends on the seed and the number of
the step alone, and the rest is saved.
"""

from __future__ import annotations

import math
import os
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from grader.models.linear_layers import linear_layers
from grader.models.micro_batches import micro_batches, most_tokens
from grader.models.tokenization import TokenRow, tokenize_chat
from grader.models.training_step import TrainingStep

# peft imports bitsandbytes where it is installed, which takes a sixth of the time of a start and
# warns that it found no kernels for 4 bits on this processor. Nothing here is in 4 bits.
sys.modules.setdefault("bitsandbytes", None)  # type: ignore[arg-type]
from peft import LoraConfig, get_peft_model  # noqa: E402

IGNORED: Final = -100  # label of tokens without loss: the prompt's and padding; torch's default
_GRADIENT_NORM: Final = 1.0  # at most: one odd example must not ruin the adapter

TrainingExample = Sequence[TokenRow]
"""The rows of one example; the objective says how many it takes."""


class ObjectiveValue(NamedTuple):
    """The loss to minimise (nats), the share that is right, and other measures by name.

    All are means over `weight` tokens or examples.
    """

    loss: torch.Tensor
    accuracy: float
    others: Mapping[str, float]
    weight: int = 1


Objective = Callable[[Any, Sequence[TrainingExample], int], ObjectiveValue]
"""objective(model, examples, pad token id): the loss of these examples together."""


def answer_loss(model: Any, examples: Sequence[TrainingExample], pad: int) -> ObjectiveValue:
    """Mean cross-entropy of the answers' tokens (nats), and the share that is predicted right."""
    batch = padded([row for example in examples for row in example], pad, model.device)
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    before_each, labels = logits[:, :-1].float(), batch["labels"][:, 1:]
    loss = torch.nn.functional.cross_entropy(before_each.flatten(0, 1), labels.flatten())
    learned = labels != IGNORED
    right = (before_each.detach().argmax(-1) == labels) & learned
    accuracy = float(right.sum() / learned.sum())
    return ObjectiveValue(loss, accuracy, {}, int(learned.sum()))


class LoraRun:
    """A model with a new adapter, its optimiser, and how far the training is.

    `steps` is the number of steps in all, `done` of those that are done.
    """

    def __init__(
        self,
        base_dir: Path,
        examples: Sequence[TrainingExample],
        *,
        pad: int,
        objective: Objective = answer_loss,
        rank: int = 8,
        alpha: int = 16,
        targets: Sequence[str] | None = None,
        learning_rate: float,
        epochs: int,
        batch_size: int,
        seed: int,
    ) -> None:
        """AdamW, learning rate falling linearly to 0; `batch_size` counts examples; `targets` None
        is every linear layer but the output head.

        Raises ValueError for no examples, or epochs or batch_size below 1.
        """
        if not examples or epochs < 1 or batch_size < 1:
            raise ValueError("training needs examples, epochs >= 1 and batch_size >= 1")
        torch.manual_seed(seed)
        base = AutoModelForCausalLM.from_pretrained(base_dir, dtype=torch.float32)
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            target_modules=list(_linear_names(base) if targets is None else targets),
            task_type="CAUSAL_LM",
            base_model_name_or_path=str(base_dir),
        )
        with warnings.catch_warnings():  # peft asks for an attribute that transformers renames
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
            self._model = get_peft_model(base, config)
        self._model.train()
        self._trained = {n: p for n, p in self._model.named_parameters() if p.requires_grad}
        self._rate = learning_rate
        self._optimiser = torch.optim.AdamW(
            self._trained.values(), lr=learning_rate, weight_decay=0.0
        )
        self._objective, self._pad = objective, pad
        self._most_tokens = most_tokens(base.config)
        self._batches = _batches(examples, epochs, batch_size, random.Random(seed))
        self.steps_an_epoch = math.ceil(len(examples) / batch_size)
        self.steps = epochs * self.steps_an_epoch
        self.done = 0

    def step(self) -> TrainingStep:
        """Do the next step."""
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate * (1 - self.done / self.steps)
        found = self._gradient(next(self._batches))
        torch.nn.utils.clip_grad_norm_(self._trained.values(), _GRADIENT_NORM)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self.done += 1
        return TrainingStep(self.done, float(found.loss), found.accuracy, found.others)

    def _gradient(self, batch: Sequence[TrainingExample]) -> ObjectiveValue:
        """Set the gradients to those of the batch; its measures, without a graph."""
        parts = self._parts(batch)
        found = []
        for part in parts:
            value = self._objective(self._model, part, self._pad)
            loss = value.loss if len(parts) == 1 else value.weight * value.loss
            loss.backward()  # type: ignore[no-untyped-call]
            found.append(value._replace(loss=value.loss.detach()))
        mean = _mean(found)
        if len(parts) > 1:
            for parameter in self._trained.values():
                if parameter.grad is not None:
                    parameter.grad /= mean.weight
        return mean

    def _parts(self, batch: Sequence[TrainingExample]) -> list[Sequence[TrainingExample]]:
        """The batch, in parts that fit into memory; as it is where it fits as a whole."""
        # A mean over tokens does not depend on which rows are one example, and one may have many.
        apart = self._objective is answer_loss
        units = [[row] for example in batch for row in example] if apart else batch
        parts = list(micro_batches(units, self._most_tokens))
        return [batch] if len(parts) == 1 else [*parts]

    @torch.no_grad()
    def measure(self, examples: Sequence[TrainingExample], batch_size: int) -> tuple[float, float]:
        """(loss, accuracy) of held-out examples: means over batches, weighted by their size."""
        loss = accuracy = 0.0
        for start in range(0, len(examples), batch_size):
            batch = examples[start : start + batch_size]
            found = _mean(
                [self._objective(self._model, part, self._pad) for part in self._parts(batch)]
            )
            loss += float(found.loss) * len(batch)
            accuracy += found.accuracy * len(batch)
        return loss / len(examples), accuracy / len(examples)

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter as it is now, in peft's format."""
        self._model.save_pretrained(folder)

    def save(self, file: Path) -> None:
        """Write all that `resume` needs, atomically: the file is complete or not there."""
        tensors = {f"weight/{n}": p.detach().clone() for n, p in self._trained.items()}
        for name, parameter in self._trained.items():
            for key, value in self._optimiser.state[parameter].items():
                tensors[f"{key}/{name}"] = value.clone()
        new = file.with_suffix(".new")
        save_file(tensors, new, metadata={"done": str(self.done)})
        os.replace(new, file)

    def resume(self, file: Path) -> None:
        """Continue from what `save` wrote; the run must be new, with the same arguments."""
        with safe_open(file, framework="pt") as saved:
            self.done = int(saved.metadata()["done"])
        tensors = load_file(file)
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(tensors.pop(f"weight/{name}"))
        for key, value in tensors.items():
            kind, _, name = key.partition("/")
            self._optimiser.state[self._trained[name]][kind] = value
        for _ in islice(self._batches, self.done):
            pass


def _linear_names(model: torch.nn.Module) -> Iterable[str]:
    """The last parts of the paths of all linear layers, as peft takes them."""
    return dict.fromkeys(path.rpartition(".")[2] for path in linear_layers(model))


class DpoObjective:
    """Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290, eq. 7).

        loss = -log sigmoid(beta * ((log p(y+) - log r(y+)) - (log p(y-) - log r(y-))))

    p is the model that learns and r the reference: the same model before its first step. An example
    has two rows, the preferred output y+ and the other one y-. Accuracy is the share of examples
    whose preferred output has the larger reward, a reward being beta * (log p - log r).
    """

    def __init__(self, beta: float) -> None:
        """`begin` must be called before the first step."""
        self._beta = beta
        self._examples: Sequence[TrainingExample] = ()
        self._reference: dict[int, torch.Tensor] = {}  # by id() of the example: log r of both rows
        self._beginning = False

    def begin(self, run: LoraRun, examples: Sequence[TrainingExample], at_once: int) -> None:
        """Compute log r of all examples that will be used, in batches of `at_once`.

        Two numbers an example are kept. They depend on the arguments alone, so a resumed run has
        the same ones.
        """
        self._examples = examples  # kept, so that no other object gets the id() of one of these
        self._beginning = True
        run.measure(examples, at_once)
        self._beginning = False

    def __call__(self, model: Any, examples: Sequence[TrainingExample], pad: int) -> ObjectiveValue:
        """Raises KeyError for an example that `begin` was not given."""
        rows = [example[0] for example in examples] + [example[1] for example in examples]
        found = _log_likelihoods(model, padded(rows, pad, model.device)).view(2, -1)
        if self._beginning:
            noted = found.detach().unbind(1)
            self._reference |= {id(one): log_r for one, log_r in zip(examples, noted, strict=True)}
        reference = torch.stack([self._reference[id(example)] for example in examples], 1)
        preferred, other = self._beta * (found - reference)
        loss = -torch.nn.functional.logsigmoid(preferred - other).mean()
        preferred, other = preferred.detach(), other.detach()
        others = {
            "train_mean_reward_preferred": float(preferred.mean()),
            "train_mean_reward_non_preferred": float(other.mean()),
            "train_mean_reward_margin": float((preferred - other).mean()),
        }
        accuracy = float((preferred > other).float().mean())
        return ObjectiveValue(loss, accuracy, others, len(examples))


def _log_likelihoods(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """log p of the learned tokens of each row, in nats: [rows]."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    labels = batch["labels"][:, 1:]
    each = torch.nn.functional.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
    )
    return -each.sum(1)


def _mean(values: Sequence[ObjectiveValue]) -> ObjectiveValue:
    """The measures of parts together; of a single one as they are."""
    if len(values) == 1:
        return values[0]
    total = sum(value.weight for value in values)

    def mean(measures: Iterable[Any]) -> Any:
        return sum(value.weight * one for value, one in zip(values, measures, strict=True)) / total

    return ObjectiveValue(
        mean(value.loss for value in values),
        mean(value.accuracy for value in values),
        {name: mean(value.others[name] for value in values) for name in values[0].others},
        total,
    )


def padded(rows: Sequence[TokenRow], pad: int, device: Any = "cpu") -> dict[str, torch.Tensor]:
    """Right-padded input_ids, attention_mask and labels, each (rows, longest)."""
    longest = max(len(ids) for ids, _ in rows)
    ids = torch.full((len(rows), longest), pad)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for row, (tokens, prompt) in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
        labels[row, prompt : len(tokens)] = torch.tensor(tokens[prompt:])
    return {
        "input_ids": ids.to(device),
        "attention_mask": mask.to(device),
        "labels": labels.to(device),
    }


def _batches(
    examples: Sequence[TrainingExample], epochs: int, size: int, rng: random.Random
) -> Iterator[list[TrainingExample]]:
    for _ in range(epochs):
        order = rng.sample(range(len(examples)), len(examples))
        for start in range(0, len(order), size):
            yield [examples[i] for i in order[start : start + size]]


ChatExample = tuple[Sequence[Mapping[str, str]], str]
"""The messages of a prompt, and the answer."""


@dataclass(frozen=True)
class TrainingLog:
    """What a training run did: the loss of every step (nats a token) and its wall time."""

    losses: list[float]
    seconds: float


def train_lora(
    base_dir: Path,
    examples: Sequence[ChatExample],
    out_dir: Path,
    *,
    rank: int = 8,
    alpha: int = 16,
    targets: Sequence[str] | None = None,
    learning_rate: float = 5e-3,
    epochs: int = 8,
    batch_size: int = 16,
    seed: int = 0,
    threads: int | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
) -> TrainingLog:
    """Train a LoRA adapter of the model in `base_dir` and write it in peft's format to `out_dir`.

    Only the answer and the end of its turn are learned. AdamW, learning rate falling linearly to 0;
    `rank` and `alpha` are LoRA's, `batch_size` counts examples. The same arguments on the same kind
    of processor give the same adapter. `on_step(step, steps, loss)` is called after every step,
    `step` from 1.

    Raises ValueError for no examples, an empty answer, or epochs or batch_size below 1.
    """
    if not all(answer.strip() for _, answer in examples):
        raise ValueError("an example has an empty answer")
    if threads is not None:
        torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(base_dir)
    run = LoraRun(
        base_dir,
        [[tokenize_chat(tokenizer, prompt, answer)] for prompt, answer in examples],
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

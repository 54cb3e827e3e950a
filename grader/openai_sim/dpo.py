"""Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290, eq. 7).

    loss = -log sigmoid(beta * ((log p(y+) - log r(y+)) - (log p(y-) - log r(y-))))

p is the model with its adapter and r the reference: the same model without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from grader.predict.lora_run import IGNORED, Lesson, Measured, Objective, padded


def preference_loss(beta: float) -> Objective:
    """The objective for lessons of two rows: the preferred output and the other one.

    Accuracy is the share of pairs whose preferred output has the larger reward, a reward being
    beta * (log p - log r).
    """

    def objective(model: Any, lessons: Sequence[Lesson], pad: int) -> Measured:
        rows = [lesson[0] for lesson in lessons] + [lesson[1] for lesson in lessons]
        batch = padded(rows, pad, model.device)
        with torch.no_grad(), model.disable_adapter():
            reference = _log_likelihoods(model, batch)
        rewards = beta * (_log_likelihoods(model, batch) - reference)
        preferred, other = rewards.chunk(2)
        loss = -torch.nn.functional.logsigmoid(preferred - other).mean()
        preferred, other = preferred.detach(), other.detach()
        others = {
            "train_mean_reward_preferred": float(preferred.mean()),
            "train_mean_reward_non_preferred": float(other.mean()),
            "train_mean_reward_margin": float((preferred - other).mean()),
        }
        return Measured(loss, float((preferred > other).float().mean()), others)

    return objective


def _log_likelihoods(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """log p of the learned tokens of each row, in nats: [rows]."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    labels = batch["labels"][:, 1:]
    each = torch.nn.functional.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
    )
    return -each.sum(1)

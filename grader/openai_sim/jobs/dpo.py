"""Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290, eq. 7).

    loss = -log sigmoid(beta * ((log p(y+) - log r(y+)) - (log p(y-) - log r(y-))))

p is the model that learns and r the reference: the same model before its first step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from grader.models.training import IGNORED, LoraRun, ObjectiveValue, TrainingExample, padded


class Preferences:
    """The objective for examples of two rows: the preferred output and the other one.

    Accuracy is the share of pairs whose preferred output has the larger reward, a reward being
    beta * (log p - log r).
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
        return ObjectiveValue(loss, float((preferred > other).float().mean()), others)


def _log_likelihoods(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """log p of the learned tokens of each row, in nats: [rows]."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    labels = batch["labels"][:, 1:]
    each = torch.nn.functional.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
    )
    return -each.sum(1)

"""Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290, eq. 7).

    loss = -log sigmoid(beta * ((log p(y+) - log r(y+)) - (log p(y-) - log r(y-))))

p is the model that learns and r the reference: the same model before its first step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from grader.models.training import IGNORED, Lesson, LoraRun, ObjectiveValue, padded


class Preferences:
    """The objective for lessons of two rows: the preferred output and the other one.

    Accuracy is the share of pairs whose preferred output has the larger reward, a reward being
    beta * (log p - log r).
    """

    def __init__(self, beta: float) -> None:
        """`begin` comes before anything is learned."""
        self._beta = beta
        self._lessons: Sequence[Lesson] = ()
        self._reference: dict[int, torch.Tensor] = {}  # by id of the lesson: log r of both rows
        self._begins = False

    def begin(self, run: LoraRun, lessons: Sequence[Lesson], at_once: int) -> None:
        """Note log r of all lessons that will be asked for, of `at_once` of them together.

        Two numbers a lesson are kept. They depend on nothing but the arguments: a run that was
        left and taken up again has the very same ones.
        """
        self._lessons = lessons  # kept, so that no other one ever has the id of one of these
        self._begins = True
        run.measure(lessons, at_once)
        self._begins = False

    def __call__(self, model: Any, lessons: Sequence[Lesson], pad: int) -> ObjectiveValue:
        """Raises KeyError for a lesson that was not there at the beginning."""
        rows = [lesson[0] for lesson in lessons] + [lesson[1] for lesson in lessons]
        found = _log_likelihoods(model, padded(rows, pad, model.device)).view(2, -1)
        if self._begins:
            noted = found.detach().unbind(1)
            self._reference |= {id(a): log_r for a, log_r in zip(lessons, noted, strict=True)}
        reference = torch.stack([self._reference[id(lesson)] for lesson in lessons], 1)
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

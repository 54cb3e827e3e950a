"""The numbers of a training that the client left to the service ("auto")."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from grader.training_data.costs import automatic_epochs

_BATCH_SHARE: Final = 0.002  # of the examples: 1 up to 500 of them, as recorded jobs have it
_MOST_BATCH: Final = 256  # examples; the service takes no larger number either
_RATE_MULTIPLIER: Final = 1.8  # what the service chooses for its small chat models
_BETA: Final = 0.1  # of DPO, as in its paper


def resolved(
    asked: Mapping[str, Any] | None, n_examples: int, method: str
) -> dict[str, int | float]:
    """Numbers for all that was asked for as "auto", null or not at all, for so many examples."""
    batch = min(_MOST_BATCH, max(1, math.ceil(n_examples * _BATCH_SHARE)))
    numbers: dict[str, int | float] = {
        "n_epochs": automatic_epochs(n_examples),
        "batch_size": batch,
        "learning_rate_multiplier": _RATE_MULTIPLIER,
    }
    if method == "dpo":
        numbers["beta"] = _BETA
    given = {k: v for k, v in (asked or {}).items() if v is not None and v != "auto"}
    return {name: given.get(name, number) for name, number in numbers.items()}

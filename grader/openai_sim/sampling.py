"""Which token comes next: greedily or by chance, from one row's scores.

Chance comes from each request's own generator, so its answer depends on its seed and on nothing
else in the batch.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen, in OpenAI's terms.

    `temperature` 0 takes the likeliest token; `top_p` keeps the likeliest tokens that together
    reach this probability; the penalties are taken off the scores of tokens already answered
    (`presence` once, `frequency` for each time); `seed` starts the row's generator.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    presence: float = 0.0
    frequency: float = 0.0
    seed: int = 0

    @property
    def plain(self) -> bool:
        """Whether it only takes the likeliest token: a whole batch can do that at once."""
        return self.temperature == 0 and not (self.presence or self.frequency)


class Chooser:
    """Chooses the tokens of one row, one after another."""

    def __init__(self, sampling: Sampling, choice: int = 0) -> None:
        """`choice` is the number of the answer among the `n` of its request."""
        self._sampling = sampling
        self._choice = choice
        self._random: np.random.Generator | None = None  # takes long to make; few rows need it
        self._seen: Counter[int] = Counter()

    def choose(self, scores: npt.NDArray[Any], allowed: npt.NDArray[np.bool_] | None) -> int:
        """The next token from raw scores [vocabulary]; only `allowed` ones where that is given."""
        values = scores.astype(np.float64)
        for token, times in self._seen.items():
            values[token] -= self._sampling.presence + self._sampling.frequency * times
        if allowed is not None:
            values[~allowed] = -np.inf
        if self._sampling.temperature == 0:
            return int(values.argmax())
        return self._draw(values / self._sampling.temperature)

    def note(self, token: int) -> None:
        """Take a token into account that was answered, chosen here or not."""
        if self._sampling.presence or self._sampling.frequency:
            self._seen[token] += 1

    def _draw(self, values: Scores) -> int:
        if self._random is None:
            self._random = np.random.default_rng((self._sampling.seed % 2**64, self._choice))
        weights = np.exp(values - values.max())
        order = np.argsort(-weights, kind="stable")
        reached = np.cumsum(weights[order])
        # The first token that reaches top_p still belongs to those that are kept.
        kept = int(np.searchsorted(reached, self._sampling.top_p * reached[-1])) + 1
        reached = reached[:kept]
        place = np.searchsorted(reached, self._random.random() * reached[-1], side="right")
        return int(order[min(int(place), len(reached) - 1)])

"""What one step of a training tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One step that was done: its number from 1 on, and what was measured before the update."""

    number: int
    loss: float
    accuracy: float
    others: Mapping[str, float]

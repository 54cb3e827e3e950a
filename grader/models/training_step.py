"""What one step of a training measures; no torch, so that recordings are read without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One finished step: its number from 1 on, and the measures before the update."""

    number: int
    loss: float
    accuracy: float
    others: Mapping[str, float]

"""Right answers to the same questions before and after, and the gain between them."""

from __future__ import annotations

from collections.abc import Iterable

from grader.core.metrics import exact_match
from grader.core.payloads import Answer, Prediction


def correct(answers: Iterable[Answer | Prediction]) -> list[float]:
    """Exact match per question, shape [n]."""
    return [exact_match(answer.text, answer.reference) for answer in answers]


def guessed(answers: Iterable[Answer | Prediction]) -> list[float]:
    """Exact match per question of always giving the most frequent public answer, shape [n]."""
    return [exact_match(answer.guess, answer.reference) for answer in answers]

"""What "auto" means."""

from __future__ import annotations

from typing import Any

import pytest

from grader.openai_sim.jobs.job_validation import resolved


@pytest.mark.parametrize(
    ("examples", "epochs", "batch"), [(10, 10, 1), (80, 3, 1), (100, 3, 1), (10_000, 2, 20)]
)
def test_auto_is_what_the_service_chooses(examples: int, epochs: int, batch: int) -> None:
    numbers = {"n_epochs": epochs, "batch_size": batch, "learning_rate_multiplier": 1.8}
    asked: list[dict[str, Any] | None] = [None, {}, dict.fromkeys(numbers, "auto")]
    for some in asked:
        assert resolved(some, examples, "supervised") == numbers


def test_what_was_asked_for_stands() -> None:
    asked = {"n_epochs": 7, "batch_size": 4, "learning_rate_multiplier": 0.5, "beta": 0.3}
    assert resolved(asked, 50, "dpo") == asked
    assert "beta" not in resolved(asked, 50, "supervised")
    assert resolved({}, 50, "dpo")["beta"] == 0.1

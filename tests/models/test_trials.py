"""Recorded trials are read strictly: their settings become arguments of a program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grader.core.constants import TRIALS_MAX
from grader.core.errors import FileRefused
from grader.intake.find import submission_at
from grader.intake.submission import take_in
from grader.models.trials import Trial, read_trials


def read(folder: Path, text: str) -> list[Trial]:
    folder.mkdir(exist_ok=True)
    (folder / "trials.jsonl").write_text(text)
    return read_trials(take_in(submission_at(folder), folder.parent), "trials.jsonl")


def line(**changes: object) -> str:
    return json.dumps({"settings": {"rank": 2}, "validation_loss": 0.4, "seconds": 9.3, **changes})


def test_settings_are_options_of_the_script(tmp_path: Path) -> None:
    settings = {"rank": 2, "batch_size": 16, "lr": 0.005, "targets": "q,v", "a": True, "b": False}
    (trial,) = read(tmp_path / "s", line(settings=settings) + "\n\n")
    assert trial.validation_loss == 0.4
    assert trial.arguments == (
        *("--rank", "2", "--batch-size", "16", "--lr", "0.005", "--targets", "q,v", "--a"),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds 0 trials"),
        ((line() + "\n") * (TRIALS_MAX + 1), f"holds {TRIALS_MAX + 1} trials"),
        (line() + "\nno\n", "line 2"),
        ("[]", "line 1: it has no settings"),
        (line(settings={}), "no settings"),
        (line(settings={"-rf /": 1}), "no name of an option"),
        (line(settings={"rank": [2]}), "no text or number"),
        (line(settings={"rank": "x" * 1000}), "no text or number"),
        (line(validation_loss="low"), "validation_loss is no number"),
        (line(validation_loss=True), "validation_loss is no number"),
        (line(seconds=None), "seconds is no number"),
        ('{"settings": {"rank": 2}, "validation_loss": NaN, "seconds": 1}', "line 1"),
    ],
)
def test_what_is_no_trial_is_refused_with_its_line(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=says) as refused:
        read(tmp_path / "s", text)
    assert refused.value.code == "ADP023"
    assert "validation_loss" in refused.value.hint

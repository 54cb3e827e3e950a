"""What a student recorded of trials with other settings, and one run again (ADP023, ADP024).

Neither carries points by itself: trials.jsonl is voluntary.
"""

from __future__ import annotations

import math
from typing import Final

from grader.checks.api.context import (
    Context,
    EvidenceRole,
    Verdict,
    needs_review,
    passed,
    voluntary,
)
from grader.checks.api.registry import check
from grader.checks.views.script_run import ended, last_words, reported, trainer_state
from grader.core.constants import TRIAL_LOSS_APART, TRIAL_LOSS_FACTOR
from grader.core.nouns import Severity
from grader.core.payloads import ScriptRun
from grader.core.text import clean, counted, number
from grader.models.trials import Trial, read_trials

TRIALS: Final = "trials"
RUN: Final = EvidenceRole("lora_trial", ScriptRun)


@check("ADP023", deliverables=(TRIALS,), measures=("trials",), severity=Severity.NOTE)
def trials_are_recorded(context: Context) -> Verdict:
    """Trials with other settings are recorded

    Why: Which settings were tried, and what came out, is what a choice of hyperparameters stands
    on. A record made by a script cannot be remembered wrongly.

    Fix: Run the kit's `trials.py`, which writes one line a trial into trials.jsonl: its settings,
    its validation loss and its seconds.
    """
    path = context.place(TRIALS)
    if path is None:
        return voluntary()
    trials = read_trials(context.submission, path)
    best = min(trials, key=lambda trial: trial.validation_loss)
    return passed(
        f"{counted(len(trials), 'trial')}, with a validation loss from "
        f"{number(best.validation_loss)} ({_settings(best)}) to "
        f"{number(max(trial.validation_loss for trial in trials))}.",
        measures={"trials": len(trials)},
    )


def _settings(trial: Trial) -> str:
    return clean(", ".join(f"{name} {value}" for name, value in trial.settings.items()), 200)


@check("ADP024", deliverables=(TRIALS,), needs=("ADP023",), evidence=(RUN,), severity=Severity.NOTE)
def a_trial_can_be_run_again(context: Context) -> Verdict:
    """A recorded trial that is run again gives the recorded validation loss

    Why: One trial, which nobody could foresee, is run with its settings. Its validation loss may
    differ by another machine and seed; a made-up one differs by more.

    Fix: Let the kit's `trials.py` write trials.jsonl, and submit the training script that it ran.
    """
    path = context.place(TRIALS)
    if path is None:
        return voluntary()
    run = context.read(RUN)
    trials = read_trials(context.submission, path)
    trial = next((t for t in trials if t.arguments == tuple(run.arguments)), None)
    if trial is None:
        return needs_review("The trial that was run is not in the file; a person looks at it.")
    what = ended(run)
    if what is not None:
        return needs_review(
            f"With {_settings(trial)} the script did not run to its end: {what}. {last_words(run)}"
        )
    found = _loss(run)
    if found is None:
        return needs_review("The run reports no validation loss; a person looks at it.")
    said = f"With {_settings(trial)} {number(trial.validation_loss)} is recorded"
    if _alike(found, trial.validation_loss):
        return passed(f"{said}, and a run agrees.")
    return needs_review(f"{said}, and a run gives {number(found)}: a person looks at it.")


def _loss(run: ScriptRun) -> float | None:
    """The validation loss that the run reports, else the lowest that its trainer noted."""
    said = (reported(run) or {}).get("validation_loss")
    if isinstance(said, int | float):
        return float(said)
    state = trainer_state(run)
    return min(state.losses) if state is not None and state.losses else None


def _alike(one: float, other: float) -> bool:
    if abs(one - other) <= TRIAL_LOSS_APART:
        return True
    return min(one, other) > 0 and abs(math.log(one / other)) <= math.log(TRIAL_LOSS_FACTOR)

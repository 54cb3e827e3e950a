"""What a run of the Part 3 training script shows (ADP020 to ADP023)."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from grader.checks.api.context import (
    Context,
    EvidenceRole,
    Verdict,
    failed,
    needs_review,
    passed,
)
from grader.checks.api.registry import check
from grader.checks.training import checkpoints_and_early_stopping
from grader.checks.views.gain import correct
from grader.checks.views.script_run import (
    TrainerState,
    ended,
    last_words,
    reported,
    trainer_state,
    weights_made,
)
from grader.checks.views.scripts import LORA_SCRIPT, read_script
from grader.checks.views.syntax import SourceFault
from grader.core.constants import CARRIED_MAX_BYTES, REPRODUCED_TOLERANCE
from grader.core.files import resource
from grader.core.metrics import chance_apart, mean
from grader.core.nouns import Outcome
from grader.core.payloads import Predictions, ScriptRun
from grader.models.adapter_config import submitted_base

RUN: Final = EvidenceRole("lora_training", ScriptRun)
MADE: Final = EvidenceRole("lora_made", Predictions)
AFTER: Final = EvidenceRole("after", Predictions)
ADAPTER: Final = "adapter"


@check("ADP020", deliverables=(LORA_SCRIPT, ADAPTER), evidence=(RUN,), measures=("share",))
def the_training_script_runs(context: Context) -> Verdict:
    """The training script runs to its end and writes metrics.json

    Why: An adapter that nobody can train again is worth little: nobody knows what it was trained
    on, and nobody can change it. The script is run once, with the kit's data and the base beside
    it, without a network, a GPU or the adapter that you submitted.

    Fix: Run the script in a new folder that holds nothing but your scripts and the kit's files. It
    has to find everything beside itself, train within the time that the README names, and write
    `adapter/` and `metrics.json`.
    """
    run = context.read(RUN)
    what = ended(run)
    if what is not None:
        told = run.verdict == "exit" and last_words(run)
        said = f" Its last words: {last_words(run)}" if told else ""
        return failed(
            f"{run.script} did not run to its end: {what}.{said}",
            "Run it in a new folder beside the kit's files, without your adapter, and mend what "
            "stops it.",
            path=run.script,
            measures={"share": 0.0},
        )
    checkpoints, final = weights_made(run, _folder(context))
    unread = _unread(context, run)
    if not (checkpoints or final) or unread:
        why = f"it opened no {unread}" if unread else "it left no weights"
        return failed(
            f"{run.script} ends without having trained: {why}.",
            "Load the base, train an adapter on the data beside the script, and save it.",
            path=run.script,
            measures={"share": 0.0},
        )
    metrics = reported(run)
    if metrics is None or not {"before", "after"} <= metrics.keys():
        return failed(
            f"{run.script} trains and ends, but writes no metrics.json with `before` and `after`.",
            "Write what you measured into metrics.json beside the script.",
            path=run.script,
            measures={"share": 0.5},
        )
    return passed(f"{run.script} ran to its end and wrote metrics.json.", measures={"share": 1.0})


def _folder(context: Context) -> str:
    return context.deliverable(ADAPTER).paths[0].rstrip("/")


def base_folder_name(context: Context) -> str:
    """The name of the folder beside the scripts that holds the base."""
    base = submitted_base(context.submission, context.assignment, context.bound(ADAPTER))
    return PurePosixPath(base.title).name


def _unread(context: Context, run: ScriptRun) -> str | None:
    """What every training has to open and this one did not: weights of the base, or data."""
    if run.opened is None:
        return None
    base = base_folder_name(context)
    opened = [PurePosixPath(path) for path in run.opened]
    if not any(p.parent.name == base and p.suffix in (".safetensors", ".bin") for p in opened):
        return "weights of the base"
    code = (".py", ".ipynb")
    if not any(path.parent.name != base and path.suffix not in code for path in opened):
        return "training data"
    return None


@check("ADP021", deliverables=(LORA_SCRIPT, ADAPTER), evidence=(RUN,), measures=("share",))
def checkpoints_appear_and_training_stops(context: Context) -> Verdict:
    """Training leaves checkpoints and stops early, or says why not

    Why: A training that dies at the last epoch must not be lost, and one that goes on after the
    validation loss has turned only learns its examples by heart.

    Fix: In TrainingArguments set `save_strategy` and `eval_strategy` to "epoch",
    `load_best_model_at_end=True` and `metric_for_best_model="eval_loss"`, and give the trainer
    `callbacks=[EarlyStoppingCallback(early_stopping_patience=2)]`. In a loop of your own, save the
    adapter in every epoch and leave the loop when the validation loss has not fallen for a while.
    """
    run = context.read(RUN)
    checkpoints, _ = weights_made(run, _folder(context))
    if not checkpoints or _unread(context, run):
        return failed(
            f"{run.script} left no checkpoint: no file of weights outside the adapter's folder.",
            'Set save_strategy="epoch" in TrainingArguments, or save the adapter in every epoch.',
            path=run.script,
            measures={"share": 0.0},
        )
    if run.verdict not in ("ok", "exit"):
        return failed(
            f"{run.script} left checkpoints, and did not come to its end.",
            "See why the training does not end; ADP020 says what is known of it.",
            path=run.script,
            measures={"share": 0.5},
        )
    state = trainer_state(run)
    if state is None:
        return _own_loop(context, run)
    why = _why_it_ended(state, run)
    if why is None:
        return failed(
            f"{run.script} left checkpoints, but nothing watches the validation loss: it trained "
            f"all {state.most_steps:.0f} steps.",
            "Give the trainer callbacks=[EarlyStoppingCallback(early_stopping_patience=2)] and "
            'eval_strategy="epoch".',
            path=run.script,
            measures={"share": 0.5},
        )
    return passed(f"There are checkpoints, and {why}.", measures={"share": 1.0})


def _why_it_ended(state: TrainerState, run: ScriptRun) -> str | None:
    if state.stopped:
        return f"training stopped after {state.steps:.0f} of {state.most_steps:.0f} steps"
    if state.watched:
        return "early stopping watched the validation loss and did not have to stop the training"
    falls = len(state.losses) > 1 and min(state.losses[-2:]) == min(state.losses)
    if falls and "stop" in run.stdout.lower():
        return "the script says why it did not stop: the validation loss still fell"
    return None


def _own_loop(context: Context, run: ScriptRun) -> Verdict:
    """Of a loop without a trainer's state the source says whether it can be left early."""
    try:
        verdict = checkpoints_and_early_stopping(context)
    except SourceFault as fault:
        verdict = failed(str(fault), "")
    if verdict.outcome is Outcome.PASS:
        text = "There are checkpoints, and by its source the loop can be left early."
        return passed(text, measures={"share": 1.0})
    if verdict.outcome is Outcome.REVIEW:
        return needs_review(
            "There are checkpoints; a person looks at whether training can stop early.",
            note=verdict.message,
        )
    return failed(
        f"{run.script} left checkpoints, but never stops early. {verdict.message}",
        verdict.hint,
        path=run.script,
        measures={"share": 0.5},
    )


@check(
    "ADP022",
    deliverables=(LORA_SCRIPT, ADAPTER),
    evidence=(RUN, MADE, AFTER),
    measures=("made", "submitted"),
)
def the_script_makes_the_adapter(context: Context) -> Verdict:
    """The training script makes an adapter as good as the submitted one

    Why: What is graded should be your own training's work. Another seed and another machine give
    other weights, so the two adapters are compared by their answers to hidden questions: they may
    differ as far as chance explains, and a little more.

    Fix: Submit the script that made the adapter, with the settings that it had then as its
    defaults, and the adapter that it makes in a new folder.
    """
    run = context.read(RUN)
    made, submitted = correct(context.read(MADE).answers), correct(context.read(AFTER).answers)
    ours, theirs = mean(made), mean(submitted)
    measures = {"made": ours, "submitted": theirs}
    exact = (
        f"The run's adapter answers {ours:.0%} of the questions, the submitted one {theirs:.0%}."
    )
    apart = REPRODUCED_TOLERANCE + chance_apart(ours, len(made), theirs, len(submitted))
    if theirs - ours > apart:
        return needs_review(
            f"When {run.script} is run, its adapter answers fewer hidden questions than the "
            "submitted one, by more than chance explains. A person looks at how the submitted "
            "adapter was made.",
            "Submit the script and the settings that made the adapter.",
            note=exact,
            measures=measures,
        )
    carried = _carried_bytes(context, run)
    if carried > CARRIED_MAX_BYTES:
        return needs_review(
            f"{run.script} makes an adapter as good as the submitted one, and reads "
            f"{carried // 1024} KiB of the submission's own files for it. A person looks at "
            "whether it trains the adapter or carries it along.",
            note=exact,
            measures=measures,
        )
    return passed(
        f"The adapter that {run.script} makes answers as many hidden questions as the submitted "
        "one, within chance.",
        measures=measures,
        exact=exact,
    )


def _carried_bytes(context: Context, run: ScriptRun) -> int:
    """Bytes of the script and of the submission's own files that it opened."""
    base = base_folder_name(context)
    kit = {file.name for file in resource("datasets", context.assignment.topic).glob("*.jsonl")}
    others = sum(
        file.size
        for file in context.submission.files
        if file.path in (run.opened or {}) and file.path != run.script
        for path in [PurePosixPath(file.path)]
        if path.parent.name != base and not (path.parent.name == "data" and path.name in kit)
    )
    try:
        script = read_script(context, LORA_SCRIPT)
    except SourceFault:
        return others
    return others + (len(script.source) if script is not None else 0)

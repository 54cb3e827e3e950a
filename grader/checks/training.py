"""What the Part 3 training script does, read from its syntax tree (SRC003, SRC004 and SRC007)."""

from __future__ import annotations

import ast

from grader.checks.api.context import Context, Verdict, needs_review, passed
from grader.checks.api.registry import check
from grader.checks.views.scripts import (
    LORA_SCRIPT,
    Script,
    not_found,
    not_submitted,
    read_script,
    trainings,
)
from grader.checks.views.syntax import ScriptCall, ScriptModel

_LORA_CHOICES = ("r", "lora_alpha", "target_modules")
_SAVING = frozenset({"save_pretrained", "save_model", "save_state", "save_file", "save"})


@check("SRC003", deliverables=(LORA_SCRIPT,), needs=("LAY030", "SRC001"))
def hyperparameters_are_set(context: Context) -> Verdict:
    """The LoRA hyperparameters are set explicitly

    Why: Rank, alpha and target modules decide how much an adapter can learn and how strongly it
    acts. A value that was left to the library was not chosen.

    Fix: Pass `r`, `lora_alpha` and `target_modules` to `LoraConfig`, and pass the config to
    `get_peft_model` or to your trainer.
    """
    script = read_script(context, LORA_SCRIPT)
    if script is None:
        return not_submitted(context, LORA_SCRIPT)
    program = script.program
    configs = [call for call in program.calls if _configures_lora(call)]
    used = [call for call in configs if program.is_used(call)]
    hint = "Pass r, lora_alpha and target_modules to the LoraConfig that you train with."
    if not used:
        if any(call.method == "backward" for call in program.calls) and program.classes:
            return needs_review(
                "The script trains without peft's LoraConfig, with classes of its own; a person "
                "looks at how rank, alpha and target layers are chosen."
            )
        if configs:
            text = "A LoraConfig is made, but nothing uses it."
            return not_found(script, text, hint, configs[0].line)
        return not_found(script, "No LoraConfig from peft is made when the script runs.", hint)
    verdicts = [_choices(script, call, hint) for call in used]
    return next((v for v in verdicts if v.outcome == "pass"), verdicts[0])


def _configures_lora(call: ScriptCall) -> bool:
    if call.method == "get_peft_model":
        return any(k.arg in _LORA_CHOICES for k in call.node.keywords)  # as unsloth has it
    return call.name.startswith("peft.") and call.method.endswith("LoraConfig")


def _choices(script: Script, call: ScriptCall, hint: str) -> Verdict:
    program = script.program
    arguments, complete = program.arguments(call.node)
    later = {name.rpartition(".")[2] for name in program.assigned if "." in name}
    missing = [
        name
        for name in _LORA_CHOICES
        if name not in later
        and (name not in arguments or program.constant(arguments[name]) is None)
    ]
    if not missing:
        return passed("Rank, alpha and target modules are passed to LoraConfig.")
    if not complete or call.node.args:
        return needs_review(
            f"{script.at(call.line).capitalize()} passes settings that are only known when the "
            f"script runs; a person looks for {', '.join(missing)}."
        )
    text = f"The LoraConfig on {script.at(call.line)} leaves {', '.join(missing)} to the library."
    return not_found(script, text, hint, call.line)


@check("SRC004", deliverables=(LORA_SCRIPT,), needs=("LAY030", "SRC001"))
def checkpoints_and_early_stopping(context: Context) -> Verdict:
    """Training saves checkpoints and stops early

    Why: A training that dies at the last epoch must not be lost, and one that goes on after the
    validation loss has turned only learns its examples by heart.

    Fix: In TrainingArguments set `save_strategy` and `eval_strategy` to "epoch",
    `load_best_model_at_end=True` and `metric_for_best_model="eval_loss"`, and give the trainer
    `callbacks=[EarlyStoppingCallback(early_stopping_patience=2)]`. In a loop of your own, save the
    adapter in every epoch and leave the loop when the validation loss has not fallen for a while.
    """
    script = read_script(context, LORA_SCRIPT)
    if script is None:
        return not_submitted(context, LORA_SCRIPT)
    program = script.program
    found = [program.calls[i] for i in trainings(program)]
    if not found:
        return not_found(
            script,
            "No training was found: no trainer's train(), and no loop with backward().",
            "Train the adapter in this script, where it runs.",
        )
    if all(call.method == "backward" for call in found):
        return _own_loop(script, found)
    if any(call.method == "fit" for call in found):
        return needs_review("Training runs through fit(); a person looks at its checkpoints.")
    return _trainer(script)


def _trainer(script: Script) -> Verdict:
    program = script.program
    settings = [
        call
        for call in program.calls
        if program.is_used(call)
        and (call.method.endswith("TrainingArguments") or call.method in ("SFTConfig", "DPOConfig"))
    ]
    hint = 'Set save_strategy="epoch" and eval_strategy="epoch" in TrainingArguments.'
    if not settings:
        return not_found(script, "The trainer is given no TrainingArguments.", hint)
    call = settings[0]
    arguments, complete = program.arguments(call.node)
    if "save_strategy" in arguments:
        saves = not _is_no(program, arguments["save_strategy"])
    else:
        saves = "save_steps" in arguments
    strategies = [arguments[n] for n in ("eval_strategy", "evaluation_strategy") if n in arguments]
    evaluates = any(not _is_no(program, strategy) for strategy in strategies)
    if not complete and not (saves and evaluates):
        return needs_review(
            f"The settings on {script.at(call.line)} are only known when the script runs; a person "
            "looks for save_strategy and eval_strategy."
        )
    if not saves:
        text = f"No checkpoint is saved: the settings on {script.at(call.line)} do not ask for it. "
        text += "Without save_strategy one is kept every 500 steps, which a short training misses."
        return not_found(script, text, hint, call.line)
    if not any(_stops_early(program, call) for call in program.calls) and not any(
        name.endswith(".should_training_stop") for name in program.assigned
    ):
        return not_found(
            script,
            "Checkpoints are saved, but training never stops early.",
            "Give the trainer callbacks=[EarlyStoppingCallback(early_stopping_patience=2)].",
            call.line,
        )
    if not evaluates:
        text = "Early stopping never sees a validation loss, because eval_strategy is not set."
        return not_found(script, text, hint, call.line)
    return passed("Checkpoints are saved and training stops early.")


def _is_no(program: ScriptModel, node: ast.expr) -> bool:
    return program.constant(node) in ("no", False, None) or (
        isinstance(node, ast.Attribute) and node.attr == "NO"
    )


def _stops_early(program: ScriptModel, call: ScriptCall) -> bool:
    return call.name.endswith(".EarlyStoppingCallback") and program.is_used(call)


def _own_loop(script: Script, found: list[ScriptCall]) -> Verdict:
    program = script.program
    live = set(program.statements)
    loops = {loop for call in found for loop in call.loops if isinstance(loop, ast.stmt)}
    line = found[0].line
    saved = [
        call
        for call in program.calls
        if call.method in _SAVING and "." in call.name and not loops.isdisjoint(call.loops)
    ]
    if not saved:
        return not_found(
            script,
            "The training loop saves no checkpoint while it runs.",
            "Call model.save_pretrained(...) at the end of every epoch, inside the loop.",
            line,
        )
    if any(_leaves_when_needed(loop, live) for loop in loops):
        return passed("The training loop saves checkpoints and can be left early.")
    if any(isinstance(loop, ast.While) and not _constant(loop.test) for loop in loops):
        return needs_review("The training loop ends on a condition; a person looks at it.")
    return not_found(
        script,
        "The training loop saves checkpoints, but never stops early.",
        "Count the epochs without a lower validation loss and break when there are too many.",
        line,
    )


def _constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant)


def _leaves_when_needed(loop: ast.stmt, live: set[ast.stmt]) -> bool:
    """Whether an `if` inside the loop leaves it because of something that changes there."""
    changed = {
        ast.unparse(target)
        for node in ast.walk(loop)
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    }
    for node in ast.walk(loop):
        if not isinstance(node, ast.If) or node not in live:
            continue
        leaves = any(
            isinstance(inner, ast.Break | ast.Return) and inner in live
            for branch in (*node.body, *node.orelse)
            for inner in ast.walk(branch)
        )
        tested = {ast.unparse(n) for n in ast.walk(node.test) if isinstance(n, ast.Name)}
        asked = any(isinstance(n, ast.Call | ast.Attribute) for n in ast.walk(node.test))
        if leaves and (asked or tested & changed):
            return True
    return False


@check("SRC007", deliverables=(LORA_SCRIPT,), needs=("LAY030", "SRC001"))
def the_adapter_is_saved(context: Context) -> Verdict:
    """The adapter is saved with save_pretrained, after training

    Why: `save_pretrained` of a PEFT model writes the adapter alone, a few hundred kilobytes of
    safetensors with its config. Anything else is a pickle, or the whole base once more.

    Fix: Call `model.save_pretrained("adapter")` on the PEFT model after the training, without
    merging the adapter into the base.
    """
    script = read_script(context, LORA_SCRIPT)
    if script is None:
        return not_submitted(context, LORA_SCRIPT)
    program = script.program
    saves = [
        (i, call)
        for i, call in enumerate(program.calls)
        if call.method in ("save_pretrained", "save_model") and not _of_tokenizer(program, call)
    ]
    merged = [call for _, call in saves if _of_merged(program, call)]
    kept = [(i, call) for i, call in saves if call not in merged]
    trained = trainings(program)
    hint = 'Call model.save_pretrained("adapter") on the PEFT model after the training.'
    if kept and (not trained or any(i > trained[0] for i, _ in kept)):
        return passed("The adapter is saved with save_pretrained.")
    if kept:
        line = kept[0][1].line
        text = f"{script.at(line).capitalize()} saves the adapter before it is trained."
        return not_found(script, text, hint, line)
    if merged:
        line = merged[0].line
        where = script.at(line).capitalize()
        text = f"{where} saves the merged model, which is the whole base, not the adapter."
        return not_found(script, text, hint, line)
    if any(call.method == "get_peft_model_state_dict" for call in program.calls):
        return needs_review("The adapter's weights are saved by hand; a person looks at it.")
    pickled = next((call for call in program.calls if call.name == "torch.save"), None)
    if pickled is not None:
        where = script.at(pickled.line).capitalize()
        text = f"{where} saves with torch.save, which writes a pickle."
        return not_found(script, text, hint, pickled.line)
    return not_found(script, "The adapter is never saved when the script runs.", hint)


def _of_tokenizer(program: ScriptModel, call: ScriptCall) -> bool:
    names = " ".join(program.receiver(call)).lower()
    return "tokenizer" in names or "processor" in names


def _of_merged(program: ScriptModel, call: ScriptCall) -> bool:
    names = " ".join(program.receiver(call))
    return "merge_and_unload" in names

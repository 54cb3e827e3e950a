"""What the Part 3 training script does, read from its syntax tree (SRC003 to SRC007)."""

from __future__ import annotations

import ast

from grader.checks.program import Call, Program
from grader.checks.registry import Context, Verdict, check, failed, needs_review, passed
from grader.checks.scripts import (
    LORA_SCRIPT,
    Script,
    evaluations,
    not_found,
    not_handed_in,
    read_script,
    trainings,
)

_LORA_CHOICES = ("r", "lora_alpha", "target_modules")
_CLOCKS = frozenset(
    {f"time.{name}{unit}" for name in ("perf_counter", "monotonic", "time", "process_time")
     for unit in ("", "_ns")}
    | {"timeit.default_timer", "datetime.datetime.now", "datetime.datetime.utcnow"}
)  # fmt: skip
_WHOLE_TIMERS = frozenset({"timeit.timeit", "timeit.repeat"})
_MEMORY = frozenset(
    {f"torch.{device}.{name}" for device in ("cuda", "xpu", "accelerator")
     for name in ("max_memory_allocated", "max_memory_reserved", "memory_allocated",
                  "memory_reserved", "mem_get_info", "memory_stats")}
    | {"torch.mps.current_allocated_memory", "torch.mps.driver_allocated_memory",
       "resource.getrusage", "tracemalloc.get_traced_memory", "psutil.virtual_memory"}
)  # fmt: skip
_MEMORY_METHODS = frozenset({"memory_info", "memory_full_info", "get_memory_footprint"})
_SAVING = frozenset({"save_pretrained", "save_model", "save_state", "save_file", "save"})


@check("SRC003", needs=("LAY030", "SRC001"))
def hyperparameters_are_set(context: Context) -> Verdict:
    """The LoRA hyperparameters are set explicitly

    Why: Rank, alpha and target modules decide how much an adapter can learn and how strongly it
    acts. A value that was left to the library was not chosen.

    Fix: Pass `r`, `lora_alpha` and `target_modules` to `LoraConfig`, and pass the config to
    `get_peft_model` or to your trainer.
    """
    script = read_script(context, LORA_SCRIPT)
    if script is None:
        return not_handed_in(context, LORA_SCRIPT)
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


def _configures_lora(call: Call) -> bool:
    if call.method == "get_peft_model":
        return any(k.arg in _LORA_CHOICES for k in call.node.keywords)  # as unsloth has it
    return call.name.startswith("peft.") and call.method.endswith("LoraConfig")


def _choices(script: Script, call: Call, hint: str) -> Verdict:
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
            f"Line {call.line} passes settings that are only known when the script runs; a person "
            f"looks for {', '.join(missing)}."
        )
    text = f"The LoraConfig on line {call.line} leaves {', '.join(missing)} to the library."
    return not_found(script, text, hint, call.line)


@check("SRC004", needs=("LAY030", "SRC001"))
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
        return not_handed_in(context, LORA_SCRIPT)
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
            f"The settings on line {call.line} are only known when the script runs; a person looks "
            "for save_strategy and eval_strategy."
        )
    if not saves:
        text = f"No checkpoint is saved: the settings on line {call.line} do not ask for it. "
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


def _is_no(program: Program, node: ast.expr) -> bool:
    return program.constant(node) in ("no", False, None) or (
        isinstance(node, ast.Attribute) and node.attr == "NO"
    )


def _stops_early(program: Program, call: Call) -> bool:
    return call.name.endswith(".EarlyStoppingCallback") and program.is_used(call)


def _own_loop(script: Script, found: list[Call]) -> Verdict:
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


@check("SRC005", needs=("LAY030", "SRC001"))
def evaluated_before_and_after(context: Context) -> Verdict:
    """The model is evaluated before and after training

    Why: Without the score of the untouched base, nobody can say what the adapter changed.

    Fix: Write one evaluation function and call it before the training and after it, on the same
    questions.
    """
    script = read_script(context, LORA_SCRIPT)
    if script is None:
        return not_handed_in(context, LORA_SCRIPT)
    program = script.program
    trained = trainings(program)
    hint = "Call the same evaluation function before training and after it."
    if not trained:
        return not_found(script, "No training was found that it could stand around.", hint)
    calls = program.calls
    found = [(i, calls[i]) for i in evaluations(program) if not calls[i].handed_over]
    bare = [c for _, c in found if any(n.endswith("disable_adapter()") for n in c.with_names)]
    before = [call for i, call in found if i < trained[0]] + bare
    after = [call for i, call in found if i > trained[-1] and call not in bare]
    if before and after:
        if _over_many(before) and _over_many(after):
            return passed("The model is evaluated before and after training.")
        return needs_review("The model answers before and after training; a person looks at it.")
    reloaded = any(
        "CausalLM.from_pretrained" in call.name for call in calls[trained[-1] :]
    ) and len(after) > 1
    if reloaded or any(calls[i].handed_over for i in evaluations(program)):
        return needs_review("When the model is evaluated is not plain; a person looks at it.")
    missing = "before" if after else "after" if before else "before or after"
    line = calls[trained[0]].line
    text = f"The model is never evaluated {missing} the training on line {line}."
    return not_found(script, text, hint, line)


def _over_many(calls: list[Call]) -> bool:
    return any(call.loops or call.method in ("evaluate", "predict") for call in calls)


@check("SRC006", needs=("LAY030", "SRC001"))
def speed_and_memory_are_measured(context: Context) -> Verdict:
    """Inference speed and memory use are measured

    Why: Whether a model can be deployed is decided by what it costs to run, and a guess is not a
    measurement.

    Fix: Read a clock (`time.perf_counter`) before and after the model answers, and take the
    difference. Read memory with `torch.cuda.max_memory_allocated` on a GPU, or with
    `resource.getrusage` or psutil.
    """
    script = read_script(context, LORA_SCRIPT)
    if script is None:
        return not_handed_in(context, LORA_SCRIPT)
    program = script.program
    memory = any(_measures_memory(program, call) for call in program.calls)
    speed = _measures_speed(program)
    if speed and memory:
        return passed("Inference speed and memory are measured.")
    if speed is None and memory:
        return needs_review("A clock is read, but around what is not plain; a person looks at it.")
    missing = [
        *(() if memory else ("memory is never measured",)),
        *(() if speed or speed is None else ("no clock is read around the model's answers",)),
    ]
    return not_found(
        script,
        f"In what the script runs, {' and '.join(missing)}.",
        "Take time.perf_counter() before and after generate(), and read the peak memory.",
    )


def _measures_memory(program: Program, call: Call) -> bool:
    named = call.name in _MEMORY
    if not named and "." in call.name and call.method in _MEMORY_METHODS:
        root = call.name.split(".")[0]
        named = root == "psutil" or call.method == "get_memory_footprint" or any(
            name.startswith("psutil.") for name in program.origins(call.node.func.value)  # type: ignore[attr-defined]
        )
    return named and program.is_used(call)


def _measures_speed(program: Program) -> bool | None:
    """Whether a clock is read on both sides of an evaluation; None when that is not plain."""
    calls = program.calls
    clocks = [i for i, call in enumerate(calls) if call.name in _CLOCKS]
    answers = evaluations(program)
    if any(call.name in _WHOLE_TIMERS or call.method == "elapsed_time" for call in calls):
        return True if answers else None
    if any(_reads_rate(statement) for statement in program.statements):
        return True
    if not any(_is_difference(program, statement) for statement in program.statements):
        return False
    if any(first < answer < last for answer in answers for first, last in _pairs(clocks)):
        return True
    timing = {f"{name}()" for i in clocks for name in calls[i].inside}
    if any(timing & set(calls[i].with_names) for i in answers):
        return True
    unplain = any(calls[i].handed_over for i in (*clocks, *answers))
    return None if clocks and unplain else False


def _pairs(clocks: list[int]) -> list[tuple[int, int]]:
    return [(clocks[0], clocks[-1])] if len(clocks) > 1 and _adjacent(clocks) else []


def _adjacent(clocks: list[int]) -> bool:
    return clocks[0] < clocks[-1]

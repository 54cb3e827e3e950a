"""What the Part 3 training script measures, read from its syntax tree (SRC005 and SRC006).

What the Part 3 inference script loads and does, read from its syntax tree.
"""

from __future__ import annotations

import ast
from itertools import pairwise

from grader.checks.api.context import Context, Verdict, needs_review, passed
from grader.checks.api.registry import check
from grader.checks.views.scripts import (
    INFERENCE_SCRIPT,
    LORA_SCRIPT,
    evaluations,
    not_found,
    not_submitted,
    read_script,
    trainings,
)
from grader.checks.views.syntax import ScriptCall, ScriptModel, own_nodes

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


@check("SRC005", deliverables=(LORA_SCRIPT,), needs=("LAY030", "SRC001"))
def evaluated_before_and_after(context: Context) -> Verdict:
    """The model is evaluated before and after training

    Why: Without the score of the untouched base, nobody can say what the adapter changed.

    Fix: Write one evaluation function and call it before the training and after it, on the same
    questions.
    """
    script = read_script(context, LORA_SCRIPT)
    if script is None:
        return not_submitted(context, LORA_SCRIPT)
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
    reloaded = (
        any("CausalLM.from_pretrained" in call.name for call in calls[trained[-1] :])
        and len(after) > 1
    )
    if reloaded or any(calls[i].handed_over for i in evaluations(program)):
        return needs_review("When the model is evaluated is not plain; a person looks at it.")
    missing = "before" if after else "after" if before else "before or after"
    line = calls[trained[0]].line
    text = f"The model is never evaluated {missing} the training on {script.at(line)}."
    return not_found(script, text, hint, line)


def _over_many(calls: list[ScriptCall]) -> bool:
    return any(call.loops or call.method in ("evaluate", "predict") for call in calls)


@check("SRC006", deliverables=(LORA_SCRIPT,), needs=("LAY030", "SRC001"))
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
        return not_submitted(context, LORA_SCRIPT)
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


def _measures_memory(program: ScriptModel, call: ScriptCall) -> bool:
    named = call.name in _MEMORY
    if not named and "." in call.name and call.method in _MEMORY_METHODS:
        root = call.name.split(".")[0]
        named = (
            root == "psutil"
            or call.method == "get_memory_footprint"
            or any(name.startswith("psutil.") for name in program.receiver(call))
        )
    return named and program.is_used(call)


def _measures_speed(program: ScriptModel) -> bool | None:
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
    if any(first < answer < second for first, second in pairwise(clocks) for answer in answers):
        return True
    timing = {f"{name}()" for i in clocks for name in calls[i].inside}
    if any(timing & set(calls[i].with_names) for i in answers):
        return True
    unplain = any(calls[i].handed_over for i in (*clocks, *answers))
    return None if clocks and unplain else False


def _is_difference(program: ScriptModel, statement: ast.stmt) -> bool:
    return any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Sub)
        and not _CLOCKS.isdisjoint(program.origins(node.left) | program.origins(node.right))
        for node in own_nodes(statement)
    )


def _reads_rate(statement: ast.stmt) -> bool:
    """Whether a trainer's own measurement ("eval_samples_per_second") is read."""
    return any(
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Load)
        and isinstance(node.slice, ast.Constant)
        and str(node.slice.value).endswith("_per_second")
        for node in own_nodes(statement)
    )


_FOR_TRAINING = frozenset({"datasets", "trl", "lightning", "pytorch_lightning", "wandb"})
_TRAINING_SCRIPT = "huggingface_custom_lora"


@check("SRC008", deliverables=(INFERENCE_SCRIPT,), needs=("LAY030", "SRC001"))
def inference_loads_only_what_it_needs(context: Context) -> Verdict:
    """The inference script loads only what it needs

    Why: A service that answers questions should not carry the training code, the data and the
    optimiser with it: that costs memory, start-up time and more to install.

    Fix: In inference.py load the tokenizer, the base and, with `PeftModel.from_pretrained`, the
    adapter; then generate. Import no `datasets`, no trainer and not your training script.
    """
    script = read_script(context, INFERENCE_SCRIPT)
    if script is None:
        return not_submitted(context, INFERENCE_SCRIPT)
    program = script.program
    for name, line in [*program.imported, *_imported_by_call(program)]:
        if _is_for_training(name):
            shown = name.split(".")[0] if name.split(".")[0] in _FOR_TRAINING else name
            text = f"{shown} is imported, which only training needs."
            return not_found(
                script,
                text,
                f"Remove {shown} from the inference script: answering needs none of it.",
                line,
            )
    trained = trainings(program)
    if trained:
        line = program.calls[trained[0]].line
        text = f"The inference script trains on {script.at(line)}."
        return not_found(script, text, "Keep training in the training script.", line)
    names = [call.name for call in program.calls]
    whole = any("AutoPeftModel" in name and name.endswith(".from_pretrained") for name in names)
    piped = any(name == "transformers.pipeline" for name in names)
    base = any("ForCausalLM.from_pretrained" in name or "AutoModel" in name for name in names)
    adapter = any(name.endswith(("PeftModel.from_pretrained", ".load_adapter",
                                 "PeftModelForCausalLM.from_pretrained",
                                 "set_peft_model_state_dict")) for name in names)  # fmt: skip
    missing = [
        *(() if whole or base or piped else ("loads no base model",)),
        *(() if whole or adapter else ("loads no adapter",)),
        *(() if evaluations(program) else ("never generates an answer",)),
    ]
    if missing:
        return not_found(
            script,
            f"When it is run, {script.path} {' and '.join(missing)}.",
            "In the inference script load the base, put the adapter on it with "
            "PeftModel.from_pretrained, and generate.",
        )
    return passed("The inference script loads the base and the adapter, and nothing else.")


def _is_for_training(name: str) -> bool:
    return name.split(".")[0] in {*_FOR_TRAINING, _TRAINING_SCRIPT} or (
        name.startswith(("transformers.", "torch.optim", "accelerate"))
        and (name.endswith(("Trainer", "TrainingArguments")) or "optim" in name)
    )


def _imported_by_call(program: ScriptModel) -> list[tuple[str, int]]:
    """Modules that `importlib.import_module("x")` or `__import__("x")` imports."""
    return [
        (str(program.constant(call.node.args[0])), call.line)
        for call in program.calls
        if call.name in ("importlib.import_module", "__import__") and call.node.args
    ]

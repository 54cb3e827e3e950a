"""What the Part 3 inference script loads and does, read from its syntax tree."""

from __future__ import annotations

from grader.checks.program import Program
from grader.checks.registry import Context, Verdict, check, passed
from grader.checks.scripts import (
    INFERENCE_SCRIPT,
    evaluations,
    not_found,
    not_handed_in,
    read_script,
    trainings,
)

_FOR_TRAINING = frozenset({"datasets", "trl", "lightning", "pytorch_lightning", "wandb"})
_TRAINING_SCRIPT = "huggingface_custom_lora"


@check("SRC008", needs=("LAY030", "SRC001"))
def inference_loads_only_what_it_needs(context: Context) -> Verdict:
    """The inference script loads only what it needs

    Why: A service that answers questions should not carry the training code, the data and the
    optimiser with it: that costs memory, start-up time and more to install.

    Fix: In inference.py load the tokenizer, the base and, with `PeftModel.from_pretrained`, the
    adapter; then generate. Import no `datasets`, no trainer and not your training script.
    """
    script = read_script(context, INFERENCE_SCRIPT)
    if script is None:
        return not_handed_in(context, INFERENCE_SCRIPT)
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


def _imported_by_call(program: Program) -> list[tuple[str, int]]:
    """Modules that `importlib.import_module("x")` or `__import__("x")` imports."""
    return [
        (str(program.constant(call.node.args[0])), call.line)
        for call in program.calls
        if call.name in ("importlib.import_module", "__import__") and call.node.args
    ]

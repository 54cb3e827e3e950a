"""The Python scripts of a submission, read once for all the checks that look at them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from pathlib import PurePosixPath

from grader.checks.api.context import Context, Verdict, failed, needs_review
from grader.checks.views.control_flow import read_program
from grader.checks.views.syntax import ScriptCall, ScriptModel, SourceFault
from grader.core.constants import SOURCE_MAX_BESIDE_BYTES, SOURCE_MAX_BYTES
from grader.intake.notebooks import Notebook
from grader.intake.submission import read_file
from grader.intake.submitted_notebook import (
    is_notebook,
    notebook_scripts,
    script_name,
    submitted_notebook,
)

LORA_SCRIPT = "lora_script"
INFERENCE_SCRIPT = "inference_script"
_EVALUATING = frozenset({"generate", "evaluate", "predict"})
_WITHOUT_GRADIENT = ("no_grad()", "inference_mode()")


@dataclass(frozen=True, slots=True)
class Script:
    """One script of a submission: where it lies, what it says, and what it would do.

    Of a `notebook` it is the code of its cells.
    """

    path: str
    source: bytes
    program: ScriptModel
    notebook: Notebook | None = None

    def at(self, line: int) -> str:
        """Where this line is: `line 12`, or `cell 3, line 2` of a notebook."""
        place = self.notebook.place(line) if self.notebook else None
        return place or f"line {line}"

    def line(self, line: int | None) -> int | None:
        """The line as a place in the file; None of a notebook, whose lines are JSON."""
        return None if self.notebook else line


def read_script(context: Context, role: str) -> Script | None:
    """The script submitted as the deliverable in this role, or None.

    Raises SourceFault when it is no valid Python, FileRefused when it cannot be read.
    """
    path = context.place(role)
    if path is None:
        return None
    notebook = submitted_notebook(context.submission, path) if is_notebook(path) else None
    if notebook is not None:
        source = notebook.script.encode()
    else:
        source = read_file(context.submission, path, SOURCE_MAX_BYTES)
    folder = path.rpartition("/")[0]
    beside = tuple(
        (file.path.rpartition("/")[2].removesuffix(".py"), file)
        for file in context.submission.files
        if file.path.endswith(".py") and file.path.rpartition("/")[0] == folder
        if file.path != path and file.size <= SOURCE_MAX_BYTES
    )
    sizes = list(accumulate((file.size for _, file in beside), initial=0))[1:]
    few = [one for one, size in zip(beside, sizes, strict=True) if size <= SOURCE_MAX_BESIDE_BYTES]
    modules = tuple(
        (name, read_file(context.submission, file.path, SOURCE_MAX_BYTES)) for name, file in few
    )
    others = notebook_scripts(context.submission, context.assignment.deliverables)
    modules += tuple(
        (PurePosixPath(name).stem, other.script.encode())
        for name, other in others.items()
        if name.rpartition("/")[0] == folder and name != script_name(path)
    )
    try:
        program = read_program(source, modules, whole=len(few) == len(beside))
    except SourceFault as fault:
        if notebook is None:
            raise
        place = notebook.place(fault.line) if fault.line else None
        raise SourceFault(f"{place}: {fault.message}" if place else fault.message, None) from None
    return Script(path, source, program, notebook)


def not_submitted(context: Context, role: str) -> Verdict:
    """The verdict on a script that is not there."""
    name = context.deliverable(role).paths[0]
    if (path := context.submission.untouched.get(context.bound(role))) is not None:
        return failed(
            f"{path} is the kit's own file, with nothing of yours in it.",
            "Write what it leaves to you.",
        )
    return failed(f"{name} was not found.", f"Submit {name} beside your other files.")


def not_found(script: Script, message: str, hint: str, line: int | None = None) -> Verdict:
    """A fail, or a review when the script could not be followed to its end."""
    if not script.program.complete:
        return needs_review(
            f"{script.path} is too entangled to be followed by a program, so a person looks at it.",
            note=message,
        )
    if not script.program.calls:
        message += " The script calls nothing at all when it is run."
    uncalled = script.program.functions.get("main")
    if uncalled is not None and not any(s in script.program.statements for s in uncalled.body):
        message += " It defines main() but never calls it."
    if line and script.notebook and script.at(line) not in message.lower():
        message += f" See {script.at(line)}."
    return failed(message, hint, path=script.path, line=script.line(line))


def trainings(program: ScriptModel) -> list[int]:
    """Positions among the calls at which weights are trained.

    These are `train()` and `fit()` of a trainer, and `backward()` in a loop of one's own.
    """
    return [i for i, call in enumerate(program.calls) if _trains(program, call)]


def _trains(program: ScriptModel, call: ScriptCall) -> bool:
    if call.method == "backward":
        return bool(call.loops)
    if call.method not in ("train", "fit") or "." not in call.name:
        return False
    plain = call.name.rpartition(".")[0]
    known = program.receiver(call) - {plain}
    return any(_is_trainer(program, name) for name in known or {plain.removesuffix("()")})


def _is_trainer(program: ScriptModel, name: str) -> bool:
    last = name.rpartition(".")[2]
    made = program.classes.get(last)
    if made is not None:
        return any(_is_trainer(program, program.dotted(base)) for base in made.bases)
    return name == "super" or last.lower().endswith("trainer")


def evaluations(program: ScriptModel) -> list[int]:
    """Positions among the calls at which the model answers or its loss is computed."""
    return [i for i, call in enumerate(program.calls) if _evaluates(program, call)]


def _evaluates(program: ScriptModel, call: ScriptCall) -> bool:
    if "." in call.name and call.method in _EVALUATING:
        return True
    origins = program.origins(call.node.func)
    if any(name.endswith("transformers.pipeline") for name in origins):
        return True
    if not call.loops or not any(name.endswith(_WITHOUT_GRADIENT) for name in call.with_names):
        return False
    return any(name.endswith((".from_pretrained", "get_peft_model")) for name in origins) and not (
        any("Tokenizer" in name for name in origins)
    )

"""What a run of the Part 3 inference script shows, on questions that it has not seen (ADP030 to
ADP032)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from grader.checks.api.context import Context, EvidenceRole, Verdict, failed, passed, skipped
from grader.checks.api.registry import check
from grader.checks.local_scripts.training_run import ADAPTER, base_folder_name
from grader.checks.local_scripts.training_run import RUN as TRAINING
from grader.checks.views.script_run import WEIGHTS, answers_in, ended, last_words, reported
from grader.checks.views.scripts import INFERENCE_SCRIPT, read_script
from grader.checks.views.syntax import SourceFault
from grader.core.constants import (
    METRICS_MAX_BYTES,
    MIB,
    SAME_ANSWERS_AT_LEAST,
)
from grader.core.errors import FileRefused
from grader.core.metrics import normalise
from grader.core.nouns import Severity
from grader.core.payloads import Predictions, ScriptRun
from grader.core.strict_json import StrictJsonError, loads
from grader.core.text import about
from grader.intake.submission import read_file

RUN: Final = EvidenceRole("lora_inference", ScriptRun)
AFTER: Final = EvidenceRole("after", Predictions)
_COSTS: Final = ("tokens_per_second", "peak_memory_mb", "train_seconds")
_MEASURES: Final = tuple(f"{who}_{cost}" for who in ("reported", "run", "apart") for cost in _COSTS)
_DATA: Final = (".jsonl", ".csv", ".parquet", ".arrow")


@check(
    "ADP030",
    deliverables=(INFERENCE_SCRIPT,),
    evidence=(RUN, AFTER),
    measures=("share",),
)
def inference_answers_as_the_adapter_does(context: Context) -> Verdict:
    """The inference script answers as the adapter does

    Why: What a user of your adapter gets is what this script prints. It is asked hidden questions,
    each an argument on the command line, with the base and your adapter beside it, and its answers
    are held against those that the grader gets from the adapter.

    Fix: Write the prompt with the chat template and the instruction of the training data, generate
    without sampling, and print each answer on a line of its own, in the order of the questions.
    Try `python inference.py "What is the capital of France?" "What is the symbol of iron?"`.
    """
    run = context.read(RUN)
    hint = (
        'Run `python inference.py "What is the capital of France?" "What is the symbol of iron?"` '
        "in a folder with the base and your adapter alone: it has to print two lines, an answer "
        "each."
    )
    what = ended(run)
    texts = {answer.question: answer.text for answer in context.read(AFTER).answers}
    expected = [text for one in run.arguments if normalise(text := texts.get(one, ""))]
    right = answers_in(run, expected) if what is None else 0
    share = right / len(expected) if expected else 1.0
    measures = {"share": share}
    exact = f"{right} of {len(expected)} answers are those of the adapter."
    if what is not None:
        exact = f"It did not run to its end: {what}. {last_words(run)}"
        text = f"{run.script} did not run to its end on questions of the grader's."
        return failed(text, hint, path=run.script, measures=measures, exact=exact)
    if share < SAME_ANSWERS_AT_LEAST:
        return failed(
            f"{run.script} prints {about(share)} of the adapter's answers.",
            hint,
            path=run.script,
            measures=measures,
            exact=exact,
        )
    return passed(f"{run.script} prints the adapter's answers.", measures=measures, exact=exact)


@check("ADP031", deliverables=(INFERENCE_SCRIPT, ADAPTER), evidence=(RUN,))
def inference_loads_what_it_needs(context: Context) -> Verdict:
    """Inference loads the base and the adapter once, and nothing else

    Why: A service that answers questions should not carry the data, checkpoints or a second model
    with it: that costs memory and start-up time. Which files the script opens is seen by the
    kernel while it answers, and its memory is limited to what the libraries and the base take.

    Fix: In inference.py load the tokenizer, the base and, with `PeftModel.from_pretrained`, the
    adapter, each once; then answer all questions. Read no data and no checkpoint.
    """
    run = context.read(RUN)
    hint = "Load the tokenizer, the base and the adapter, each once, and then answer the questions."
    if ended(run) is not None:
        text = f"{run.script} did not run to its end, so what it needs is not known."
        if run.verdict == "memory":
            text = f"{run.script} takes more memory than the libraries and the base need."
        return failed(text, hint, path=run.script, exact=f"{ended(run)}. {last_words(run)}")
    if run.opened is None:
        return skipped("Which files a program opens is not reported on this machine.")
    base = base_folder_name(context)
    adapter = context.deliverable(ADAPTER).paths[0].rstrip("/")
    problems = _problems(run.opened, base, adapter, several=_loads_several(context))
    if problems:
        return failed(
            f"{run.script} does not load the base and the adapter once each and nothing else.",
            hint,
            path=run.script,
            exact=f"{run.script}: {'; '.join(problems)}.",
        )
    return passed(
        f"{run.script} opens the base and the adapter, and nothing that it does not need."
    )


def _loads_several(context: Context) -> bool:
    """Whether by its source the script loads more than one model, or one again and again.

    How often a library opens the weights for one load differs between its versions.
    """
    try:
        script = read_script(context, INFERENCE_SCRIPT)
    except SourceFault:
        return False
    calls = script.program.calls if script is not None else []
    loads = [call for call in calls if call.name.endswith("CausalLM.from_pretrained")]
    loads = [call for call in loads if "Peft" not in call.name]
    return len(loads) > 1 or any(call.loops for call in loads)


def _problems(opened: Mapping[str, int], base: str, adapter: str, *, several: bool) -> list[str]:
    """What is wrong with what was opened, in words; `several`: by its source it loads several."""
    paths = {PurePosixPath(path): count for path, count in opened.items()}
    weights = {path: n for path, n in paths.items() if path.suffix.lower() in WEIGHTS}
    of_base = {path: n for path, n in weights.items() if path.parent.name == base}
    of_adapter = {path: n for path, n in weights.items() if path.parent.name == adapter}
    problems = []
    if not of_base:
        problems.append("it opens no weights of the base")
    if not of_adapter:
        problems.append("it opens no weights of the adapter")
    if several and any(n > 1 for n in of_base.values()):
        problems.append("it loads the base more than once")
    others = [path for path in weights if path not in of_base and path not in of_adapter]
    if others:
        problems.append(f"it opens other weights: {', '.join(map(str, others[:5]))}")
    data = [path for path in paths if path.suffix.lower() in _DATA or path.parent.name == "data"]
    if data:
        problems.append(f"it opens data: {', '.join(map(str, data[:5]))}")
    return problems


@check(
    "ADP032",
    deliverables=("metrics",),
    evidence=(TRAINING, RUN),
    measures=(
        *_MEASURES,
        "inference_memory_mb",
    ),
    severity=Severity.NOTE,
)
def reported_costs_stand_beside_a_run(context: Context) -> Verdict:
    """Reported speed and memory stand beside those of a run

    Why: Times and memory differ between machines by a factor of several, and never enter a score.
    For whoever reads the comparison, what the student reports stands beside what the same script
    reports when the grader runs it, by which factor the two are apart, and the memory that its
    inference took.

    Fix: Nothing to mend. Say in your analysis on which machine you measured.
    """
    said = {"reported": _metrics(context), "run": reported(context.read(TRAINING)) or {}}
    measures: dict[str, float] = {
        f"{who}_{name}": round(float(found[name]), 1)
        for who, found in said.items()
        for name in _COSTS
        if isinstance(found.get(name), int | float)
    }
    for name in _COSTS:  # by which factor the two differ
        one, other = (measures.get(f"{who}_{name}", 0.0) for who in ("reported", "run"))
        if one > 0 and other > 0:
            measures[f"apart_{name}"] = round(max(one / other, other / one), 1)
    memory = context.seen(RUN).cost["peak_memory_bytes"] / MIB
    measures["inference_memory_mb"] = round(memory, 1)
    return passed("Measured beside runs of both scripts on one machine.", measures=measures)


def _metrics(context: Context) -> dict[str, Any]:
    """The submitted metrics; {} where there are none that can be read."""
    try:
        path = context.place("metrics")
        if path is None:
            return {}
        body = read_file(context.submission, path, METRICS_MAX_BYTES)
        value = loads(body, max_bytes=METRICS_MAX_BYTES)
    except (StrictJsonError, FileRefused):
        return {}
    return value if isinstance(value, dict) else {}

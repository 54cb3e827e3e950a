"""What an expert would give for Part 3: work of all kinds, parts of it, and pretences.

The table was written by judgement, from the course document and the kit, before any of these was
run. Scripts run for real, in the sandbox, beside the kit's data and base. `GOOD` stands for what
the good scripts leave; whoever has an `own` training submits the adapter that it made, with another
seed and on another machine than the grader's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from support.notebooks import as_notebook
from support.paths import EXPERTS
from support.recorded import Family

from grader.assignment.load import load_assignment
from grader.assignment.questions import make_hidden
from grader.core.files import resource
from grader.core.nouns import Assignment, Outcome
from grader.core.result import Result

VARIANTS: Final = EXPERTS / "variants" / "lora"
TRAIN, ANSWER, METRICS = "huggingface_custom_lora.py", "inference.py", "metrics.json"
QUESTIONS: Final = make_hidden("educational-qa", 7, 100)
ORDER: Final = (
    "lora_improvement",
    "lora_adapter",
    "lora_runs",
    "lora_checkpoints",
    "lora_reproduced",
    "lora_inference_answers",
    "lora_inference_loads",
    "lora_claims",
    "lora_hyperparameters",
    "lora_before_after",
    "lora_measured",
)


class Row(NamedTuple):
    """Points in ORDER; `own`: the adapter is that of the variant's own training. Where `person`
    holds, somebody has to look at whether the script made the adapter."""

    points: tuple[float, ...]
    own: bool = False
    person: bool = False


EXPERT: Mapping[str, Row] = {
    "good": Row((9, 2, 1, 1, 2, 1.5, 0.5, 1, 1, 0.5, 0.5), own=True),
    "good_notebook": Row((9, 2, 1, 1, 2, 1.5, 0.5, 1, 1, 0.5, 0.5)),
    "own_loop": Row((9, 2, 1, 1, 2, 1.5, 0.5, 1, 1, 0.5, 0.5), own=True),
    # The adapter beside it is not this script's work.
    "cannot_have_made": Row((9, 2, 1, 1, 0, 1.5, 0.5, 1, 0.5, 0.5, 0.5), person=True),
    "shuffled_beside_good": Row((9, 2, 1, 1, 0, 1.5, 0.5, 1, 1, 0.5, 0.5), person=True),
    "shuffled_labels": Row((0.5, 2, 1, 1, 2, 1.5, 0.5, 1, 1, 0.5, 0.5), own=True),
    "never_ends": Row((9, 2, 0, 0.5, 0, 1.5, 0.5, 1, 1, 0.5, 0.5)),
    "no_checkpoints": Row((9, 2, 1, 0, 2, 1.5, 0.5, 1, 1, 0.5, 0.5), own=True),
    "library_defaults": Row((0, 2, 1, 1, 2, 1.5, 0.5, 1, 0, 0.5, 0.5), own=True),
    "trained_on_test": Row((7, 2, 1, 1, 2, 1.5, 0.5, 0.5, 1, 0.25, 0.25), own=True),
    "few_examples": Row((5, 2, 1, 1, 2, 1.5, 0.5, 1, 1, 0.5, 0.5), own=True),
    "crashes_at_end": Row((9, 2, 0, 1, 2, 1.5, 0.5, 1, 1, 0.5, 0.5)),
    # Nothing is loaded of a pickle, so nothing is asked of it.
    "pickled_adapter": Row((0, 0, 1, 1, 0, 0, 0.5, 0, 1, 0.5, 0.5)),
    "copies_its_adapter": Row((9, 2, 0.5, 0, 0, 1.5, 0.5, 1, 0, 0, 0)),
    "kit_scripts": Row((9, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
    "inference_constant": Row((9, 2, 1, 1, 2, 0, 0, 1, 1, 0.5, 0.5)),
    "inference_second_base": Row((9, 2, 1, 1, 2, 1.5, 0, 1, 1, 0.5, 0.5)),
    "inference_reads_training": Row((9, 2, 1, 1, 2, 1.5, 0, 1, 1, 0.5, 0.5)),
    "inference_nearest_training": Row((9, 2, 1, 1, 2, 0, 0, 1, 1, 0.5, 0.5)),
    "inference_crashes": Row((9, 2, 1, 1, 2, 0, 0, 1, 1, 0.5, 0.5)),
    "inference_base_only": Row((9, 2, 1, 1, 2, 0, 0.25, 1, 1, 0.5, 0.5)),
    "inference_samples": Row((9, 2, 1, 1, 2, 0.25, 0.5, 1, 1, 0.5, 0.5)),
    "metrics_invented": Row((9, 2, 1, 1, 2, 1.5, 0.5, 0, 1, 0.5, 0.5)),
}

CLOSE: Final = 1.0
"""How far a total may be from the expert's."""

MISSES: Mapping[str, float] = {
    # Its 56 questions teach the form as well as all 406 do, and nothing shows that its score after
    # training is one on training data: the expert took points off for both.
    "trained_on_test": 3.0,
}
"""Totals that are further from the expert's, at most by this, and why."""


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return load_assignment(EXPERTS / "part3.yaml")


def _source(variant: str, name: str) -> Path:
    own = VARIANTS / variant / name
    return own if own.exists() else VARIANTS / "good" / name


def _trained(script: Path, folder: Path) -> None:
    """Run a training script as its student does, and keep what is submitted of what it leaves."""
    work = folder.parent / f"{folder.name}-work"
    shutil.copytree(resource("starter", "course-model"), work / "course-model")
    shutil.copytree(resource("datasets", "educational-qa"), work / "data")
    shutil.copyfile(resource("starter", "llm-methods", "common.py"), work / "common.py")
    shutil.copyfile(script, work / TRAIN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "USER": "somebody", "LOGNAME": "somebody"}
    subprocess.run(
        [sys.executable, TRAIN], cwd=work, env=environment, check=True, capture_output=True
    )
    _keep_adapter(work / "adapter", folder / "adapter")
    shutil.copyfile(work / METRICS, folder / METRICS)
    shutil.rmtree(work)


def _keep_adapter(made: Path, kept: Path) -> None:
    """The adapter in half precision, which is half as large and answers the same."""
    import torch
    from safetensors.torch import load_file, save_file

    kept.mkdir(parents=True)
    weights = load_file(made / "adapter_model.safetensors")
    halves = {name: tensor.to(torch.float16) for name, tensor in weights.items()}
    save_file(halves, kept / "adapter_model.safetensors", {"format": "pt"})
    shutil.copyfile(made / "adapter_config.json", kept / "adapter_config.json")


def submission(variant: str, family: Family, home: Path) -> Path:
    """The variant's submission, written into the new folder `home`."""
    name = variant.removesuffix("_notebook")
    maker = name if EXPERT[variant].own else "good"
    script = _source(maker, TRAIN)
    made = family.folder(f"made-{maker}", lambda folder: _trained(script, folder))
    shutil.copytree(made, home)
    for file in (TRAIN, ANSWER):
        source = _source(name, file)
        if variant.endswith("_notebook"):
            book = as_notebook(source.read_text())
            (home / file).with_suffix(".ipynb").write_bytes(book)
        else:
            shutil.copyfile(source, home / file)
    if (VARIANTS / name / METRICS).exists():
        shutil.copyfile(VARIANTS / name / METRICS, home / METRICS)
    if variant == "pickled_adapter":
        weights = home / "adapter" / "adapter_model.safetensors"
        weights.rename(weights.with_suffix(".bin")).write_bytes(b"\x80\x04K\x01.")
    return home


def _total(result: Result) -> tuple[float, bool]:
    """The points of Part 3, and whether somebody has to look at whether the script made the
    adapter; what is open counts as nothing."""
    points = {score.id: score.points for score in result.scores}
    opened = {id for id in ORDER if points[id] is None}
    assert opened <= {"lora_reproduced"}
    return sum(points[id] or 0.0 for id in ORDER), bool(opened)


def hold_to(row: Row, result: Result, most: float) -> None:
    """The total is the expert's, but for this much; no check broke; who fails reads what to do."""
    text = "\n".join(f"{f.code} {f.outcome}: {f.message} {f.note}" for f in result.findings)
    total, person = _total(result)
    assert abs(total - sum(row.points)) <= most, f"{total} for {sum(row.points)}\n{text}"
    assert person == row.person, text
    given = {score.id: score.points or 0.0 for score in result.scores}
    off = {id: given[id] - points for id, points in zip(ORDER, row.points, strict=True)}
    assert all(abs(by) <= (2 if id == ORDER[0] else 0.5) for id, by in off.items()), (off, text)
    assert not [f.code for f in result.findings if f.outcome is Outcome.ERROR], text
    assert all(f.message and f.hint for f in result.findings if f.outcome is Outcome.FAIL), text


def test_a_good_submission_reaches_every_point(assignment: Assignment) -> None:
    part = [c for c in assignment.criteria if c.category == "functionality"]
    assert tuple(c.id for c in part) == ORDER
    assert tuple(c.points for c in part) == EXPERT["good"].points
    assert len(MISSES) <= 0.1 * len(EXPERT)
    assert max(MISSES.values()) <= 3


@pytest.mark.parametrize("variant", EXPERT)
def test_the_grader_gives_what_an_expert_would(
    variant: str, assignment: Assignment, family: Family, tmp_path: Path
) -> None:
    home = submission(variant, family, tmp_path / variant)
    result = family.recorded([home], assignment, QUESTIONS)[variant]
    hold_to(EXPERT[variant], result, MISSES.get(variant, CLOSE))


@pytest.mark.live(sample=1)
@pytest.mark.parametrize("variant", EXPERT)
def test_a_script_that_runs_now_is_judged_as_the_recorded_one(
    variant: str, assignment: Assignment, family: Family, tmp_path: Path
) -> None:
    home = submission(variant, family, tmp_path / variant)
    family.live_as_recorded([home], assignment, QUESTIONS)

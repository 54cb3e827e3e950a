"""What an expert would give for scripts that do part of the work, and for those that cheat.

The table was written by judgement before any of them was run. Each script was run for real, in the
sandbox and against the simulator, in the scenarios that its row speaks of: in the others it is no
different from `naive`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from support.experts import hold_to, lay_out, narrowed
from support.notebooks import as_notebook
from support.paths import EXPERTS, ROOT
from support.recorded import Family

from grader.assignment.load import load_assignment
from grader.assignment.questions import make_hidden
from grader.core.nouns import Assignment

VARIANTS = EXPERTS / "variants" / "openai"
QUESTIONS = make_hidden("educational-qa", 7, 10)

WORKS: Mapping[str, float] = {
    "openai_upload": 0.5,
    "openai_one_job": 0.25,
    "openai_polling": 0.25,
    "openai_end": 0.25,
    "openai_events": 0.25,
    "openai_model": 0.25,
    "openai_evaluation": 0.25,
    "openai_results": 0.25,
}
"""When nothing goes wrong, for a script that does all it should."""

WITHSTANDS: Mapping[str, float] = {
    "openai_interruptions": 0.25,
    "openai_failed_job": 0.25,
    "openai_no_training": 0.25,
    "openai_lost_answer": 0.25,
    "openai_refusals": 0.25,
}
"""When something does, for a script that does all it should."""

NOTHING = dict.fromkeys([*WORKS, *WITHSTANDS], 0.0)

EXPERT: Mapping[str, Mapping[str, float]] = {
    "good": {**WORKS, **WITHSTANDS},
    "good_notebook": WORKS,
    # The client library retries by itself. Of a failed job the reason is printed, among the
    # events, and then it crashes; refusals it meets with a stack trace; a lost answer it awaits.
    "naive": {**WORKS, **dict.fromkeys(WITHSTANDS, 0.0), "openai_interruptions": 0.25},
    "busy": {**WORKS, "openai_polling": 0},
    "two_jobs": {**WORKS, "openai_one_job": 0},
    "endless": {**WORKS, "openai_failed_job": 0, "openai_refusals": 0},
    # The base was asked, which is half of an evaluation.
    "hard_coded_model": {
        **WORKS,
        "openai_end": 0,
        "openai_model": 0,
        "openai_evaluation": 0,
        "openai_results": 0,
    },
    "never_evaluates": {
        **WORKS,
        "openai_model": 0,
        "openai_evaluation": 0,
        "openai_results": 0,
    },
    "creates_again": {**WORKS, "openai_lost_answer": 0, "openai_failed_job": 0.25},
    "wrong_purpose": dict.fromkeys(WORKS, 0.0),
    "fixed_minute": {**WORKS, "openai_failed_job": 0.25},
    # Right when nothing goes wrong; the two faults that the library retries do no harm.
    "swallows": {**WORKS, **dict.fromkeys(WITHSTANDS, 0.0), "openai_interruptions": 0.25},
    "prints_success": NOTHING,
    "crashes": NOTHING,
    # Trained on its test set: no score on it means anything.
    "tests_on_training": {**WORKS, "openai_upload": 0.25, "openai_evaluation": 0},
}


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return load_assignment(EXPERTS / "part2.yaml")


def _files(variant: str) -> dict[str, bytes]:
    script = VARIANTS / f"{variant.removesuffix('_notebook')}.py"
    data, test = VARIANTS / "openai_train.jsonl", VARIANTS / "openai_test.jsonl"
    if variant == "tests_on_training":
        script, test = VARIANTS / "naive.py", data
    notebook = variant.endswith("notebook")
    name = "openai_domain_finetune.ipynb" if notebook else "openai_domain_finetune.py"
    return {
        name: as_notebook(script.read_text()) if notebook else script.read_bytes(),
        "openai_train.jsonl": data.read_bytes(),
        "openai_test.jsonl": test.read_bytes(),
    }


def test_a_good_script_reaches_every_point(assignment: Assignment) -> None:
    reads = {c.id: c.points for c in assignment.criteria if c.source.startswith("API0")}
    data = {"openai_facts", "openai_rules", "openai_pairs"}
    assert {id: points for id, points in reads.items() if id not in data} == EXPERT["good"]


def test_the_part_is_the_rubrics_that_ships() -> None:
    small, whole = (
        yaml.safe_load(path.read_text())
        for path in (EXPERTS / "part2.yaml", ROOT / "rubrics" / "llm-methods.yaml")
    )
    part = [c for c in whole["criteria"] if c.get("part") == "openai"]
    assert small["criteria"][:-1] == part
    assert sum(c["points"] for c in part) == 20


@pytest.mark.parametrize("variant", EXPERT)
def test_the_grader_gives_what_an_expert_would(
    variant: str, assignment: Assignment, family: Family, tmp_path: Path
) -> None:
    home = lay_out(_files(variant), tmp_path / variant)
    asked = narrowed(assignment, EXPERT[variant])
    hold_to(EXPERT[variant], family.recorded([home], asked, QUESTIONS)[variant])


@pytest.mark.live(sample=1)
@pytest.mark.parametrize("variant", EXPERT)
def test_a_program_that_runs_now_is_judged_as_the_recorded_one(
    variant: str, assignment: Assignment, family: Family, tmp_path: Path
) -> None:
    home = lay_out(_files(variant), tmp_path / variant)
    family.live_as_recorded([home], narrowed(assignment, EXPERT[variant]), QUESTIONS)

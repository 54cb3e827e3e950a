"""What an expert would give for bonus challenges that are done, half done, or only claimed.

The table was written by judgement before any of them was run. Each script was run for real, in the
sandbox and against the simulator, beside the solution of Parts 1 and 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from support.experts import hold_to, lay_out, narrowed
from support.paths import EXPERTS, SOLUTION
from support.recorded import Family

from grader.assignment.load import load_assignment
from grader.assignment.questions import make_hidden
from grader.core.nouns import Assignment

VARIANTS = EXPERTS / "variants" / "bonus"
QUESTIONS = make_hidden("educational-qa", 7, 10)
BESIDE = (
    "dspy_enhanced.py",
    "openai_domain_finetune.py",
    "openai_train.jsonl",
    "openai_test.jsonl",
)


def hybrid(asked: float, addition: float, gain: float) -> Mapping[str, float]:
    return {"hybrid_asked": asked, "hybrid_addition": addition, "hybrid_gain": gain}


def distill(taught: float, smaller: float, gain: float) -> Mapping[str, float]:
    return {"distill_taught": taught, "distill_smaller": smaller, "distill_gain": gain}


EXPERT: Mapping[str, Mapping[str, float]] = {
    "good_hybrid": hybrid(1, 0.5, 1.5),
    # All is there but the gain: a model lost in the prompts that it was not trained on.
    "hybrid_plain": hybrid(1, 0.5, 0),
    "hybrid_half": hybrid(0.5, 0.25, 1),
    "hybrid_asks_base": hybrid(0, 0, 0),
    "hybrid_feeds_answers": hybrid(0, 0, 0),
    "hybrid_prints_success": hybrid(0, 0, 0),
    "good_distill": distill(1, 0.5, 1.5),
    # It taught, but nobody smaller.
    "distill_same_base": distill(1, 0, 0),
    # Whose gain it is, the teacher's or its data's, nobody can tell.
    "distill_mixed": distill(0.5, 0.5, 0),
    "distill_reference_answers": distill(0, 0, 0),
    "distill_same_file": distill(0, 0, 0),
    "distill_prints_success": distill(0, 0, 0),
}


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return load_assignment("llm-methods")


def _files(variant: str) -> dict[str, bytes]:
    """The variant under the name that is asked for; the solution is there to be built on."""
    solutions = {"good_hybrid": "dspy_hybrid.py", "good_distill": "distill.py"}
    name = "dspy_hybrid.py" if "hybrid" in variant else "distill.py"
    good = {f"{module}.py": SOLUTION / file for module, file in solutions.items()}
    script = good.get(f"{variant}.py", VARIANTS / f"{variant}.py")
    places = {**{file: SOLUTION / file for file in BESIDE}, **good, name: script}
    return {name: place.read_bytes() for name, place in places.items()}


def test_good_scripts_reach_every_point(assignment: Assignment) -> None:
    mine = {c.id: c.points for c in assignment.criteria if c.id.startswith(("hybrid", "distill"))}
    assert mine == {**EXPERT["good_hybrid"], **EXPERT["good_distill"]}


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

"""What an expert would give for DSPy modules that do part of the work, and for those that cheat.

The table was written by judgement before any of them was run. Each module was run for real, in the
sandbox and against the simulator, on a few hidden questions: as a program, as a metric, or both, as
its row speaks of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from support.experts import Points, hold_to, lay_out, narrowed
from support.notebooks import as_notebook
from support.paths import EXPERTS, SOLUTION
from support.recorded import Family

from grader.assignment.load import load_assignment
from grader.assignment.questions import QuestionSet, make_hidden
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.registry import all_checks
from grader.core.nouns import Assignment

VARIANTS = EXPERTS / "variants" / "dspy"
BESIDE = ("dspy_results.json",)
SEED: Final = 7

PROGRAM: Mapping[str, Points] = {
    "dspy_gain": 6,
    "dspy_runs": 0.5,
    "dspy_model": 0.5,
    "dspy_addition": 2,
    "dspy_replies": 0.5,
}
"""For a program that does all it should."""

HANDED_IN: Mapping[str, Points] = {
    "dspy_pairs_new": 1,
    "dspy_pairs_valid": 0.5,
    "dspy_pairs_tested": 0.5,
    "dspy_saved": 0.5,
    "dspy_numbers": 1,
}
METRIC: Mapping[str, Points] = {
    "dspy_metric_right": 1.5,
    "dspy_metric_words": 1.5,
    "dspy_metric_nothing": 1,
    "dspy_metric_spelling": 0.5,
    "dspy_metric_games": 0.5,
    "dspy_metric_sound": 0.5,
    "dspy_metric_agrees": 0.5,
}
STEPS_GAIN: Final = (4, 6)
"""A model that recalls is a little less sure than one that reads or is shown answers."""

DEMOS_GAIN: Final = (5, 6)
"""Of 20 questions one more mistake is a band."""

NO_PROGRAM: Mapping[str, Points] = dict.fromkeys(PROGRAM, 0)
NO_METRIC: Mapping[str, Points] = dict.fromkeys(METRIC, 0)

EXPERT: Mapping[str, Mapping[str, Points]] = {
    "good": {**PROGRAM, **HANDED_IN, **METRIC},
    "good_notebook": PROGRAM,
    # Each of the three ways of the assignment earns the gain, alone or with another one.
    "few_shot_only": {**PROGRAM, "dspy_gain": DEMOS_GAIN},
    "demos_right": {**PROGRAM, "dspy_gain": DEMOS_GAIN},
    "nearest_demos": {**PROGRAM, "dspy_gain": DEMOS_GAIN},
    "bootstrapped": {**PROGRAM, "dspy_gain": DEMOS_GAIN},
    "steps_only": {**PROGRAM, "dspy_gain": STEPS_GAIN},
    "steps_fact": {**PROGRAM, "dspy_gain": STEPS_GAIN},
    "steps_two": {**PROGRAM, "dspy_gain": STEPS_GAIN},
    # One step of no particular content is the least of the steps.
    "thought_first": {**PROGRAM, "dspy_gain": (3, 6)},
    "retrieval_only": PROGRAM,
    "retrieval_and_demos": PROGRAM,
    "retrieval_and_steps": PROGRAM,
    "demos_and_steps": {**PROGRAM, "dspy_gain": DEMOS_GAIN},
    # Done badly they earn what is seen of them, and no gain. Wrong examples show the form as well
    # as right ones, so the score rises; what they say is false.
    "demos_wrong": {**PROGRAM, "dspy_gain": DEMOS_GAIN, "dspy_addition": 0},
    "demos_other_task": {**PROGRAM, "dspy_gain": 0, "dspy_addition": (1, 2)},
    "steps_after": {**PROGRAM, "dspy_gain": 0, "dspy_addition": (0, 1)},
    "steps_empty": {**PROGRAM, "dspy_gain": 0, "dspy_addition": (0, 1)},
    "cot_again": {**PROGRAM, "dspy_gain": 0, "dspy_addition": (0, 1)},
    "retrieval_wrong": {**PROGRAM, "dspy_gain": (0, 1), "dspy_addition": (1, 2)},
    # Word matching pays for keywords and refuses sentences, but not for silence.
    "unchanged": {
        **PROGRAM,
        **NO_METRIC,
        "dspy_gain": 0,
        "dspy_addition": 0,
        "dspy_pairs_new": 0,
        "dspy_metric_nothing": 1,
    },
    "constants": NO_PROGRAM,
    # It knows no hidden answer, and asks the model for it as the original does.
    "public_table": {**PROGRAM, "dspy_gain": 0, "dspy_addition": 0},
    "leaked_answers": NO_PROGRAM,
    "cautious_thief": NO_PROGRAM,
    "reads_passages_itself": NO_PROGRAM,
    "raises_on_some": {**PROGRAM, "dspy_gain": (1, 5), "dspy_runs": 0, "dspy_addition": (0, 1)},
    "quits": {**NO_PROGRAM, **NO_METRIC, "dspy_pairs_new": 0, "dspy_pairs_valid": 0},
    "no_module": {**NO_PROGRAM, **NO_METRIC},
    "hard_to_read": {"dspy_replies": 0},
    "poor_pairs": {"dspy_pairs_new": 0.5, "dspy_pairs_valid": 0, "dspy_pairs_tested": 0},
    "constant_metric": NO_METRIC,
    # It pays more for an excuse than for the answer.
    "length_metric": NO_METRIC,
    "crashing_metric": {
        "dspy_metric_nothing": 0,
        "dspy_metric_spelling": 0,
        "dspy_metric_sound": 0,
    },
    "unbounded_metric": NO_METRIC,
    # Better than matching; number words and plurals are strange to it, and so is order.
    "f1_metric": {**METRIC, "dspy_metric_words": 0.5, "dspy_metric_games": 0.25},
}


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return load_assignment(EXPERTS / "part1.yaml")


@pytest.fixture(scope="module")
def questions(assignment: Assignment) -> QuestionSet:
    return make_hidden(assignment.topic, SEED, 20)


def _files(variant: str, questions: QuestionSet) -> dict[str, bytes]:
    """A variant, or the kit's solution, which lies beside it under the name `good`, too."""
    good = variant.startswith("good")
    module = SOLUTION / "dspy_enhanced.py" if good else VARIANTS / f"{variant}.py"
    notebook = variant.endswith("notebook")
    name = "dspy_enhanced.ipynb" if notebook else "dspy_enhanced.py"
    leaked = {q.messages[-1][1]: questions.answers[q.id] for q in questions.questions}
    return {
        name: as_notebook(module.read_text()) if notebook else module.read_bytes(),
        "good.py": (SOLUTION / "dspy_enhanced.py").read_bytes(),
        **{kept: (SOLUTION / kept).read_bytes() for kept in BESIDE},
        "leaked.json": json.dumps(leaked).encode(),
    }


def test_a_good_module_reaches_every_point(assignment: Assignment) -> None:
    part = [c for c in assignment.criteria if c.category == "functionality"]
    assert {c.id: c.points for c in part} == EXPERT["good"]


@pytest.mark.parametrize("variant", EXPERT)
def test_the_grader_gives_what_an_expert_would(
    variant: str, assignment: Assignment, questions: QuestionSet, family: Family, tmp_path: Path
) -> None:
    home = lay_out(_files(variant, questions), tmp_path / variant)
    asked = narrowed(assignment, EXPERT[variant])
    result = family.recorded([home], asked, questions)[variant]
    hold_to(EXPERT[variant], result)
    # No message tells a student a hidden question, not even one that the program has put there.
    shown = "\n".join(f"{f.message} {f.hint}" for f in result.findings)
    assert not any(q.messages[-1][1] in shown for q in questions.questions)


@pytest.mark.live(sample=1)
@pytest.mark.parametrize("variant", EXPERT)
def test_a_module_that_runs_now_is_judged_as_the_recorded_one(
    variant: str, assignment: Assignment, questions: QuestionSet, family: Family, tmp_path: Path
) -> None:
    home = lay_out(_files(variant, questions), tmp_path / variant)
    family.live_as_recorded([home], narrowed(assignment, EXPERT[variant]), questions)


def test_replies_that_cannot_be_read_are_counted_by_the_service(
    assignment: Assignment, questions: QuestionSet, family: Family, tmp_path: Path
) -> None:
    home = lay_out(_files("hard_to_read", questions), tmp_path / "hard_to_read")
    asked = narrowed(assignment, EXPERT["hard_to_read"])
    result = family.recorded([home], asked, questions)["hard_to_read"]
    payload = family.evidence(result, "dspy_enhanced").payload
    assert all(row["parse_failures"] >= 1 for row in payload["answers"])
    assert all("dapter" in row["error"] for row in payload["answers"])  # DSPy's own error
    assert all(row["calls"] >= 2 for row in payload["answers"])


def test_every_check_of_the_part_decides_about_points(assignment: Assignment) -> None:
    read = {c.source.split(".")[0] for c in assignment.criteria}
    read |= {code for c in assignment.criteria for code in c.requires}
    mine = {code for code in all_checks() if "DSP" < code < "DSP030"}  # from there on: the bonus
    assert mine == set(assignment.refs) == read - {"review"}

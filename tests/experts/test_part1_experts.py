"""What an expert would give for DSPy modules that do part of the work, and for those that cheat.

The table was written by judgement before any of them was run. Each module is run for real, in the
sandbox and against the simulator, on a few hidden questions: as a program, as a metric, or both,
as its row speaks of.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest
from support.classes import Silent
from support.notebooks import as_notebook
from support.paths import EXPERTS, SOLUTION
from support.sandboxes import need_sandbox

from grader.assignment.load import load_assignment
from grader.assignment.questions import QuestionSet, make_hidden
from grader.assignment.rubric import score
from grader.checks import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.registry import Context, all_checks, in_order, run_check
from grader.core.nouns import Assignment, Evidence, Finding, Outcome, Submission
from grader.evidence import answers, metric_scores
from grader.evidence.kind import Candidate, Grading
from grader.intake.find import find_submissions, take_in

VARIANTS = EXPERTS / "variants" / "dspy"
SEED: Final = 7

Points = float | tuple[float, float]
"""What a criterion earns, or the least and the most."""

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
NO_PROGRAM: Mapping[str, Points] = dict.fromkeys(PROGRAM, 0)
NO_METRIC: Mapping[str, Points] = dict.fromkeys(METRIC, 0)

EXPERT: Mapping[str, Mapping[str, Points]] = {
    "good": {**PROGRAM, **HANDED_IN, **METRIC},
    "good_notebook": PROGRAM,
    # The course's reader reads the last message alone: examples before it cannot help.
    "few_shot_only": {**PROGRAM, "dspy_gain": 0},
    "steps_only": {"dspy_gain": 0, "dspy_model": 0.5, "dspy_addition": 2},
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


Runner = Callable[[Submission, set[str]], dict[str, Evidence]]


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return load_assignment(EXPERTS / "part1.yaml")


@pytest.fixture(scope="module")
def questions(assignment: Assignment) -> QuestionSet:
    return make_hidden(assignment.topic, SEED, 20)


@pytest.fixture(scope="module")
def run(
    assignment: Assignment, questions: QuestionSet, tmp_path_factory: pytest.TempPathFactory
) -> Runner:
    """Collects the evidence of these ids; what was collected once is not run again."""
    trainings = tmp_path_factory.mktemp("trainings")
    grading = Grading(assignment, questions, "cpu", trainings, need_sandbox)
    kept: dict[str, Evidence] = {}

    def collected(submission: Submission, ids: set[str]) -> dict[str, Evidence]:
        candidate = Candidate(submission, lambda codes: True)

        def put(evidence: Evidence) -> None:
            kept[evidence.key] = evidence

        keys: dict[str, str] = {}
        for kind in (answers.KIND, metric_scores.KIND):
            requests = [r for r in kind.plan(grading, [candidate]).requests if r.id in ids]
            new = {r.key: r for r in requests if r.key not in kept}
            if new:
                assert kind.producer(grading).produce(new, put, Silent()) == {}
            keys |= {r.id: r.key for r in requests}
        return {id: kept[key] for id, key in keys.items()}

    return collected


def _needed(assignment: Assignment, criteria: Mapping[str, Points]) -> set[str]:
    """The evidence that decides about these criteria."""
    codes = {
        code
        for criterion in assignment.criteria
        if criterion.id in criteria
        for code in (criterion.source.split(".")[0], *criterion.requires)
    }
    checks = in_order(codes, assignment)
    return {role.id for check in checks for role in check.evidence}


def _handed_in(variant: str, questions: QuestionSet, folder: Path) -> Submission:
    """A variant, or the kit's solution, which lies beside it under the name `good`, too."""
    home = folder / variant
    home.mkdir()
    good = variant.startswith("good")
    module = SOLUTION / "dspy_enhanced.py" if good else VARIANTS / f"{variant}.py"
    if variant.endswith("notebook"):
        (home / "dspy_enhanced.ipynb").write_bytes(as_notebook(module.read_text()))
    else:
        shutil.copyfile(module, home / "dspy_enhanced.py")
    shutil.copyfile(SOLUTION / "dspy_enhanced.py", home / "good.py")
    for name in ("dspy_results.json", "dspy_program.json"):
        shutil.copyfile(SOLUTION / name, home / name)
    leaked = {q.messages[-1][1]: questions.answers[q.id] for q in questions.questions}
    (home / "leaked.json").write_text(json.dumps(leaked))
    (found,) = find_submissions([home])
    return take_in(found, folder / "work")


def test_a_good_module_reaches_every_point(assignment: Assignment) -> None:
    part = [c for c in assignment.criteria if c.category == "functionality"]
    assert {c.id: c.points for c in part} == EXPERT["good"]


@pytest.mark.parametrize("variant", EXPERT)
def test_the_grader_gives_what_an_expert_would(
    variant: str, assignment: Assignment, questions: QuestionSet, run: Runner, tmp_path: Path
) -> None:
    expected = EXPERT[variant]
    submission = _handed_in(variant, questions, tmp_path)
    context = Context(assignment, submission, run(submission, _needed(assignment, expected)))
    findings: dict[str, Finding] = {}
    for check in in_order(assignment.checks, assignment):
        findings[check.code] = run_check(check, context, findings, {})
    broken = {f.code: f.note for f in findings.values() if f.outcome is Outcome.ERROR}
    assert not broken
    given = {s.id: s.points for s in score(assignment, list(findings.values()))}
    said = "\n".join(
        f"{f.code}: {f.message} {dict(f.measures)} {f.note}" for f in findings.values()
    )
    for id, points in expected.items():
        least, most = points if isinstance(points, tuple) else (points, points)
        earned = given[id]
        assert earned is not None, f"{id} is not known\n{said}"
        assert least <= earned <= most, f"{id}: {earned}\n{said}"
    lost = [f for f in findings.values() if f.outcome is Outcome.FAIL]
    assert all(f.message and f.hint for f in lost)
    # No message tells a student a hidden question, not even one that the program has put there.
    shown = "\n".join(f"{f.message} {f.hint}" for f in findings.values())
    assert not any(q.messages[-1][1] in shown for q in questions.questions)


def test_replies_that_cannot_be_read_are_counted_by_the_service(
    questions: QuestionSet, run: Runner, tmp_path: Path
) -> None:
    submission = _handed_in("hard_to_read", questions, tmp_path)
    payload = run(submission, {"dspy_enhanced"})["dspy_enhanced"].payload
    assert all(row["parse_failures"] >= 1 for row in payload["answers"])
    assert all("dapter" in row["error"] for row in payload["answers"])  # DSPy's own error
    assert all(row["calls"] >= 2 for row in payload["answers"])


def test_every_check_of_the_part_decides_about_points(assignment: Assignment) -> None:
    read = {c.source.split(".")[0] for c in assignment.criteria}
    read |= {code for c in assignment.criteria for code in c.requires}
    mine = {code for code in all_checks() if "DSP" < code < "DSP030"}  # from there on: the bonus
    assert mine == set(assignment.checks) == read - {"review"}

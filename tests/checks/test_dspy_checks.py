"""DSP checks on programs, pairs and metrics whose runs are made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.dspy_runs import (
    PAIRS,
    STEPS,
    enhanced,
    judged,
    original,
    passage,
    perturbed,
    question,
    reference,
    results,
    scores,
    word_matching,
)
from support.paths import EXPERTS

from grader.assignment.load import load_assignment
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Context
from grader.checks.api.registry import all_checks, in_order, run_check
from grader.core.nouns import Assignment, Evidence, Finding, Outcome
from grader.evidence.metric_scores import MetricCase
from grader.intake.find import submission_at
from grader.intake.submission import take_in

PASS, FAIL, SKIP = Outcome.PASS, Outcome.FAIL, Outcome.SKIP


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return load_assignment(EXPERTS / "part1.yaml")


@pytest.fixture
def find(assignment: Assignment, tmp_path: Path) -> Any:
    """The finding of one check on this evidence and these files."""

    def found(code: str, *, files: dict[str, str] | None = None, **runs: Evidence) -> Finding:
        home = tmp_path / "s01"
        home.mkdir()
        for name, text in {"dspy_enhanced.py": "", **(files or {})}.items():
            (home / name).write_text(text)
        entry = submission_at(home)
        beside = {"dspy_original": original(calls=0)} if "dspy_enhanced" in runs else {}
        submission = take_in(entry, tmp_path / "work", assignment.deliverables)
        context = Context(assignment, submission, beside | runs)
        earlier: dict[str, Finding] = {}
        for check in in_order([code], assignment):
            earlier[check.code] = run_check(check, context, earlier, {})
        return earlier[code]

    return found


def test_how_often_a_program_stops_is_for_the_instructor(find: Any) -> None:
    run = enhanced(text=lambda n: None if n < 5 else reference(n))
    finding = find("DSP001", dspy_enhanced=run)
    assert finding.outcome is FAIL
    assert finding.measures["answered_share"] == 0.75
    assert finding.message.startswith("It answered most of the questions")
    assert "5 times it ended in" in finding.note


def test_what_a_program_writes_into_its_errors_is_for_the_instructor_alone(find: Any) -> None:
    run = enhanced()
    run.payload["answers"][0]["error"] = f"{question(3)}: {question(3)}"
    finding = find("DSP001", dspy_enhanced=run)
    assert finding.outcome is FAIL
    assert question(3) not in finding.message
    assert question(3) in finding.note


@pytest.mark.parametrize(("right", "outcome"), [(18, PASS), (2, FAIL), (0, FAIL)])
def test_a_gain_must_be_one(find: Any, right: int, outcome: Outcome) -> None:
    finding = find("DSP002", dspy_original=original(), dspy_enhanced=enhanced(right))
    assert finding.outcome is outcome
    assert finding.measures["delta"] == pytest.approx((right - 2) / 20)


def test_a_gain_that_may_be_luck_is_none(find: Any) -> None:
    finding = find("DSP002", dspy_original=original(2), dspy_enhanced=enhanced(3))
    assert finding.outcome is FAIL


@pytest.mark.parametrize(("changed", "outcome"), [(10, PASS), (5, PASS), (4, FAIL), (0, FAIL)])
def test_answers_change_with_the_model(find: Any, changed: int, outcome: Outcome) -> None:
    runs = {"dspy_enhanced": enhanced(20), "dspy_perturbed": perturbed(changed)}
    finding = find("DSP003", **runs)
    assert finding.outcome is outcome
    assert finding.measures["changed_share"] == changed / 10


def test_answers_that_the_model_never_gave_are_not_its_answers(find: Any) -> None:
    """A table that shows the model's words only when they are strange is found out by the rest."""
    runs = {"dspy_enhanced": enhanced(20, said="nowhere"), "dspy_perturbed": perturbed(10)}
    finding = find("DSP003", **runs)
    assert finding.outcome is FAIL
    assert finding.measures["said_share"] == 0


def test_a_program_without_answers_depends_on_nothing(find: Any) -> None:
    runs = {"dspy_enhanced": enhanced(text=None, calls=0), "dspy_perturbed": perturbed(10)}
    assert find("DSP003", **runs).outcome is FAIL


@pytest.mark.parametrize(
    ("how", "seen"),
    [
        ({}, {}),
        ({"context": passage}, {"passages_share": 1.0}),
        ({"context": "The capital of Peru is Lima, of Chile it is Santiago."}, {}),
        ({"demos": [(PAIRS[0])]}, {"demos_share": 1.0}),
        ({"outputs": STEPS}, {"reasoning_share": 1.0}),
        ({"context": lambda n: passage(n) if n < 5 else ""}, {"passages_share": 0.25}),
    ],
    ids=["nothing", "passages", "the same text for all", "examples", "steps", "for a few"],
)
def test_additions_are_told_apart_by_what_is_sent(
    find: Any, how: dict[str, Any], seen: dict[str, float]
) -> None:
    finding = find("DSP004", dspy_original=original(), dspy_enhanced=enhanced(**how))
    shares = {k: v for k, v in finding.measures.items() if k != "share" and v}
    assert shares == seen
    assert finding.outcome is (PASS if max(seen.values(), default=0) >= 0.5 else FAIL)


def test_what_the_model_said_before_is_no_passage(find: Any) -> None:
    run = enhanced(said=passage, calls=1)
    twice = enhanced(said=passage, context=passage)  # the second step reads the first one's reply
    for row, first in zip(twice.payload["answers"], run.payload["answers"], strict=True):
        place = len(twice.payload["exchanges"])
        twice.payload["exchanges"].append(run.payload["exchanges"][first["exchanges"][0]])
        row["exchanges"] = [place, *row["exchanges"]]
    finding = find("DSP004", dspy_original=original(), dspy_enhanced=twice)
    assert finding.measures["passages_share"] == 0


@pytest.mark.parametrize(("failing", "outcome"), [(0, PASS), (1, PASS), (2, FAIL), (20, FAIL)])
def test_few_replies_may_be_unreadable(find: Any, failing: int, outcome: Outcome) -> None:
    run = enhanced(failures=lambda n: int(n < failing))
    assert find("DSP005", dspy_original=original(), dspy_enhanced=run).outcome is outcome


@pytest.mark.parametrize(
    ("code", "first"),
    [
        ("DSP006", ("What is the capital of Namibia?", "Windhoek")),
        ("DSP006", ("Tell me, which city governs NAMIBIA?", "windhoek")),
        ("DSP006", PAIRS[1]),
        ("DSP007", ("Wolves.", "pup")),
        ("DSP007", ("What is the young of the wolf called?", "")),
        ("DSP007", ("What is the young of the wolf called?", "word " * 13)),
        ("DSP007", ("A pup is the young of what, a pup?", "pup")),
    ],
)
def test_a_poor_pair_is_found(find: Any, code: str, first: tuple[str, str]) -> None:
    run = enhanced(pairs=[first, *PAIRS[1:]])
    finding = find(code, dspy_enhanced=run)
    assert finding.outcome is FAIL
    assert finding.measures["share"] == 0.8
    assert first[0] not in finding.message


@pytest.mark.parametrize("code", ["DSP006", "DSP007"])
def test_four_pairs_are_not_five_and_six_are(find: Any, code: str) -> None:
    assert find(code, dspy_enhanced=enhanced(pairs=PAIRS[:4])).outcome is FAIL


def test_pairs_that_choose_between_two_may_name_both(find: Any) -> None:
    pairs = [("Is a wolf's young a pup or a calf?", "pup"), *PAIRS[1:]]
    assert find("DSP007", dspy_enhanced=enhanced(pairs=pairs)).outcome is PASS


@pytest.mark.parametrize(
    ("extra", "outcome"), [(0.8, PASS), (1.0, PASS), (0.6, PASS), (0.4, FAIL), (None, FAIL)]
)
def test_tested_pairs_do_as_reported(find: Any, extra: float | None, outcome: Outcome) -> None:
    files = {"dspy_results.json": results(extra=extra)}
    assert find("DSP008", files=files, dspy_enhanced=enhanced()).outcome is outcome


@pytest.mark.parametrize(
    ("files", "outcome"),
    [
        ({}, PASS),
        ({"dspy_program.json": '{"read": {"demos": [], "lm": null}}'}, PASS),
        ({"dspy_program.json": '{"read": {"lm": {"api_key": "sk-x"}}}'}, FAIL),
        ({"dspy_program.json": '{"read": {"demos": NaN}}'}, FAIL),
        ({"dspy_program.json": "[]"}, FAIL),
        ({"program.pkl": ""}, FAIL),
    ],
)
def test_a_saved_program_is_plain_json(find: Any, files: dict[str, str], outcome: Outcome) -> None:
    assert find("DSP009", files=files).outcome is outcome


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (results(), PASS),
        (results(before=0.25, after=0.95), PASS),  # another question set, and a little more
        (results(after=0.4), FAIL),
        (results(before=0.7), FAIL),
        ("{}", FAIL),
        ('{"test_questions": true, "programs": {}}', FAIL),
        ("[" * 1000, FAIL),
    ],
)
def test_reported_numbers_are_held_against_ours(find: Any, text: str, outcome: Outcome) -> None:
    runs = {"dspy_original": original(), "dspy_enhanced": enhanced()}
    finding = find("DSP010", files={"dspy_results.json": text}, **runs)
    assert finding.outcome is outcome
    assert finding.outcome is PASS or finding.hint


def test_without_results_nothing_was_reported(find: Any) -> None:
    runs = {"dspy_original": original(), "dspy_enhanced": enhanced()}
    assert find("DSP010", **runs).outcome is FAIL


def _without(kind: str, value: float | None) -> Any:
    """Our own judgement, but for one kind of answer."""

    def metric(case: MetricCase) -> float | None:
        return value if case.kind == kind else judged(case)

    return metric


METRIC_CODES = [code for code in all_checks() if code.startswith("DSP02")]


@pytest.mark.parametrize("code", METRIC_CODES)
def test_our_own_judgement_passes_as_a_metric(find: Any, code: str) -> None:
    runs = {"dspy_metric": scores(judged), "dspy_metric_original": scores(word_matching)}
    assert find(code, **runs).outcome is PASS


@pytest.mark.parametrize(
    ("code", "metric"),
    [
        ("DSP020", _without("empty", None)),
        ("DSP020", _without("exact", 1.01)),
        ("DSP022", _without("stuffed", 1.0)),
        ("DSP022", lambda case: 0.5),
        ("DSP023", _without("sentence", 0.0)),
        ("DSP023", word_matching),
        ("DSP024", _without("refusal", 0.2)),
        ("DSP024", lambda case: 0.0),
        ("DSP025", _without("case", 0.0)),
        ("DSP026", _without("duplicate", 1.0)),
        ("DSP027", lambda case: 0.5),
        ("DSP027", word_matching),
    ],
)
def test_a_metric_with_one_fault_fails_there(find: Any, code: str, metric: Any) -> None:
    runs = {"dspy_metric": scores(metric), "dspy_metric_original": scores(word_matching)}
    finding = find(code, **runs)
    assert finding.outcome is FAIL
    cases = runs["dspy_metric"].payload["cases"]
    assert not any(c["given"] in finding.message for c in cases if len(c["given"]) > 10)


def test_a_metric_that_throws_coins_is_not_repeatable(find: Any) -> None:
    assert find("DSP021", dspy_metric=scores(judged, again=0.001)).outcome is FAIL


def test_ignoring_case_is_no_merit_of_a_metric_that_tells_nothing_apart(find: Any) -> None:
    assert find("DSP025", dspy_metric=scores(lambda case: 0.5)).outcome is SKIP


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=88, max_size=88))
def test_whatever_a_metric_says_every_check_has_a_verdict(values: list[float | None]) -> None:
    assignment = load_assignment(EXPERTS / "part1.yaml")
    said = iter(values)
    runs = {
        "dspy_metric": scores(lambda case: next(said)),
        "dspy_metric_original": scores(word_matching),
    }
    context = Context(assignment, None, runs)  # type: ignore[arg-type]
    earlier: dict[str, Finding] = {}
    for check in in_order(METRIC_CODES, assignment):
        finding = earlier[check.code] = run_check(check, context, earlier, {})
        assert finding.outcome is not Outcome.ERROR, finding.note
        json.dumps(dict(finding.measures), allow_nan=False)

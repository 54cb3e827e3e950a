"""Points beside findings, by part, and what one more step would earn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grader.assignment.rubric import score, status, total
from grader.core.nouns import Assignment, Finding, Outcome
from grader.core.result import Result
from grader.course import grade
from grader.report.terminal import findings_table, shares_table
from grader.report.worth import hidden_criteria, next_steps, shares, worth_of


@pytest.fixture(scope="module")
def loaded() -> Assignment:
    return grade.load("llm-methods")


def finding(code: str, outcome: Outcome = Outcome.FAIL, **measures: float) -> Finding:
    return Finding(code, outcome, f"Claim {code}", "It is so.", measures=measures)


def result_of(assignment: Assignment, *changed: Finding) -> Result:
    """All holds, at the highest band, but for these findings."""
    measures: dict[str, dict[str, float]] = {}
    for criterion in assignment.criteria:
        ref, _, measure = criterion.source.partition(".")
        if measure:
            measures.setdefault(ref, {})[measure] = criterion.bands[-1].at_least
    found = {ref: finding(ref, Outcome.PASS, **measures.get(ref, {})) for ref in assignment.refs}
    found |= {one.code: one for one in changed}
    findings = tuple(found.values())
    scores = score(assignment, findings)
    return Result(
        assignment_id=assignment.id,
        assignment_version=assignment.version,
        student="me",
        digest="0",
        submitted_at=None,
        status=status(scores, findings),
        total=total(assignment, scores),
        scores=scores,
        findings=findings,
        provenance={},
    )


def test_a_part_says_what_is_certain_open_and_estimated(loaded: Assignment) -> None:
    result = result_of(loaded, finding("API003", Outcome.REVIEW), finding("API006"))
    said = {share.title: share for share in shares(loaded, result)}
    part = said["Part 2: OpenAI fine-tuning"]
    worth = {c.id: c.points for c in loaded.criteria}
    assert part.open == worth["openai_one_job"] + worth["cost_document"]
    assert part.certain == part.most - part.open - worth["openai_events"]
    assert f"of {part.most:g} certain on public data, {part.open:g} open" in part.said
    program = said["Part 1: DSPy prompt optimisation"]
    assert program.open == 1  # the report, which a person reads
    assert 0 < program.estimated < program.certain
    assert "of them estimated" in program.said
    whole = said["Together"]
    assert (whole.certain, whole.open) == (
        result.total.lower,
        result.total.upper - result.total.lower,
    )


def test_only_answers_to_hidden_questions_are_estimates(loaded: Assignment) -> None:
    estimates = hidden_criteria(loaded)
    assert {"dspy_gain", "lora_improvement"} <= estimates
    assert "dspy_metric_right" not in estimates  # the grader's cases are the same in a self-check
    assert "code_documented" not in estimates


def test_each_point_stands_beside_one_finding(loaded: Assignment) -> None:
    result = result_of(loaded, finding("DSP003"), finding("API003", Outcome.REVIEW))
    worths = worth_of(result.scores)
    automatic = [s for s in result.scores if s.because]
    assert sum(w.most for w in worths.values()) == sum(s.max_points for s in automatic)
    assert worths["DSP003"].earned == 0
    assert worths["API003"].open == worths["API003"].most
    table = findings_table(result.findings, worths)
    assert [column.header for column in table.columns] == ["", "Code", "Points", "What"]
    assert len(findings_table(result.findings).columns) == 3
    assert shares_table(shares(loaded, result)).row_count > 3


def test_the_next_band_is_told_with_the_measure(loaded: Assignment) -> None:
    (gain,) = (c for c in loaded.criteria if c.id == "dspy_gain")
    below = gain.bands[-2].at_least
    low = result_of(
        loaded,
        finding("DSP002", Outcome.PASS, delta_low95=below),
        *(finding(f"API00{n}") for n in range(1, 9)),
    )
    (step,) = (s for s in next_steps(loaded, low, tell_hidden=True) if s.code == "DSP002")
    assert step.gain == gain.bands[-1].points - gain.bands[-2].points
    assert step.now == f"+{100 * below:g}%"
    assert step.then == f"from +{100 * gain.bands[-1].at_least:g}% on"
    (hidden,) = (s for s in next_steps(loaded, low, tell_hidden=False) if s.code == "DSP002")
    assert hidden == replace(step, now="")


def test_steps_are_sorted_by_points_and_name_the_cause(loaded: Assignment) -> None:
    """One finding stops what stands behind it: the step is to mend that one."""
    behind = finding("DSP022", Outcome.SKIP)
    worse = [finding(f"API00{n}") for n in range(1, 9)]
    result = result_of(loaded, finding("SRC016"), behind, finding("SRC009"), *worse)
    steps = next_steps(loaded, result, tell_hidden=True)
    assert [s.gain for s in steps] == sorted((s.gain for s in steps), reverse=True)
    codes = [step.code for step in steps]
    assert "SRC016" in codes
    assert "DSP022" not in codes
    (documented,) = (s for s in steps if s.code == "SRC009")
    assert (documented.gain, documented.most) == (5, False)
    assert documented.then == "when it holds: Claim SRC009"


def test_what_does_not_change_the_total_is_no_step(loaded: Assignment) -> None:
    """The best two parts count: a third one that lacks much earns nothing by one step."""
    result = result_of(loaded, *(finding(f"API00{n}") for n in range(1, 9)))
    assert next_steps(loaded, result, tell_hidden=True) == ()

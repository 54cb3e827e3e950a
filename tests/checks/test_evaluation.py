"""EVL: what counts as a gain, against which reference, and what students claim of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.predictions import N, evidence

from grader.checks.api.context import Context
from grader.checks.evaluation import (
    claims_agree,
    improves_on_hidden_questions,
    speed_and_memory,
    text_measures,
)
from grader.core.nouns import Evidence, Outcome
from grader.course import grade
from grader.intake.find import submission_at
from grader.intake.submission import take_in


def context(tmp_path: Path, before: Evidence, after: Evidence) -> Context:
    (tmp_path / "student").mkdir(exist_ok=True)
    (tmp_path / "student" / "notes.txt").touch()
    found = submission_at(tmp_path / "student")
    assignment = grade.load("llm-methods")
    submission = take_in(found, tmp_path / "work", assignment.deliverables)
    return Context(assignment, submission, {"before": before, "after": after})


def test_a_real_gain_passes_with_its_numbers(tmp_path: Path) -> None:
    verdict = improves_on_hidden_questions(context(tmp_path, evidence(2), evidence(90)))
    assert verdict.outcome is Outcome.PASS
    assert verdict.measures is not None
    assert verdict.measures["before"] == pytest.approx(0.02)
    assert verdict.measures["after"] == pytest.approx(0.90)
    assert verdict.measures["delta"] == pytest.approx(0.88)
    assert verdict.measures["n"] == N


def test_what_guessing_reaches_is_no_gain(tmp_path: Path) -> None:
    """9 right answers beat a base at 0, but not the 10 that guessing gets."""
    before, after = evidence(0, guessable=10), evidence(9)
    verdict = improves_on_hidden_questions(context(tmp_path, before, after))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.measures is not None
    assert verdict.measures["chance"] == pytest.approx(0.10)
    assert verdict.measures["delta"] == pytest.approx(-0.01)
    assert "guessing" in verdict.message


def test_a_gain_within_luck_is_no_gain(tmp_path: Path) -> None:
    verdict = improves_on_hidden_questions(context(tmp_path, evidence(50), evidence(51)))
    assert verdict.outcome is Outcome.FAIL


def test_a_base_that_is_good_already_is_the_reference(tmp_path: Path) -> None:
    before, after = evidence(60, guessable=10), evidence(80)
    verdict = improves_on_hidden_questions(context(tmp_path, before, after))
    assert verdict.measures is not None
    assert verdict.measures["delta"] == pytest.approx(0.20)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("answer 5", "belongs to its question"),
        ("a very long answer that goes on and on and never comes to its point", "much longer"),
        ("", "learning rate"),
    ],
)
def test_the_advice_fits_the_form_of_the_answers(tmp_path: Path, wrong: str, hint: str) -> None:
    after = evidence(0, wrong=wrong)
    verdict = improves_on_hidden_questions(context(tmp_path, evidence(0), after))
    assert hint in verdict.hint


def test_no_hidden_question_or_answer_reaches_a_message(tmp_path: Path) -> None:
    ctx = context(tmp_path, evidence(0), evidence(3, wrong="answer 5"))
    for check in (improves_on_hidden_questions, text_measures, speed_and_memory):
        verdict = check(ctx)
        said = verdict.message + verdict.hint
        assert "question 1" not in said
        assert "answer 1" not in said


def test_near_misses_show_in_f1_and_learning_in_loglik(tmp_path: Path) -> None:
    near = evidence(0, wrong="answer", loglik_wrong=-2.0)
    verdict = text_measures(context(tmp_path, evidence(0), near))
    assert verdict.outcome is Outcome.PASS
    assert verdict.measures is not None
    assert verdict.measures["token_f1_before"] == 0
    assert verdict.measures["token_f1_after"] == pytest.approx(2 / 3)
    assert verdict.measures["loglik_before"] == pytest.approx(-5)
    assert verdict.measures["loglik_after"] == pytest.approx(-2)


def test_an_adapter_that_makes_right_answers_less_likely_does_harm(tmp_path: Path) -> None:
    worse = evidence(0, loglik_wrong=-6.0)
    assert text_measures(context(tmp_path, evidence(0), worse)).outcome is Outcome.FAIL


def test_speed_stands_beside_a_reference(tmp_path: Path) -> None:
    verdict = speed_and_memory(context(tmp_path, evidence(0), evidence(0)))
    assert verdict.measures is not None
    assert verdict.measures["tokens_per_second"] == pytest.approx(150)
    assert verdict.measures["reference_tokens_per_second"] == pytest.approx(150)


def claims(tmp_path: Path, text: str) -> Outcome:
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "metrics.json").write_text(text)
    return claims_agree(context(tmp_path, evidence(0), evidence(90))).outcome


def metrics(before: object, after: object) -> str:
    return json.dumps({"before": {"exact_match": before}, "after": {"exact_match": after}})


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (metrics(0.0, 0.9), Outcome.PASS),
        (metrics(0.05, 0.85), Outcome.PASS),
        (metrics(0.0, 0.5), Outcome.FAIL),
        (metrics(0.5, 0.9), Outcome.FAIL),
        (metrics(0.0, 90), Outcome.FAIL),
        (metrics(0.0, "high"), Outcome.FAIL),
        (metrics(None, 0.9), Outcome.FAIL),
        ('{"before": 1}', Outcome.FAIL),
        ("[]", Outcome.FAIL),
        ("not json", Outcome.FAIL),
        ('{"before": {"exact_match": NaN}, "after": {"exact_match": 0.9}}', Outcome.FAIL),
    ],
)
def test_a_claim_must_be_readable_and_near_the_truth(
    tmp_path: Path, text: str, outcome: Outcome
) -> None:
    assert claims(tmp_path, text) is outcome


def test_a_small_public_test_set_may_be_luckier_than_the_hidden_one(tmp_path: Path) -> None:
    """Seen with an honest adapter of twelve examples: 26 of 56 public, 40 of 150 hidden."""
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "metrics.json").write_text(metrics(0.0, 0.4643))
    verdict = claims_agree(context(tmp_path, evidence(0), evidence(27)))
    assert verdict.outcome is Outcome.PASS


def test_two_places_for_the_claims_are_the_students_fault(tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / "student" / place).mkdir(parents=True)
        (tmp_path / "student" / place / "metrics.json").write_text(metrics(0.0, 0.9))
    verdict = claims_agree(context(tmp_path, evidence(0), evidence(90)))
    assert verdict.outcome is Outcome.FAIL
    assert "a/metrics.json" in verdict.message

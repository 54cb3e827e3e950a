"""A DSPy program that ran on two models: the better gain counts, and all else is held there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from support.dspy_runs import (
    PAIRS,
    enhanced,
    original,
    passage,
    perturbed,
    question,
    results,
    together,
)
from support.paths import EXPERTS

from grader.assignment.load import load_assignment
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Context
from grader.checks.api.registry import in_order, run_check
from grader.core.nouns import Evidence, Finding, Outcome
from grader.intake.find import submission_at
from grader.intake.submission import take_in

ASSIGNMENT = load_assignment(EXPERTS / "part1.yaml")
Find = Callable[..., Finding]
RIGHT = [("What is the capital of Namibia?", "Windhoek"), ("Name the young of the bear.", "Cub.")]


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """The finding of one check on this evidence and these results."""

    def found(code: str, runs: Mapping[str, Evidence], said: str = "") -> Finding:
        home = tmp_path / "s01"
        home.mkdir(exist_ok=True)
        (home / "dspy_enhanced.py").write_text("")
        if said:
            (home / "dspy_results.json").write_text(said)
        submission = take_in(submission_at(home), tmp_path / "work", ASSIGNMENT.deliverables)
        context = Context(ASSIGNMENT, submission, runs)
        earlier: dict[str, Finding] = {}
        for check in in_order([code], ASSIGNMENT):
            earlier[check.code] = run_check(check, context, earlier, {})
        return earlier[code]

    return found


def runs(reader: int, chat: int, *, before: tuple[int, int] = (2, 0)) -> dict[str, Evidence]:
    """Right answers of 20 on each model: passages are sent to the reader, examples to the other."""
    return {
        "dspy_original": together(
            original(before[0], model="reader"), original(before[1], model="chat")
        ),
        "dspy_enhanced": together(
            enhanced(reader, model="reader", context=passage),
            enhanced(chat, model="chat", demos=[PAIRS[0]], right_pairs=1),
        ),
        "dspy_perturbed": together(perturbed(0, model="reader"), perturbed(10, model="chat")),
    }


@pytest.mark.parametrize(
    ("reader", "chat", "counts", "delta"),
    [(18, 2, "reader", 0.8), (2, 16, "chat", 0.8), (18, 18, "chat", 0.9), (2, 0, "reader", 0.0)],
)
def test_the_better_gain_counts_and_both_are_told(
    find: Find, reader: int, chat: int, counts: str, delta: float
) -> None:
    finding = find("DSP002", runs(reader, chat))
    assert finding.measures["delta"] == pytest.approx(delta)
    assert f"So on {counts}, which counts." in finding.message
    other = {"reader": "chat", "chat": "reader"}[counts]
    assert f"On {other}: about" in finding.message
    assert f"On {other}: " in finding.note


def test_of_equal_gains_the_first_model_counts(find: Find) -> None:
    finding = find("DSP002", runs(12, 12, before=(2, 2)))
    assert "So on reader" in finding.message


def test_what_is_said_of_the_program_is_said_of_the_model_that_counts(find: Find) -> None:
    on_reader, on_chat = runs(18, 2), runs(2, 16)
    assert find("DSP003", on_reader).outcome is Outcome.FAIL  # no answer changed there
    assert find("DSP003", on_chat).outcome is Outcome.PASS
    assert find("DSP004", on_reader).measures["passages_share"] == 1
    assert find("DSP004", on_chat).measures["passages_share"] == 0
    assert find("DSP004", on_chat).measures["demos_share"] == 1


def test_a_model_that_the_program_never_asked_does_not_count(find: Find) -> None:
    """A program with a model of its own asks that one, whichever was to be asked."""
    given = runs(10, 18)
    given["dspy_enhanced"] = together(
        enhanced(10, model="reader"), enhanced(18, model="chat", calls=0)
    )
    assert find("DSP002", given).measures["after"] == 0.5


@pytest.mark.parametrize(
    ("model", "outcome"), [("reader", "fail"), ("chat", "pass"), ("x", "pass")]
)
def test_reported_numbers_are_held_against_the_model_that_they_name(
    find: Find, model: str, outcome: str
) -> None:
    said = results(before=0.0, after=0.8, extra=0.2, model=model)
    assert find("DSP010", runs(2, 16), said).outcome == outcome
    assert find("DSP008", runs(2, 16), said).outcome == outcome


def test_results_without_a_model_are_held_against_the_one_that_counts(find: Find) -> None:
    said = json.loads(results(before=0.0, after=0.8))
    del said["model"]
    assert find("DSP010", runs(2, 16), json.dumps(said)).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("demos", "wrong"),
    [
        (RIGHT, 0),
        ([("What is the capital of Namibia?", "It is Windhoek.")], 0),
        ([("Is the soup cold?", "Lisbon")], 0),  # it asks for no fact of the topic
        ([("What is the capital of Namibia?", "Not supplied for this particular example. ")], 0),
        ([*RIGHT, ("WHAT IS THE CAPITAL OF FINLAND", "Lisbon")], 1),
        ([("Which symbol stands for vanadium?", "Va")], 1),
    ],
    ids=["right", "a sentence", "another task", "left out", "one wrong", "a longer symbol"],
)
def test_demonstrations_that_contradict_the_facts_are_found(
    find: Find, demos: list[tuple[str, str]], wrong: int
) -> None:
    given = {"dspy_original": original(), "dspy_enhanced": enhanced(demos=demos)}
    finding = find("DSP011", given)
    assert finding.measures["wrong"] == wrong
    assert finding.outcome is (Outcome.FAIL if wrong else Outcome.PASS)
    assert finding.outcome is Outcome.PASS or "Lisbon" in finding.message or "Va" in finding.message


def test_an_earlier_turn_about_the_same_question_is_a_talk_and_no_demonstration(find: Find) -> None:
    talk = enhanced(demos=lambda n: [(question(n), "nowhere")])
    finding = find("DSP011", {"dspy_original": original(), "dspy_enhanced": talk})
    assert finding.measures["demonstrations"] == 0

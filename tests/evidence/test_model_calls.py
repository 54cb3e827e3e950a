"""Requests are told apart by the question in them, whatever else stands there."""

from __future__ import annotations

import pytest
from support.dspy_runs import Asked, passage, question

from grader.evidence.answers import by_question, model_calls, parse_failures

QUESTIONS = {f"q{n}": question(n) for n in range(12)}


def test_a_request_belongs_to_the_question_that_stands_last() -> None:
    run = Asked()
    run.call(question(1), "a", demos=[(question(2), "b")], context=passage(3))
    run.call("Step two: shorten it.", "c")
    run.call(question(11).upper(), "d")
    calls = list(model_calls(run.exchanges))
    found = {id: [c.place for c in mine] for id, mine in by_question(calls, QUESTIONS).items()}
    assert {id: places for id, places in found.items() if places} == {"q1": [0, 1], "q11": [2]}


def test_a_request_before_every_question_is_nobodys() -> None:
    run = Asked()
    run.call("Are you there?", "yes")
    calls = list(model_calls(run.exchanges))
    assert not any(by_question(calls, QUESTIONS).values())


@pytest.mark.parametrize("again", [{"schema": True}, {"as_json": True}])
def test_tokens_and_unreadable_replies_are_counted(again: dict[str, bool]) -> None:
    run = Asked()
    run.call(question(1), "nonsense")
    run.call(question(1), '{"answer": "a"}', **again)
    calls = list(model_calls(run.exchanges))
    assert [(c.input_tokens, c.output_tokens) for c in calls] == [(30, 5), (30, 5)]
    assert parse_failures(calls) == 1


def test_asking_for_json_from_the_start_is_no_failure() -> None:
    run = Asked()
    run.call(question(1), "{}", schema=True)
    run.call(question(1), "{}", schema=True)
    assert parse_failures(list(model_calls(run.exchanges))) == 0


def test_another_step_that_asks_for_json_is_no_failure() -> None:
    run = Asked()
    run.call(question(1), "Lima", outputs=[("thoughts", "(str):")])
    run.call(question(1), "{}", schema=True)
    assert parse_failures(list(model_calls(run.exchanges))) == 0


def test_a_body_that_is_no_json_is_a_call_all_the_same() -> None:
    run = Asked()
    run.call(question(1), "a")
    run.exchanges[0] |= {"request": "AAAA", "reply": None}
    (call,) = model_calls(run.exchanges)
    assert (call.text, call.input_tokens) == ("", 0)

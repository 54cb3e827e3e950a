"""Four ways to the same answers: what is read, what comes from the cache, what is paid."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.core.errors import UsageError
from grader.costs.alternatives import (
    FEW_SHOT,
    PLAIN,
    RAG,
    TUNED,
    Assumptions,
    QueryTokens,
    cacheable,
    four_ways,
    query_usages,
)
from grader.training_data.costs import load_prices

PRICES = load_prices()
MINI = "gpt-4.1-mini"
TOKENS = QueryTokens(system=20, question=30, answer=10, per_message=4, reply=3, estimated=False)


def test_each_way_reads_what_it_needs() -> None:
    usages = query_usages(TOKENS, Assumptions(shots=5, context_tokens=1000))
    assert usages[PLAIN].input == usages[TUNED].input == 53
    assert usages[FEW_SHOT].input == 53 + 5 * 44
    assert usages[RAG].input == 1053
    assert {usage.output for usage in usages.values()} == {10}
    assert {usage.cached for usage in usages.values()} == {0}


def test_what_is_known_better_is_taken() -> None:
    assumed = Assumptions(shots=0, prompt_tokens=900, tuned_prompt_tokens=40, answer_tokens=7)
    usages = query_usages(TOKENS, assumed)
    assert (usages[PLAIN].input, usages[TUNED].input) == (900, 40)
    assert usages[RAG].input == 1900
    assert {usage.output for usage in usages.values()} == {7}


@pytest.mark.parametrize(
    ("prompt", "beginning", "cached"),
    [(1023, 1023, 0), (1024, 1024, 1024), (1500, 1300, 1280), (3000, 900, 0), (5000, 2048, 2048)],
)
def test_the_cache_keeps_long_beginnings_in_steps(
    prompt: float, beginning: float, cached: float
) -> None:
    assert cacheable(prompt, beginning) == cached


def test_examples_are_cached_and_passages_are_not() -> None:
    assumed = Assumptions(shots=50, context_tokens=5000, cache_hits=1)
    usages = query_usages(TOKENS, assumed)
    assert usages[FEW_SHOT].cached == (20 + 50 * 44) // 128 * 128
    assert usages[RAG].cached == 0
    half = query_usages(TOKENS, replace(assumed, cache_hits=0.5))
    assert half[FEW_SHOT].cached == usages[FEW_SHOT].cached / 2


@given(
    st.integers(0, 1000),
    st.floats(0, 1e5) | st.none(),
    st.floats(0, 1e5),
    st.floats(0, 1),
)
def test_never_more_is_cached_than_read(
    shots: int, prompt: float | None, context: float, hits: float
) -> None:
    assumed = Assumptions(
        shots=shots, prompt_tokens=prompt, context_tokens=context, cache_hits=hits
    )
    for usage in query_usages(TOKENS, assumed).values():
        assert 0 <= usage.cached <= usage.input


def test_costs_worked_out_by_hand() -> None:
    assumed = Assumptions(
        shots=0,
        prompt_tokens=1500,
        tuned_prompt_tokens=250,
        answer_tokens=150,
        context_tokens=0,
        corpus_tokens=1_000_000,
        store_per_month=36.5,
        other_fixed=2.5,
        queries_per_day=100,
    )
    ways = four_ways(TOKENS, assumed, 1.5, MINI, MINI, PRICES).ways
    assert ways[PLAIN].per_query == pytest.approx(0.00084)
    assert ways[TUNED].per_query == pytest.approx(0.00068)
    assert ways[TUNED].fixed == pytest.approx(4.0)
    # 0.02 USD a million tokens embedded; 36.5 USD a month are 1.20 a day, 0.012 a query
    assert ways[RAG].fixed == pytest.approx(0.02)
    assert ways[RAG].per_query == pytest.approx(0.00084 + 30 * 0.02 / 1e6 + 0.012)


@pytest.mark.parametrize(
    ("tuned", "base", "says"),
    [
        ("gpt-5-nano", "gpt-5-nano", "no price as a fine-tuned model"),
        (MINI, "nobody-knows", "no price of nobody-knows. Known: gpt-4.1"),
    ],
)
def test_a_model_without_a_price_is_named(tuned: str, base: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        four_ways(TOKENS, Assumptions(), 1.0, tuned, base, PRICES)

"""When fine-tuning pays: checked numbers, and what must hold for any."""

from __future__ import annotations

import math
from datetime import date

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from grader.costs.break_even import (
    Alternative,
    BreakEven,
    BreakEvenRelation,
    Horizon,
    QueryTokenUsage,
    break_even,
    query_cost,
)
from grader.training_data.costs import Rates, load_prices, price_of

PRICES = load_prices()
LONG, SHORT = QueryTokenUsage(1500, 150), QueryTokenUsage(250, 150)
TRAINED_TOKENS = 300_000


def tuned(model: str) -> Alternative:
    price = price_of(model, PRICES)
    assert price
    assert price.ft
    assert price.train_per_m
    return Alternative(
        "tuned", TRAINED_TOKENS * price.train_per_m / 1e6, query_cost(SHORT, price.ft)
    )


def prompted(model: str, usage: QueryTokenUsage) -> Alternative:
    price = price_of(model, PRICES)
    assert price
    assert price.base
    return Alternative("base", 0.0, query_cost(usage, price.base))


@pytest.mark.parametrize(
    ("tuned_model", "base_model", "usage", "queries"),
    [
        ("gpt-4.1-mini", "gpt-4.1-mini", LONG, 9_375.0),
        ("gpt-4.1", "gpt-4.1", LONG, 4_545.45),
        ("gpt-4.1-mini", "gpt-4.1", LONG, 426.14),
        ("gpt-4.1-mini", "gpt-4.1-mini", QueryTokenUsage(1500, 150, cached=1250), None),
    ],
)
def test_volumes_worked_out_by_hand(
    tuned_model: str, base_model: str, usage: QueryTokenUsage, queries: float | None
) -> None:
    found = break_even(tuned(tuned_model), prompted(base_model, usage))
    if queries is None:
        assert found == BreakEven(BreakEvenRelation.NEVER)
        assert found.first is None
    else:
        assert found.queries == pytest.approx(queries, abs=0.01)
        assert found.first == math.ceil(queries)


def test_a_whole_number_of_queries_stays_one() -> None:
    assert break_even(tuned("gpt-4.1-mini"), prompted("gpt-4.1-mini", LONG)).first == 9_375


def test_a_cached_prompt_costs_what_was_worked_out_by_hand() -> None:
    assert prompted("gpt-4.1-mini", QueryTokenUsage(1500, 150, 1250)).per_query == pytest.approx(
        0.000465
    )
    assert tuned("gpt-4.1-mini").per_query == pytest.approx(0.00068)


@pytest.mark.parametrize("model", [name for name, row in PRICES.items() if row.ft and row.base])
def test_with_equal_prompts_on_the_same_base_it_never_pays(model: str) -> None:
    price = PRICES[model]
    assert price.ft
    assert price.base
    trained = Alternative("tuned", 1.0, query_cost(SHORT, price.ft))
    assert (
        break_even(trained, Alternative("base", 0.0, query_cost(SHORT, price.base))).first is None
    )


def test_without_a_price_for_cached_tokens_caching_saves_nothing() -> None:
    rates = Rates(3, None, 6)
    assert query_cost(QueryTokenUsage(100, 10, 60), rates) == pytest.approx(
        query_cost(QueryTokenUsage(100, 10), rates)
    )


AMOUNT = st.floats(1e-9, 1e4) | st.just(0.0)
WAY = st.builds(Alternative, st.just("way"), AMOUNT, AMOUNT)


@given(WAY, WAY, st.floats(0, 1e9))
def test_what_it_says_is_what_the_totals_say(
    mine: Alternative, other: Alternative, queries: float
) -> None:
    found = break_even(mine, other)
    dearer = mine.total(queries) - other.total(queries)
    # Nothing is claimed where rounding decides.
    assume(abs(dearer) > 1e-9 * max(mine.total(queries), other.total(queries)))
    match found.relation:
        case BreakEvenRelation.ALWAYS:
            assert dearer < 0
        case BreakEvenRelation.NEVER:
            assert dearer > 0 or queries == 0
        case BreakEvenRelation.FROM:
            assert found.queries is not None
            assert (dearer < 0) == (queries > found.queries)
        case BreakEvenRelation.UNTIL:
            assert found.queries is not None
            assert (dearer < 0) == (queries < found.queries)


@given(WAY, WAY)
def test_the_first_whole_number_is_the_first(mine: Alternative, other: Alternative) -> None:
    found = break_even(mine, other)
    assert (found.first is None) == (
        found.relation in (BreakEvenRelation.NEVER, BreakEvenRelation.UNTIL)
    )
    if found.first is not None and found.queries is not None:
        assert found.first - 1 < found.queries
        assert found.first >= found.queries * (1 - 1e-8)


RATES = st.builds(
    lambda price, share, out: Rates(price, price * share, out),
    st.floats(0, 100),
    st.floats(0, 1),
    st.floats(0, 100),
)


@given(RATES, st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1), st.floats(0, 1))
def test_caching_more_never_costs_more(
    rates: Rates, read: float, written: float, some: float, more: float
) -> None:
    less, most = sorted((some, more))
    dear = query_cost(QueryTokenUsage(read, written, read * less), rates)
    cheap = query_cost(QueryTokenUsage(read, written, read * most), rates)
    assert cheap <= dear * (1 + 1e-9)


def horizon(today: date, a_day: float = 200) -> Horizon:
    return Horizon(today, a_day, retires=date(2027, 1, 14), closes=date(2027, 1, 6))


def test_a_volume_beyond_the_models_end_does_not_pay() -> None:
    now = horizon(date(2026, 11, 21))
    assert now.days_left == 54
    assert now.queries_left == 10_800
    assert now.pays(BreakEven(BreakEvenRelation.FROM, 10_800))
    assert not now.pays(BreakEven(BreakEvenRelation.FROM, 10_801))
    assert not now.pays(BreakEven(BreakEvenRelation.NEVER))
    assert now.reached(401) == date(2026, 11, 24)


def test_where_training_is_closed_nothing_pays() -> None:
    assert horizon(date(2027, 1, 6)).trainable
    late = horizon(date(2027, 1, 7))
    assert not late.trainable
    assert not late.pays(BreakEven(BreakEvenRelation.ALWAYS))
    assert not Horizon(date(2027, 1, 14), 1, retires=date(2027, 1, 14)).trainable


def test_a_model_without_an_end_has_no_limit() -> None:
    free = Horizon(date(2026, 11, 21), 1)
    assert free.days_left is None
    assert free.pays(BreakEven(BreakEvenRelation.FROM, 1e15))
    assert free.reached(1e15) is None


@given(
    st.dates(),
    st.floats(1e-6, 1e9),
    st.none() | st.dates(),
    st.none() | st.dates(),
    st.floats(0, 1e15),
)
def test_any_dates_are_answered(
    today: date, a_day: float, retires: date | None, closes: date | None, queries: float
) -> None:
    found = Horizon(today, a_day, retires, closes)
    paying = found.pays(BreakEven(BreakEvenRelation.FROM, queries))
    assert not paying or found.trainable
    reached = found.reached(queries)
    assert reached is None or reached >= today

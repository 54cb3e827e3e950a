"""What a training costs, and when its model goes."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from grader.core.errors import UsageError
from grader.training_data import costs
from grader.training_data.costs import (
    automatic_epochs,
    load_prices,
    price_of,
    retirement_fault,
    training_context,
    training_cost,
)
from grader.training_data.tokens import TokenCounts

PRICES = load_prices()
COUNTS = TokenCounts(507, 40, 50.7, 60, 61, False, 10)


def override(tmp_path: Path, *rows: dict[str, Any], **document: Any) -> Path:
    path = tmp_path / "prices.json"
    whole = {"schema": "finegrade/prices/v1", "currency": "USD", "models": list(rows)}
    path.write_text(json.dumps(whole | document))
    return path


def row(model: str = "gpt-4o-mini-2024-07-18", **fields: Any) -> dict[str, Any]:
    return {"model": model, "train_per_m": 1, "valid_from": "2027-01-02", "source": "us"} | fields


def test_the_shipped_table_is_as_its_schema_says() -> None:
    schema = json.loads(costs._SCHEMA.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    table = json.loads(costs._OURS.read_text("utf-8"))
    checker = Draft202012Validator.FORMAT_CHECKER
    assert list(Draft202012Validator(schema, format_checker=checker).iter_errors(table)) == []
    assert len(table["models"]) == len(PRICES)
    fields = set(schema["$defs"]["model"]["properties"])
    assert all(set(model) == fields for model in table["models"])


def test_the_shipped_table_agrees_with_itself() -> None:
    for price in PRICES.values():
        tunable = price.train_per_m is not None or price.train_per_hour is not None
        assert tunable == (price.ft is not None)
        if price.ft and price.base:
            assert price.ft.input >= price.base.input
        if price.closes:
            assert price.retires
            assert price.closes <= price.retires


@pytest.mark.parametrize(
    ("examples", "epochs"),
    [
        *[(10, 10), (80, 3), (100, 3)],  # recorded from the service
        *[(1, 25), (4, 25), (5, 20), (33, 3), (34, 3), (8333, 3), (8334, 2), (10**7, 1)],
    ],
)
def test_epochs_that_the_service_chooses(examples: int, epochs: int) -> None:
    assert automatic_epochs(examples) == epochs


@given(st.integers(0, 10**9))
def test_any_number_of_examples_has_epochs(examples: int) -> None:
    assert 1 <= automatic_epochs(examples) <= 25


def test_a_training_costs_its_tokens_and_epochs() -> None:
    cost = training_cost(COUNTS, 10, "gpt-3.5-turbo", PRICES)
    assert (cost.epochs, cost.billed_tokens) == (10, 5070)
    assert cost.usd == pytest.approx(5070 * 8 / 1e6)
    assert (cost.train_per_m, cost.currency, cost.retires) == (8, "USD", "2026-10-23")
    assert training_cost(COUNTS, 10, "gpt-3.5-turbo", PRICES, epochs=2).billed_tokens == 1014


def test_an_estimate_stays_one() -> None:
    tokens = TokenCounts(507, 40, 50.7, 60, 61, True, 10)
    assert training_cost(tokens, 10, "gpt-4.1", PRICES).estimated


@pytest.mark.parametrize("model", ["gpt-5-nano", "o4-mini", "nobody-knows"])
def test_a_model_without_a_price_has_no_cost(model: str) -> None:
    cost = training_cost(COUNTS, 10, model, PRICES)
    assert (cost.usd, cost.billed_tokens) == (None, 5070)


def test_the_course_model_is_free_and_stays() -> None:
    assert training_cost(COUNTS, 10, "course-model", PRICES).usd == 0
    assert retirement_fault("course-model", PRICES, date(2100, 1, 1)) is None


def test_a_file_without_examples_costs_nothing() -> None:
    nothing = TokenCounts(0, 0, 0.0, 0, 0, False, 0)
    assert training_cost(nothing, 0, "gpt-4.1", PRICES).usd == 0


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini-2025-04-14"),
        ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"),
        ("gpt-4.1", "gpt-4.1-2025-04-14"),
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("gpt-4o-2024-11-20", None),
        ("gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
        ("ft:gpt-4o-mini-2024-07-18:school:quiz:abcd1234", "gpt-4o-mini-2024-07-18"),
        ("ft:gpt-4o-mini:school::abcd1234", "gpt-4o-mini-2024-07-18"),
        ("ft:gpt-3.5-turbo-1106:school::abcd1234:ckpt-step-10", "gpt-3.5-turbo"),
        ("davinci", None),
        ("gpt-4.1-micro", None),
        ("ft:", None),
        ("", None),
    ],
)
def test_which_row_a_name_means(name: str, found: str | None) -> None:
    price = price_of(name, PRICES)
    assert (price and price.model) == found


def test_the_training_context() -> None:
    assert training_context("gpt-4o-mini", PRICES) == 65_536
    assert training_context("course-model", PRICES) == 1024
    assert training_context("o4-mini", PRICES) == training_context("nobody-knows", PRICES) == 4096


@pytest.mark.parametrize(
    ("model", "today", "words"),
    [
        ("gpt-4.1-nano", date(2026, 10, 22), "is withdrawn with its fine-tunes on 2026-10-23"),
        ("gpt-4.1-nano", date(2026, 10, 23), "was withdrawn on 2026-10-23"),
        ("gpt-4o-mini", date(2026, 11, 6), None),
        ("gpt-4o-mini", date(2026, 11, 7), "can be trained until 2027-01-06 and is withdrawn"),
        ("gpt-4o-mini", date(2027, 1, 6), "can be trained until 2027-01-06"),
        ("gpt-4o-mini", date(2027, 1, 7), "can no longer be trained"),
        ("gpt-4o-mini", date(2027, 1, 14), "was withdrawn on 2027-01-14, and its fine-tunes"),
        ("ft:gpt-4o-mini:school::abcd1234", date(2028, 1, 1), "was withdrawn"),
        ("nobody-knows", date(2028, 1, 1), None),
        ("gpt-5-nano", date(2028, 1, 1), None),
    ],
)
def test_a_model_that_goes_is_named(model: str, today: date, words: str | None) -> None:
    fault = retirement_fault(model, PRICES, today)
    if words is None:
        assert fault is None
    else:
        assert fault
        assert fault.code == "TOK003"
        assert fault.message.startswith(model)
        assert words in fault.message


def test_an_instructors_row_replaces_or_adds(tmp_path: Path) -> None:
    ft = {"in": 2, "cached": None, "out": 4}
    path = override(tmp_path, row(), row("school-llm", train_per_m=0.5, ft=ft, context=8000))
    prices = load_prices(path)
    assert price_of("gpt-4o-mini", prices) == price_of("gpt-4o-mini-2024-07-18", prices)
    cost = training_cost(COUNTS, 10, "gpt-4o-mini", prices)
    assert (cost.train_per_m, cost.valid_from, cost.source) == (1, "2027-01-02", "us")
    assert retirement_fault("gpt-4o-mini", prices, date(2028, 1, 1)) is None
    assert training_context("school-llm", prices) == 8000
    assert prices["gpt-4.1-2025-04-14"] == PRICES["gpt-4.1-2025-04-14"]


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"train_per_m": -1}, r"\$\.models\[0\]\.train_per_m"),
        ({"train_per_m": "3"}, r"\$\.models\[0\]\.train_per_m"),
        ({"train_per_m": 10**12}, r"\$\.models\[0\]\.train_per_m"),
        ({"retires": "2027-02-31"}, r"\$\.models\[0\]\.retires"),
        ({"valid_from": "soon"}, r"\$\.models\[0\]\.valid_from"),
        ({"ft": {"in": 1}}, r"\$\.models\[0\]\.ft"),
        ({"price": 1}, r"\$\.models\[0\]"),
        ({"batch": 0}, r"\$\.models\[0\]\.batch"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, wrong: dict[str, Any], place: str) -> None:
    with pytest.raises(UsageError, match=rf"prices\.json: {place}: "):
        load_prices(override(tmp_path, row(**wrong)))


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"prices\.json: \$\.currency"):
        load_prices(override(tmp_path, row(), currency="EUR"))
    with pytest.raises(UsageError, match=r"gpt-4o-mini-2024-07-18 occurs twice"):
        load_prices(override(tmp_path, row(), row()))
    with pytest.raises(UsageError, match=r"none\.json: cannot be read"):
        load_prices(tmp_path / "none.json")
    (tmp_path / "broken.json").write_bytes(b'{"schema": ')
    with pytest.raises(UsageError, match=r"broken\.json: line 1: not valid JSON"):
        load_prices(tmp_path / "broken.json")
    (tmp_path / "large.json").write_bytes(b" " * (costs.PRICES_MAX_BYTES + 1))
    with pytest.raises(UsageError, match=r"large\.json: .* at most"):
        load_prices(tmp_path / "large.json")

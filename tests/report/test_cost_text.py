"""A comparison of costs in words and numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.costs.alternatives import Assumptions, CostStudy, study
from grader.report.cost import VOLUMES, cost_plot, head_lines, to_json, usd, verdict_lines
from grader.training_data.costs import load_prices

MINI = "gpt-4.1-mini"


@pytest.fixture
def train(tmp_path: Path) -> Path:
    lines = [{"question": f"What is {i} plus {i}?", "answer": str(2 * i)} for i in range(20)]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def compared(train: Path, model: str = MINI, day: str = "2026-11-21", **assumed: Any) -> CostStudy:
    day_ = date.fromisoformat(day)
    return study(train, model, model, load_prices(), Assumptions(**assumed), day_)


def words(some: CostStudy) -> str:
    return "\n".join(verdict_lines(some))


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0"),
        (1250.4, "1,250"),
        (3.2, "3.20"),
        (0.0315, "0.0315"),
        (0.000084, "0.000084"),
        (0.00000012345, "0.000000123"),
        (0.1, "0.1"),
    ],
)
def test_amounts_have_no_exponents(amount: float, text: str) -> None:
    assert usd(amount) == text


@given(st.floats(1e-12, 1e12))
def test_an_amount_can_be_read_back(amount: float) -> None:
    assert "e" not in usd(amount)
    assert float(usd(amount).replace(",", "")) == pytest.approx(amount, rel=0.006)


def test_the_head_says_what_training_costs(train: Path) -> None:
    text = " ".join(head_lines(compared(train)))
    assert "20 examples" in text
    assert "5 epochs (what the service chooses)" in text
    assert "Prices of 2026-10" in text


def test_never_is_said_with_the_reason(train: Path) -> None:
    assert "Against a plain prompt: it never pays: a tuned query costs" in words(compared(train))


def test_a_volume_is_said_with_its_day(train: Path) -> None:
    some = compared(train, shots=20, queries_per_day=100)
    (line,) = [line for line in verdict_lines(some) if line.startswith("Against RAG")]
    first = some.break_evens["RAG"].first
    assert first
    assert f"it pays from {first:,} queries on, at 100 a day on 2026-" in line


def test_a_volume_after_the_end_is_too_late(train: Path) -> None:
    text = words(compared(train, other_fixed=1000.0))
    assert "too late, the model is withdrawn on 2027-01-14" in text
    assert "54 days from 2026-11-21: 10,800 queries at 200 a day" in text


def test_what_can_no_longer_be_trained_is_said(train: Path) -> None:
    assert "can no longer be trained on 2027-01-10" in words(compared(train, day="2027-01-10"))
    assert "was withdrawn on 2026-10-23" in words(compared(train, "gpt-3.5-turbo"))
    assert "No end of course-model is known" in words(compared(train, "course-model"))


def test_a_dearer_set_up_elsewhere_makes_it_cheaper_for_a_while(train: Path) -> None:
    text = words(compared(train, context_tokens=0, corpus_tokens=1e9))
    assert "Against RAG: it is cheaper up to" in text


def test_what_caching_changes_is_said(train: Path) -> None:
    some = compared(train, shots=200)
    assert "With prompt caching" in words(some)
    assert "a few-shot prompt (200) come from the cache" in words(some)
    assert "With prompt caching" not in words(compared(train, shots=200, cache_hits=1.0))
    assert "With prompt caching" not in words(compared(train, shots=2))


def test_as_json_it_has_every_number(train: Path) -> None:
    document = json.loads(json.dumps(to_json(compared(train)), allow_nan=False))
    assert document["break_even"]["plain prompt"] == {
        "relation": "never",
        "queries": "never",
        "pays_before_retirement": False,
    }
    way = document["ways"]["RAG"]
    assert set(way["usd_total"]) == {str(volume) for volume in VOLUMES}
    million = way["usd_once"] + 1_000_000 * way["usd_per_query"]
    assert way["usd_total"]["1000000"] == pytest.approx(million)
    assert document["retirement"]["queries_left"] == 10_800
    free = to_json(compared(train, "course-model"))
    assert json.loads(json.dumps(free, allow_nan=False))["retirement"]["queries_left"] is None


def test_a_picture_of_either_format(train: Path) -> None:
    some = compared(train, shots=20)
    assert cost_plot(some, "png").startswith(b"\x89PNG")
    svg = cost_plot(some, "svg").decode()
    for text in ("few-shot prompt (20)", "plain prompt: always cheaper", "withdrawn 2027-01-14"):
        assert text in svg
    first = some.break_evens["RAG"].first
    assert f"{first:,} queries" in svg
    assert cost_plot(some, "svg") == svg.encode()


@pytest.mark.parametrize(
    "assumed",
    [
        {"queries_per_day": 1e9},
        {"queries_per_day": 1e-3},
        {"context_tokens": 0, "corpus_tokens": 1e9},
        {"other_fixed": 1e8},
        {"store_per_month": 1e6},
    ],
)
def test_extreme_numbers_are_drawn_as_well(train: Path, assumed: dict[str, Any]) -> None:
    for model in (MINI, "course-model", "gpt-3.5-turbo"):
        assert b"</svg>" in cost_plot(compared(train, model, **assumed), "svg")


def test_other_epochs_are_not_called_the_services(train: Path) -> None:
    some = compared(train)
    other = replace(some, training=replace(some.training, epochs=7))
    assert "(what the service chooses)" not in " ".join(head_lines(other))

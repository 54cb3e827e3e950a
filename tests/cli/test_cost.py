"""`finegrade cost` as users meet it: its output, its files, its exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from support.paths import SOLUTION

from grader.cli.main import main

TRAIN = SOLUTION / "openai_train.jsonl"


def cost(*arguments: str | Path, expect: int = 0) -> None:
    """Runs the command; capsys has what it printed."""
    argv = ["finegrade", "cost", *map(str, arguments)]
    with patch.object(sys, "argv", argv), pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code or 0) == expect


def test_it_compares_four_ways_and_says_when_it_pays(capsys: pytest.CaptureFixture[str]) -> None:
    cost(TRAIN, "--date", "2026-11-21", "--shots", "18")
    text = capsys.readouterr().out
    for way in ("plain prompt", "few-shot prompt", "RAG", "fine-tuned"):
        assert way in text
    assert "Against a plain prompt: it never pays" in text
    assert "withdrawn on 2027-01-14, 54 days from 2026-11-21" in text
    assert "1,000,000" in text


def test_json_stands_alone_on_stdout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "new" / "cost.svg"
    cost(TRAIN, "--format", "json", "--plot", picture, "--epochs", "3")
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["training"]["epochs"] == 3
    assert document["training"]["billed_tokens"] == 3 * document["tokens"]["total"]
    assert str(picture) in printed.err
    assert "</svg>" in picture.read_text()


def test_the_model_that_is_prompted_may_be_another(capsys: pytest.CaptureFixture[str]) -> None:
    cost(TRAIN, "--base-model", "gpt-4.1", "--date", "2026-11-21")
    assert "compared with prompting gpt-4.1-2025-04-14" in capsys.readouterr().out


def test_an_instructors_prices_are_taken(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rates = {"in": 1, "cached": None, "out": 2}
    row = {"model": "school-llm", "train_per_m": 10, "ft": rates, "base": rates}
    row |= {"valid_from": "2027-01", "source": "us"}
    prices = tmp_path / "prices.json"
    document = {"schema": "finegrade/prices/v1", "currency": "USD", "models": [row]}
    prices.write_text(json.dumps(document))
    cost(TRAIN, "--model", "school-llm", "--prices", prices)
    text = capsys.readouterr().out
    assert "Prices of 2027-01: us." in text
    assert "10 USD a million" in text
    assert "No end of school-llm is known" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.jsonl"], "there is no such file"),
        ([TRAIN, "--epochs", "51"], "a number from 1 to 50, or auto"),
        ([TRAIN, "--epochs", "many"], "a number from 1 to 50, or auto"),
        ([TRAIN, "--plot", "cost.pdf"], "ends in .png or .svg"),
        ([TRAIN, "--model", "nobody-knows"], "There is no price of nobody-knows"),
        ([TRAIN, "--model", "o4-mini"], "not trained at a price per token"),
        ([TRAIN, "--model", "gpt-5-nano"], "not trained at a price per token"),
        ([TRAIN.with_name("README.md")], "no usable example"),
    ],
)
def test_wrong_usage_is_told(
    arguments: list[str | Path], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cost(*arguments, expect=2)
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.out == ""


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    cost("--help")
    text = capsys.readouterr().out
    assert "with equal prompts it never pays" in " ".join(text.split())
    assert "Example: finegrade cost" in text

"""Who watches long work sees each stage come to its end, and changes nothing of what is found."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from grader.costs.alternatives import Assumptions, study
from grader.training_data.check import DEFAULT_MODEL, check_file
from grader.training_data.costs import load_prices
from grader.training_data.read.examples import read_examples, watched


class Watcher:
    """Notes each stage, what it is to come to, and how far it came."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []
        self.done: list[list[int]] = []

    def start(self, stage: str, total: int) -> None:
        self.stages.append((stage, total))
        self.done.append([])

    def advance(self, units: int) -> None:
        self.done[-1].append(units)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "train.jsonl"
    rows = ({"question": f"What is {n} plus {n}?", "answer": str(2 * n)} for n in range(1234))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_examples_pass_unchanged_and_are_counted_in_steps(file: Path) -> None:
    watcher = Watcher()
    seen = list(watched(read_examples(file), watcher, "Measuring", 1234))
    assert seen == list(watched(read_examples(file), None, "", 0)) == list(read_examples(file))
    assert watcher.done == [[500, 500, 234]]


def test_a_study_of_costs_is_watched_to_the_end(file: Path) -> None:
    watcher = Watcher()
    found = [
        study(
            file, DEFAULT_MODEL, DEFAULT_MODEL, load_prices(), Assumptions(), date(2026, 3, 1), *p
        )
        for p in ((None, watcher), ())
    ]
    assert found[0] == found[1]
    size = file.stat().st_size
    assert watcher.stages == [
        ("Reading train.jsonl", size),
        ("Counting tokens of train.jsonl", 1234),
        ("Measuring queries of train.jsonl", 1234),
    ]
    assert [sum(done) for done in watcher.done] == [size, 1234, 1234]


def test_a_check_tells_its_stages(file: Path) -> None:
    watcher = Watcher()
    check_file(file, model=DEFAULT_MODEL, progress=watcher)
    assert [stage.split()[0] for stage, _ in watcher.stages] == ["Reading", "Comparing", "Counting"]
    assert [sum(done) for done in watcher.done][-1] == 1234

"""Parts 1 and 2 of the sample classes: who submits what, and that none of it is a solution."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from support.classes import Silent
from support.paths import ROOT
from support.sandboxes import need_sandbox

from grader.assignment.load import load_assignment
from grader.cli.demo import run_demo
from grader.cli.demo_class import ASSIGNMENT, FULL, SMALL, write_programs
from grader.core.nouns import Outcome
from grader.report.exports.review_table import read_table

DEMO = ROOT / "starter" / "demo-class"
TOPIC = load_assignment(ASSIGNMENT).topic


def written(tmp_path: Path, name: str) -> dict[str, bytes]:
    write_programs(tmp_path, name, TOPIC)
    return {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_most_of_either_class_submit_all_three_parts() -> None:
    assert set(SMALL.programs) | set(SMALL.copies) == SMALL.students
    assert set(FULL.programs) <= FULL.students
    assert len(FULL.programs) >= 16


@pytest.mark.parametrize("name", sorted({*SMALL.programs.values(), *FULL.programs.values()}))
def test_each_program_is_there(name: str, tmp_path: Path) -> None:
    files = written(tmp_path, name)
    for script in {"dspy_enhanced.py", "openai_domain_finetune.py"} & set(files):
        ast.parse(files[script])
    assert "dspy_enhanced.py" in files


def test_the_demos_grader_decided_every_item_of_every_student() -> None:
    assignment = load_assignment(ASSIGNMENT)
    items = {(c.id, i.id): i.levels for c in assignment.criteria for i in c.items}
    rows = read_table((DEMO / SMALL.reviews).read_bytes(), SMALL.reviews)
    decided = {
        (row.cells["student"], row.cells["criterion"], row.cells["item"]): row.cells["level"]
        for row in rows
    }
    assert set(decided) == {(student, *item) for student in SMALL.students for item in items}
    assert all(level in items[place[1:]] for place, level in decided.items())
    assert len(decided) == len(rows)


def test_an_untouched_kit_holds_nothing_but_the_kit(tmp_path: Path) -> None:
    kit = ROOT / "starter" / ASSIGNMENT
    for name, data in written(tmp_path, "kit").items():
        assert data == (kit / name).read_bytes()


def test_training_and_test_questions_are_apart(tmp_path: Path) -> None:
    files = written(tmp_path, "s01-excellent")
    train, test = (
        {json.loads(line)["messages"][-2]["content"] for line in files[name].splitlines()}
        for name in ("openai_train.jsonl", "openai_test.jsonl")
    )
    assert len(train) >= 15
    assert len(test) >= 10
    assert not train & test


def test_no_program_repeats_a_function_of_the_solution() -> None:
    solution = ROOT / "solutions" / ASSIGNMENT
    stub = ROOT / "starter" / ASSIGNMENT

    def functions(folder: Path) -> set[str]:
        trees = (ast.parse(path.read_text(encoding="utf-8")) for path in folder.rglob("*.py"))
        nodes = (node for tree in trees for node in ast.walk(tree))
        return {ast.dump(n) for n in nodes if isinstance(n, ast.FunctionDef) and len(n.body) > 2}

    assert not functions(DEMO) & (functions(solution) - functions(stub))


@pytest.mark.live
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_no_program_earns_three_quarters_of_its_part(tmp_path: Path) -> None:
    """The whole demo, programs included: minutes."""
    done = run_demo(tmp_path / "demo", Silent(), SMALL, open_sandbox=need_sandbox)
    for result in done.results:
        assert not [f.note for f in result.findings if f.outcome is Outcome.ERROR]
        for part in ("dspy", "openai"):
            scores = [score for score in result.scores if score.part == part]
            most = sum(score.max_points for score in scores)
            assert sum(score.points or 0 for score in scores) <= 0.75 * most, result.student

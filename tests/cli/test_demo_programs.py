"""Parts 1 and 2 of the sample class: who hands in what."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.paths import ROOT

from grader.cli.demo import ASSIGNMENT, BROKEN, COPIER, PROGRAMS, RECIPES, write_programs


def written(tmp_path: Path, student: str) -> dict[str, bytes]:
    write_programs(tmp_path, student, ASSIGNMENT)
    return {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_at_least_sixteen_of_the_class_hand_in_all_three_parts() -> None:
    everyone = {recipe.student for recipe in RECIPES} | {COPIER} | set(BROKEN)
    assert set(PROGRAMS) <= everyone
    assert len(PROGRAMS) >= 16


@pytest.mark.parametrize("student", PROGRAMS)
def test_each_program_is_there(student: str, tmp_path: Path) -> None:
    assert {"dspy_enhanced.py", "openai_domain_finetune.py"} <= set(written(tmp_path, student))


def test_an_untouched_kit_holds_nothing_of_the_solution(tmp_path: Path) -> None:
    kit = ROOT / "starter" / ASSIGNMENT
    for name, data in written(tmp_path, "s23-untouched-kit").items():
        assert data == (kit / name).read_bytes()


def test_who_hands_in_part_3_alone_gets_nothing(tmp_path: Path) -> None:
    assert written(tmp_path, "s20-wrong-shape") == {}

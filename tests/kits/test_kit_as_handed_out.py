"""Every file of the untouched kit runs or says in one line what to write; so do the notebooks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT, SOLUTION
from support.waiting import PATIENCE

from grader.assignment.kit import write_kit
from grader.assignment.load import load_assignment
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.registry import all_checks
from grader.intake.notebooks import read_notebook

MOST_BLOCKS = 6
BLOCK = re.compile(r"^\s*### BEGIN SOLUTION: (.*)$", re.MULTILINE)
SEEN = re.compile(r"Seen in: .*(?:\b[A-Z]{3}\d{3}\b|what it prints)")
CODE = re.compile(r"\b[A-Z]{3}\d{3}\b")
SIMULATE = ("-m", "grader.cli.main", "simulate", "--port=0", "--time-scale=0")


def blocks(path: Path) -> list[str]:
    return BLOCK.findall(path.read_text("utf-8"))


@pytest.mark.parametrize("part", [part.id for part in load_assignment("llm-methods").parts])
def test_a_part_has_at_most_six_blocks_to_write(part: str) -> None:
    paths = {
        SOLUTION / path
        for deliverable in load_assignment("llm-methods").deliverables
        if deliverable.part == part
        for path in deliverable.paths
        if path.endswith((".py", ".md"))
    }
    assert 0 < sum(len(blocks(path)) for path in paths) <= MOST_BLOCKS


@pytest.mark.parametrize("path", sorted(SOLUTION.glob("*.py")), ids=lambda path: path.stem)
def test_a_block_says_what_to_write_and_how_it_is_seen(path: Path) -> None:
    for what in blocks(path):
        assert SEEN.search(what), what
        assert set(CODE.findall(what)) <= set(all_checks()), what


@pytest.mark.parametrize("path", sorted(SOLUTION.glob("*.md")), ids=lambda path: path.stem)
def test_a_template_has_one_line_to_fill_in_under_each_heading(path: Path) -> None:
    text = (ROOT / "starter" / "llm-methods" / path.name).read_text("utf-8")
    if path.name == "README.md":
        return
    _, *sections = re.split(r"^## .*\n", text, flags=re.MULTILINE)
    assert len(sections) == len(blocks(path)) >= 2
    for section in sections:
        assert re.fullmatch(r"\n_Write here: [^\n]+_\n+", section)


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("OPENAI_", "FINEGRADE_"))}
    own = {"PYTHONPATH": str(ROOT), "DSPY_CACHEDIR": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=kept | own | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


RUNS = ("openai_finetune", "dspy_example", "dspy_enhanced", "huggingface_lora", "compare")
STOPS = ("openai_domain_finetune", "huggingface_custom_lora", "inference", "trials")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kit of notebooks, each beside the script that the grader makes of it."""
    folder = tmp_path_factory.mktemp("handed-out") / "kit"
    write_kit("llm-methods", "educational-qa", folder, notebooks=True)
    for path in (folder / "data").glob("*.jsonl"):
        lines = path.read_text("utf-8").splitlines(keepends=True)
        if path.name != "passages.jsonl":
            path.write_text("".join(lines[:20]), "utf-8")
    for book in folder.glob("*.ipynb"):
        script = read_notebook(book.read_bytes(), book.name).script
        book.with_suffix(".py").write_text(script, "utf-8")
    assert {book.stem for book in folder.glob("*.ipynb")} == {*RUNS, *STOPS}
    return folder


@pytest.mark.live(sample=2, of="the notebooks of the kit")
@pytest.mark.parametrize("name", RUNS)
def test_a_notebook_runs_from_top_to_bottom(kit: Path, name: str) -> None:
    home = f"--home={kit.parent / f'home-{name}'}"
    done = run(kit, *SIMULATE, home, "--", sys.executable, f"{name}.py")
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.live(sample=2, of="the notebooks of the kit")
@pytest.mark.parametrize("name", [*STOPS, "extended_evaluation", "dspy_hybrid", "distill"])
def test_what_is_to_be_written_is_said_in_one_line(kit: Path, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "kit"
    shutil.copytree(kit, folder)
    done = run(folder, f"{name}.py")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "still to write: " in last or last.endswith("Write it first: README.md says how.")

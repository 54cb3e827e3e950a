"""Notebooks in place of scripts: judged by their cells' code, told in cells."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.examples.writers import COMPLETE
from support.notebooks import as_notebook, notebook
from support.paths import SOLUTION

from grader.assignment.load import load_assignment
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Context
from grader.checks.api.registry import all_checks, in_order, run_check
from grader.core.nouns import Finding, Outcome
from grader.intake.find import submission_at
from grader.intake.submission import take_in

SCRIPTS = ("dspy_enhanced", "openai_domain_finetune", "huggingface_custom_lora", "inference")
Judge = Callable[..., dict[str, Finding]]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Findings on the source of a complete submission with these notebooks in scripts' places."""

    def judged(**notebooks: bytes) -> dict[str, Finding]:
        home = tmp_path / "s01"
        COMPLETE(tmp_path)
        for name in SCRIPTS:
            shutil.copyfile(SOLUTION / f"{name}.py", home / f"{name}.py")
        for name, data in notebooks.items():
            (home / f"{name}.py").unlink()
            (home / f"{name}.ipynb").write_bytes(data)
        found = submission_at(home)
        assignment = load_assignment("llm-methods")
        submission = take_in(found, tmp_path, assignment.deliverables)
        context = Context(assignment, submission, {})
        findings: dict[str, Finding] = {}
        known = all_checks()
        codes = [c for c in known if c.startswith(("SRC", "LAY0")) and not known[c].evidence]
        for check in in_order(codes, context.assignment):
            findings[check.code] = run_check(check, context, findings, {})
        shutil.rmtree(home)
        return findings

    return judged


def solved(*names: str) -> dict[str, bytes]:
    """The solution's scripts of these names as notebooks."""
    return {name: as_notebook((SOLUTION / f"{name}.py").read_text()) for name in names}


def test_the_solutions_as_notebooks_are_judged_like_the_scripts(judge: Judge) -> None:
    scripts, notebooks = judge(), judge(**solved(*SCRIPTS))
    for findings in (scripts, notebooks):
        submitted = [f for f in findings.values() if not f.left_out]
        assert [f for f in submitted if f.outcome is not Outcome.PASS] == []
    assert scripts["SRC011"].measures == notebooks["SRC011"].measures
    assert "dspy_enhanced.ipynb" in notebooks["SRC012"].message
    assert "%pip install" in notebooks["SRC103"].message


def test_a_broken_notebook_costs_its_own_part_alone(judge: Judge) -> None:
    findings = judge(dspy_enhanced=b"{", inference=notebook("x = 1"))
    assert findings["SRC101"].outcome is Outcome.FAIL
    assert findings["SRC101"].location.path == "dspy_enhanced.ipynb"
    assert findings["SRC012"].outcome is Outcome.FAIL
    assert "SRC101" in findings["SRC012"].message
    assert findings["SRC013"].outcome is Outcome.PASS
    assert findings["SRC001"].outcome is Outcome.PASS
    assert findings["SRC102"].outcome is Outcome.PASS


def test_places_in_a_notebook_are_told_in_cells(judge: Judge) -> None:
    findings = judge(
        huggingface_custom_lora=notebook(
            "md:Words.", "x = 1", "def f():\n    raise NotImplementedError"
        ),
        inference=notebook("import torch", "\nimport datasets"),
    )
    assert "huggingface_custom_lora.ipynb" in findings["SRC002"].message
    assert "cell 2, line 2" in findings["SRC002"].message
    assert findings["SRC002"].location.line is None
    assert "cell 2, line 2" in findings["SRC008"].message


def test_a_cell_that_is_no_python_is_named(judge: Judge) -> None:
    finding = judge(inference=notebook("x = 1", "y = 2\nls -la data"))["SRC001"]
    assert finding.outcome is Outcome.FAIL
    assert finding.message == "inference.ipynb is not valid Python: cell 2, line 2: invalid syntax."
    assert "py_compile" not in finding.hint


@pytest.mark.parametrize("where", ["code", "output"])
def test_a_key_in_a_notebook_is_found_and_its_cell_named(where: str, judge: Judge) -> None:
    key = "sk-" + "aB3dE5gH7jK9mN1pQ3sT5vW7"
    book = json.loads(notebook("md:Words.", "x = 1", f'x = 2\nkey = "{key}"'))
    if where == "output":
        told = {"output_type": "stream", "name": "stdout", "text": [key]}
        book["cells"][2].update(source=["x = 2"], outputs=[told])
    finding = judge(inference=json.dumps(book, indent=1).encode())["SRC010"]
    assert finding.outcome is Outcome.FAIL
    place = "Cell 2, line 2" if where == "code" else "A text or an output"
    assert finding.message.startswith(f"{place} of 'inference.ipynb'")
    assert key not in finding.message
    assert finding.location.line is None


def test_lines_that_a_script_may_miss_are_named(judge: Judge) -> None:
    finding = judge(inference=notebook("x = 1", "!python train.py\nfiles = !ls"))["SRC103"]
    assert finding.outcome is Outcome.FAIL
    assert "cell 2, line 1 (!python train.py)" in finding.message
    assert "cell 2, line 2" in finding.message


def test_markdown_documents_a_notebook(judge: Judge) -> None:
    script = (SOLUTION / "inference.py").read_text()
    plain = judge(inference=notebook("x = 1", script))["SRC009"].measures
    told = judge(inference=notebook("md:Answers one question.", "x = 1", script))["SRC009"].measures
    assert all(told[name] > plain[name] for name in ("docstring_share", "comment_share"))

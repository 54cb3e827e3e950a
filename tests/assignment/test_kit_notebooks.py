"""Notebooks of a kit: the same programs as its scripts, in cells, and no deliverable twice."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import nbformat
import pytest
from support.paths import ROOT

from grader.assignment.kit import write_kit
from grader.assignment.kit_notebooks import is_runnable, notebook_of
from grader.assignment.load import load_assignment
from grader.core.errors import UsageError
from grader.intake.notebooks import read_notebook

TOPIC = "educational-qa"
STARTER = ROOT / "starter" / "llm-methods"
SCRIPTS = sorted(path for path in STARTER.glob("*.py") if is_runnable(path.read_text("utf-8")))
BONUS = {"extended_evaluation.py", "dspy_hybrid.py", "distill.py"}

SCRIPT = '''\
# python a.py --rank 4
"""A script.

It says more.
"""

import sys

# One thing.
ONE = 1
TWO = 2

# Another thing,
# with two lines.
THREE = 3


@str
# Why.
def f():
    return ONE


class A:
    pass


if __name__ == "__main__":
    print(f, sys.argv)
# The end.
'''


def cells(data: bytes) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(data)["cells"]]


def test_each_step_of_a_script_has_a_cell() -> None:
    install, title, *code = cells(notebook_of(SCRIPT, "sub/a.py"))
    assert "%pip install -q -r requirements.txt" in install
    assert '__file__ = "a.ipynb"' in install
    assert (
        title
        == "# a\n\nA script.\n\nIt says more.\n\nThe script of these cells: `python a.py --rank 4`"
    )
    assert code == [
        "import sys",
        "# One thing.\nONE = 1\nTWO = 2",
        "# Another thing,\n# with two lines.\nTHREE = 3",
        "@str\n# Why.\ndef f():\n    return ONE",
        "class A:\n    pass",
        'if __name__ == "__main__":\n    print(f, sys.argv)',
        "# The end.",
    ]


def test_what_does_not_say_how_to_run_it_has_no_notebook() -> None:
    assert is_runnable(SCRIPT)
    assert is_runnable("# finegrade simulate -- python a.py\n")
    assert not is_runnable((STARTER / "common.py").read_text("utf-8"))
    assert not is_runnable("x = 1\n")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_grader_reads_the_same_program_from_it(path: Path) -> None:
    source = path.read_text("utf-8")
    data = notebook_of(source, path.name)
    assert data == notebook_of(source, path.name)
    nbformat.validate(nbformat.reads(data.decode(), 4))  # type: ignore[no-untyped-call]
    book = read_notebook(data, f"{path.stem}.ipynb")
    assert [one.text.split()[0] for one in book.left_out] == ["%pip"]
    script, own = ast.parse(book.script).body, ast.parse(source).body[1:]
    set_up = len(script) - len(own)
    assert [ast.dump(node) for node in script[set_up:]] == [ast.dump(node) for node in own]
    assert "ipykernel" in ast.unparse(script[set_up - 1])


def test_a_kit_of_notebooks_holds_no_deliverable_twice(tmp_path: Path) -> None:
    names = write_kit("llm-methods", TOPIC, tmp_path / "kit", notebooks=True)
    scripts = write_kit("llm-methods", TOPIC, tmp_path / "scripts")
    assert {name for name in scripts if not name.endswith(".py")} < set(names)
    for path in SCRIPTS:
        assert (path.with_suffix(".ipynb").name in names) is (path.name not in BONUS)
    for deliverable in load_assignment("llm-methods").deliverables:
        assert sum(path in names for path in deliverable.paths) <= 1
    assert set(names) > BONUS
    assert {"common.py", "dspy_example.py"} < set(names)  # others import them
    assert write_kit("llm-methods", TOPIC, tmp_path / "kit.zip", notebooks=True) == names


def test_a_wheel_goes_beside_the_requirements(tmp_path: Path) -> None:
    wheel = tmp_path / "finegrade-1.2-py3-none-any.whl"
    wheel.write_bytes(b"PK")
    names = write_kit("llm-methods", TOPIC, tmp_path / "kit", wheel=wheel)
    assert wheel.name in names
    assert (tmp_path / "kit" / wheel.name).read_bytes() == b"PK"
    lines = (tmp_path / "kit" / "requirements.txt").read_text().splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("-")] == [["--find-links", "."]]
    assert any(line.startswith("finegrade[simulate]") for line in lines)
    for other in (tmp_path / "other-1.0.whl", tmp_path / "finegrade-9.whl"):
        with pytest.raises(UsageError, match="no wheel of finegrade"):
            write_kit("llm-methods", TOPIC, tmp_path / "no", wheel=other)

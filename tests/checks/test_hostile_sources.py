"""Work on hostile sources, notebooks and data ends: by a limit, or in step with their length."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.part2 import context, finding
from support.transcripts import TEST, TRAIN, good

from grader.checks import integrity
from grader.checks.api.context import Context
from grader.checks.views import domain_test
from grader.checks.views.control_flow import read_program
from grader.checks.views.syntax import SourceFault
from grader.core.constants import (
    COURSE_DATA_MAX_BYTES,
    NOTEBOOK_MAX_CELLS,
    SOURCE_MAX_BYTES,
    SOURCE_MAX_LINES,
)
from grader.core.errors import FileRefused
from grader.core.nouns import Outcome
from grader.intake.notebooks import read_notebook

METHOD = "class C:\n def c(self): pass\n"
SHAPES: dict[str, Callable[[int], str]] = {
    "imports": lambda n: "import " + ",".join(f"a{i}" for i in range(n)),
    "functions": lambda n: "\n".join(f"def f{i}(): f{i - 1}()" for i in range(n)),
    "chains": lambda n: "\n".join("x" + ".a" * 140 for _ in range(n // 10)),
    "calls in chains": lambda n: METHOD + "\n".join("f()" + ".c()" * 60 for _ in range(n // 10)),
    "methods of one name": lambda n: (
        "class C:\n" + "\n".join(" def f(self): self.f()" for _ in range(n)) + "\nC().f()\n" * 9
    ),
    "names that name each other": lambda n: METHOD + "a=b=C()\n" + "a=b;b=a;a.c()\n" * n,
    "returns": lambda n: "def f():\n" + " return x\n" * n + METHOD + "f().c()\n" * n,
    "tuples": lambda n: f"({','.join(['a'] * n)},)=({','.join(['a'] * n)},)",
    "keywords": lambda n: f"f({','.join(f'a{i}=1' for i in range(n))})",
    "blocks": lambda n: "with a: b()\n" * n,
}


def steps(source: str) -> int:
    """How many functions are called to follow a script and to ask of each call what it is on."""
    count = 0

    def counted(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        program = read_program(source.encode())
        for call in program.calls:
            program.receiver(call)
            program.is_used(call)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("shape", SHAPES)
def test_ten_times_the_source_is_some_ten_times_the_work(shape: str) -> None:
    few, many = (steps(SHAPES[shape](n)) for n in (150, 1500))
    assert many < 30 * few, (few, many)  # with the square it would be a hundred times


@pytest.mark.parametrize(
    "name",
    [
        b"import " + b".".join([b"a"] * 2_000),
        b"import b, " + b" . ".join([b"a"] * 2_000),
        b"from a" + b".\\\n a" * 2_000 + b" import b",
        b"x = " + "é".encode() + b".a" * 2_000,
    ],
)
def test_a_name_without_end_is_refused_before_python_reads_it(name: bytes) -> None:
    with pytest.raises(SourceFault, match="more than 150 levels"):
        read_program(name)


@pytest.mark.parametrize("honest", [b"import a.b.c.d\n", b"# " + b"1.2.3. " * 40 + b"\nx = 1\n"])
def test_an_honest_name_is_read(honest: bytes) -> None:
    assert read_program(honest).complete


def test_lines_are_counted_before_anything_else() -> None:
    with pytest.raises(SourceFault, match=f"{SOURCE_MAX_LINES + 1} lines; at most"):
        read_program(b"\n" * (SOURCE_MAX_LINES + 1))


def notebook(*sources: str, version: int = 4) -> bytes:
    cells = [{"cell_type": "code", "source": s, "metadata": {}, "outputs": []} for s in sources]
    old = {"worksheets": [{"cells": [{**c, "input": c["source"]} for c in cells]}]}
    body = {"cells": cells} if version == 4 else old
    return json.dumps({"nbformat": version, "nbformat_minor": 0, "metadata": {}, **body}).encode()


@pytest.mark.parametrize("version", [3, 4])
def test_a_notebook_of_too_many_cells_says_how_many_and_what_to_do(version: int) -> None:
    book = notebook(*["x = 1"] * 60_000, version=version)
    with pytest.raises(FileRefused, match="holds 60000 cells; at most 2000 are read") as refused:
        read_notebook(book, "a.ipynb")
    assert "your own work" in refused.value.hint
    assert read_notebook(notebook(*["x = 1"] * 300), "a.ipynb").script.count("x = 1") == 300
    assert NOTEBOOK_MAX_CELLS >= 300


def test_a_notebook_of_too_many_lines_is_refused() -> None:
    with pytest.raises(FileRefused, match=f"lines of code; at most {SOURCE_MAX_LINES}"):
        read_notebook(notebook("\n" * SOURCE_MAX_LINES + "x"), "a.ipynb")
    assert SOURCE_MAX_LINES < SOURCE_MAX_BYTES


def large(submitted: Context, name: str) -> Context:
    """The submission with this file far too large, taken in anew; no block of it is on the disk."""
    home = submitted.submission.root
    with (home / name).open("r+b") as file:
        file.truncate(20 * COURSE_DATA_MAX_BYTES)
    (home.parent / "again").mkdir()
    moved = home.rename(home.parent / "again" / "s01")
    from grader.intake.find import submission_at
    from grader.intake.submission import take_in

    assignment = submitted.assignment
    taken = take_in(submission_at(moved), moved.parent / "work", assignment.deliverables)
    return Context(assignment, taken, {})


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """No reader of data may be asked."""

    def refuse(*_: object) -> Any:
        raise AssertionError("it is read")

    for name in ("read_examples", "lines"):
        monkeypatch.setattr(domain_test, name, refuse)


def test_a_test_set_without_end_is_refused_unread(tmp_path: Path, unread: None) -> None:
    ctx = large(context(tmp_path, TRAIN, TEST), "openai_test.jsonl")
    found = finding("API020", ctx)
    assert found.outcome is Outcome.FAIL
    assert found.message == "'openai_test.jsonl' is larger than 8 MiB, the most that is read."
    assert found.hint
    assert finding("API021", ctx).outcome is Outcome.SKIP
    # A check that comes to it by another way fails for the same reason, and is no grader's error.
    again = finding("API002", ctx, good())
    assert (again.outcome, again.message) == (Outcome.FAIL, found.message)


def test_training_data_without_end_is_not_trained_on(tmp_path: Path) -> None:
    ctx = large(context(tmp_path, TRAIN, TEST), "openai_train.jsonl")
    found = finding("LAY022", ctx)
    assert found.outcome is Outcome.FAIL
    assert "openai_train.jsonl' is larger than 8 MiB" in found.message


def test_more_text_than_is_searched_for_leaks_is_for_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "LEAK_MAX_BYTES", 1_000)
    read: list[int] = []

    def leaks(path: Path, questions: object, most: int) -> list[Any]:
        read.append(most)
        return []

    monkeypatch.setattr(integrity, "leaks", leaks)
    from support.predictions import evidence

    from grader.checks.api.registry import all_checks, run_check

    ctx = context(tmp_path, "x" * 800, "y" * 900)
    ctx = Context(ctx.assignment, ctx.submission, {"before": evidence(0)})
    found = run_check(all_checks()["INT002"], ctx, {}, {})
    assert found.outcome is Outcome.REVIEW
    assert "were not" in found.note
    assert sum(read) <= 2 * 1_000

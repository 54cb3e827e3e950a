"""Notebooks as scripts: every cell's code, in order, with a way back from lines to cells."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import nbformat.v3
import nbformat.v4
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.waiting import PATIENCE

from grader.core.constants import NOTEBOOK_MAX_BYTES, NOTEBOOK_MAX_TOKENS, SOURCE_MAX_BYTES
from grader.core.errors import FileRefused
from grader.intake.notebooks import Notebook, Omission, in_cells, read_cells, read_notebook

NAME = "dspy_pipeline.ipynb"


def notebook(*cells: str, **metadata: Any) -> bytes:
    """A file as Jupyter writes it. A cell that begins with "md:" is Markdown."""
    book = nbformat.v4.new_notebook(metadata=metadata)
    for cell in cells:
        if cell.startswith("md:"):
            book.cells.append(nbformat.v4.new_markdown_cell(cell.removeprefix("md:")))
        else:
            output = nbformat.v4.new_output("stream", text="said before\n")
            book.cells.append(nbformat.v4.new_code_cell(cell, outputs=[output]))
    return nbformat.writes(book).encode()


def run(book: Notebook, folder: Path) -> subprocess.CompletedProcess[str]:
    script = folder / "x.py"
    script.write_text(book.script, encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=PATIENCE, cwd=folder
    )


def refusal(data: bytes) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        read_notebook(data, NAME)
    assert caught.value.path == NAME
    assert NAME in caught.value.message
    assert caught.value.hint
    return caught.value


def test_runs_the_code_cells_in_order(tmp_path: Path) -> None:
    data = notebook(
        "md:# Title",
        "%matplotlib inline\nx = 20",
        "md:!not a command",
        "for i in range(2):\n    x += 1\n    !echo 'no\nx",
        "%%time\nprint('answer', x)",
    )
    book = read_notebook(data, NAME)
    ended = run(book, tmp_path)
    assert (ended.stdout, ended.stderr) == ("answer 22\n", "")
    assert book.left_out == (
        Omission(1, 1, "%matplotlib inline", True),
        Omission(2, 3, "!echo 'no", False),
        Omission(3, 1, "%%time", True),
    )


def test_a_traceback_is_told_in_cells(tmp_path: Path) -> None:
    data = notebook(
        "md:words", "def f(x):\n    return 1 / x", "%%time\n\nfiles = !ls \\\n -l\nf(1)\nf(0)"
    )
    book = read_notebook(data, NAME)
    told = in_cells(run(book, tmp_path).stderr, book, "x.py")
    assert "  cell 2, line 6, in <module>\n" in told
    assert "  cell 1, line 2, in f\n" in told
    assert "x.py" not in told


def test_a_syntax_error_is_told_in_cells(tmp_path: Path) -> None:
    book = read_notebook(notebook("x = 1", "y = 2\nls -la data"), NAME)
    assert "cell 2, line 2" in in_cells(run(book, tmp_path).stderr, book, "x.py")


def test_other_files_and_lines_outside_of_cells_stay_as_they_are() -> None:
    book = read_notebook(notebook("x = 1"), NAME)
    text = (
        'File "/a/y.py", line 3\nFile "/a/max.py", line 3\nFile "x.py", line 1\n'
        'File "x.py", line 999999999\nFile "x.py", line 3333333333333333333\n'
    )
    assert in_cells(text, book, "x.py") == text
    assert in_cells('File "/box/x.py", line 3', book, "x.py") == "cell 1, line 1"
    assert in_cells("bad (x.py, line 3)", book, "x.py") == "bad (cell 1, line 1)"
    assert in_cells("bad (max.py, line 3)", book, "x.py") == "bad (max.py, line 3)"


def test_words_are_kept_in_order() -> None:
    assert read_notebook(notebook("md:One", "x = 1", "md:Two"), NAME).words == ("One", "Two")


def test_what_only_notebooks_know_works_in_the_script(tmp_path: Path) -> None:
    data = notebook(
        '"""Docstring."""\nx = 1',
        "from __future__ import annotations; y = 2\ndef f(a: Unknown): return a",
        "display(x, y)\nprint(f(3))",
    )
    book = read_notebook(data, NAME)
    ended = run(book, tmp_path)
    assert (ended.stdout, ended.stderr) == ("1 2\n3\n", "")


def test_a_docstring_and_future_import_at_the_top_stay_there() -> None:
    book = read_notebook(
        notebook('"""Says it."""\nfrom __future__ import annotations\nx = 1'), NAME
    )
    tree = ast.parse(book.script)
    compile(book.script, "x", "exec")
    assert ast.get_docstring(tree) == "Says it."


def test_a_future_import_stays_first_when_display_is_made_known(tmp_path: Path) -> None:
    code = "from __future__ import (\n  annotations,\n)\ndef f(a: Unknown): return a\ndisplay(f(3))"
    book = read_notebook(notebook(code), NAME)
    ended = run(book, tmp_path)
    assert (ended.stdout, ended.stderr) == ("3\n", "")
    assert [place for place in book.cell_of_line if place] == [(1, line) for line in range(1, 6)]


def test_no_cell_can_name_the_encoding(tmp_path: Path) -> None:
    book = read_notebook(notebook("# -*- coding: latin-1 -*-\nprint(len('é'))"), NAME)
    assert run(book, tmp_path).stdout == "1\n"


def test_the_map_has_a_place_for_every_line() -> None:
    cells = ("a = 1\nb = 2", "c = 3", "", "d = 4\r\ne = 5\rf = 6")
    book = read_notebook(notebook(*cells), NAME)
    lines = book.script.removesuffix("\n").split("\n")
    assert len(book.cell_of_line) == len(lines)
    placed = {place: line for place, line in zip(book.cell_of_line, lines, strict=True) if place}
    assert placed == {
        (1, 1): "a = 1", (1, 2): "b = 2", (2, 1): "c = 3", (3, 1): "",
        (4, 1): "d = 4", (4, 2): "e = 5", (4, 3): "f = 6",
    }  # fmt: skip


@pytest.mark.parametrize("version", [1, 2, 3])
def test_reads_notebooks_of_old_formats(version: int, tmp_path: Path) -> None:
    old: dict[str, Any]
    if version == 3:
        code = nbformat.v3.new_code_cell("print(1)\nx?", outputs=[], prompt_number=1)
        old = dict(nbformat.v3.new_notebook(
            worksheets=[nbformat.v3.new_worksheet(cells=[nbformat.v3.new_text_cell("markdown", "a"),
                                                        code])]
        ))  # fmt: skip
    elif version == 2:
        cells = [{"cell_type": "code", "input": "print(1)\nx?", "outputs": 5, "language": "python"}]
        old = {"nbformat": 2, "metadata": {}, "worksheets": [{"cells": cells}]}
    else:
        cells = [{"cell_type": "code", "code": "print(1)\nx?", "prompt_number": 1}]
        old = {"cells": cells}
        old["nbformat"] = 1
    book = read_notebook(json.dumps(old).encode(), NAME)
    assert run(book, tmp_path).stdout == "1\n"
    assert [one.text for one in book.left_out] == ["x?"]


def _v4(**changes: Any) -> dict[str, Any]:
    cell = {"cell_type": "code", "source": "x = 1", "metadata": {}, "outputs": []}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell | changes]}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a notebook's JSON"),
        (b"print('a script')", "not a notebook's JSON"),
        (b"[]", "a list"),
        (b"5", "holds 5"),
        (b"null", "nothing"),
        (b"{}", "without 'nbformat'"),
        (b'{"nbformat": 4, "nbformat": 3, "cells": []}', "appears twice"),
        (b'{"nbformat": 4, "cells": [NaN]}', "NaN"),
        (b'{"nbformat": 4, "cells": ' + b"[" * 90 + b"]" * 90 + b"}", "levels"),
        (b"\xff\xfe{\0}\0", "byte order mark"),
        (b'{"nbformat": true, "cells": []}', "format true"),
        (b'{"nbformat": 5, "cells": []}', "format 5"),
        (b'{"nbformat": "4", "cells": []}', "format the text '4'"),
        (b'{"nbformat": 4}', "nothing as its 'cells'"),
        (b'{"nbformat": 4, "cells": {}}', "an object as its 'cells'"),
        (b'{"nbformat": 4, "cells": [7]}', "7 as cell 1"),
        (b'{"nbformat": 3, "worksheets": 5}', "not built as that format asks"),
        (b'{"nbformat": 3, "worksheets": [{"cells": [[]]}]}', "not built as that format asks"),
        (b'{"nbformat": 3, "metadata": [], "worksheets": []}', "not built as that format asks"),
        (json.dumps(_v4(source=5)).encode(), "'source' is 5"),
        (json.dumps(_v4(source=["x", 5])).encode(), "'source' is a list"),
        (json.dumps(_v4(source=None)).encode(), "'source' is nothing"),
        (json.dumps(_v4(cell_type="heading")).encode(), "the text 'heading'"),
        (json.dumps(_v4(cell_type=[])).encode(), "'cell_type' is a list"),
        (b" " * (NOTEBOOK_MAX_BYTES + 1), "larger than 32 MiB"),
        pytest.param(
            b'{"nbformat": 4, "x": [%s[]]}' % (b"[]," * NOTEBOOK_MAX_TOKENS),
            "more than 1000000 brackets",
            id="tokens",
        ),
    ],
)
def test_says_what_makes_a_file_no_notebook(data: bytes, says: str) -> None:
    refused = refusal(data)
    assert refused.code == "SRC101"
    assert says in refused.message


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (notebook(), "no code"),
        (notebook("md:only words", "", "  \n"), "2 code cells, all of them empty"),
        (notebook("x = 1", kernelspec={"name": "ir", "display_name": "R", "language": "R"}), "'R'"),
        (notebook("x = 1", language_info={"name": "julia"}), "'julia'"),
        (notebook("x" * (SOURCE_MAX_BYTES + 1)), "bytes of code"),
        (notebook("md:a", "x = 1", "y = 1\nz = await f()"), "code cell 2, line 2"),
        (notebook("async for x in y:\n  pass"), "code cell 1, line 1"),
        (notebook("x = 1\nif x:\n  async with y: pass"), "code cell 1, line 3"),
        (notebook("x = [a async for a in b()]"), "code cell 1, line 1"),
    ],
)
def test_says_what_makes_a_notebook_no_script(data: bytes, says: str) -> None:
    refused = refusal(data)
    assert refused.code == "SRC102"
    assert says in refused.message


def test_await_inside_of_functions_is_a_scripts_too() -> None:
    code = "import asyncio\nasync def f():\n    await asyncio.sleep(0)\nasyncio.run(f())"
    assert code in read_notebook(notebook(code), NAME).script


@pytest.mark.parametrize("source", ["(" * 50_000, "-" * 100_000 + "1", "f(" * 3_000, "x = 1\0"])
def test_code_that_python_cannot_read_stays_for_the_checks_of_scripts(source: str) -> None:
    if "\0" in source:
        assert refusal(notebook(source)).code == "SRC101"
    else:
        assert source in read_notebook(notebook(source), NAME).script


def test_a_name_or_text_of_the_students_is_shown_safely() -> None:
    with pytest.raises(FileRefused) as caught:
        read_cells(json.dumps(_v4(cell_type="\x1b[2J\u202e" + "x" * 999)).encode(), "a\u202e.ipynb")
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "cells",
                    "worksheets",
                    "cell_type",
                    "source",
                    "input",
                    "nbformat",
                    "metadata",
                    "outputs",
                    "language_info",
                    "name",
                    "language",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(_JSON, st.sampled_from([1, 2, 3, 4, 5, None]))
def test_raises_nothing_but_refusals_on_any_json(value: Any, version: int | None) -> None:
    if isinstance(value, dict) and version is not None:
        value["nbformat"] = version
    with suppress(FileRefused):
        read_notebook(json.dumps(value).encode(), NAME)


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=30), max_size=5))
def test_every_line_of_every_cell_is_placed_once(sources: list[str]) -> None:
    with suppress(FileRefused):
        book = read_notebook(notebook(*("x\n" + source for source in sources)), NAME)
        lines = book.script.removesuffix("\n").split("\n")
        assert len(lines) == len(book.cell_of_line)
        places = [place for place in book.cell_of_line if place is not None]
        assert len(places) == len(set(places))
        assert sorted(places) == places

"""Notebooks of a kit, made from its scripts: the same code in cells."""

from __future__ import annotations

import ast
import re
from pathlib import PurePosixPath
from typing import Final

import nbformat
from nbformat import v4

_RUN: Final = re.compile(r"# ((?:finegrade .*-- )?python \S+\.py.*)")
_SET_UP: Final = """\
import sys

if "ipykernel" in sys.modules:  # in Jupyter: what a script has and a notebook lacks
    %pip install -q -r requirements.txt
    __file__ = "{name}"
    sys.argv[1:] = []  # options, as on the command line: ["--rank", "4"]"""


def is_runnable(source: str) -> bool:
    """Whether the first line of a kit's script says how to run it: only then it has a notebook."""
    return _RUN.match(source) is not None


def notebook_of(source: str, path: str) -> bytes:
    """The notebook of a script that is valid Python and begins with how to run it.

    The first cell installs what is needed and sets what only scripts have, the second says what the
    notebook is for. Then every function and class has a cell, and so has every group of statements
    that begins with a comment. The same script is always the same bytes.
    """
    name = PurePosixPath(path).with_suffix(".ipynb").name
    tree = ast.parse(source)
    lines = source.splitlines()
    how = _RUN.match(source)
    command = how[1] if how else path
    words = ast.get_docstring(tree) or ""
    text = f"# {PurePosixPath(path).stem}\n\n{words}\n\nThe script of these cells: `{command}`"
    sources = [_SET_UP.format(name=name), *_cells(tree, lines)]
    cells = [v4.new_code_cell(source) for source in sources]  # type: ignore[no-untyped-call]
    cells.insert(1, v4.new_markdown_cell(text))  # type: ignore[no-untyped-call]
    for number, cell in enumerate(cells, start=1):
        cell["id"] = f"cell-{number}"  # nbformat's own are random
    about = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book = v4.new_notebook(cells=cells, metadata=about)  # type: ignore[no-untyped-call]
    return f"{nbformat.writes(book)}\n".encode()  # type: ignore[no-untyped-call]


def _cells(tree: ast.Module, lines: list[str]) -> list[str]:
    """The source behind the docstring, in pieces at top level."""
    body = tree.body[1:] if ast.get_docstring(tree) is not None else tree.body
    end = tree.body[0].end_lineno or 0 if len(body) < len(tree.body) else 1
    starts: list[int] = []  # indices of lines
    for before, node in zip([None, *body], body, strict=False):
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
        while first > end and lines[first - 1].startswith("#"):
            first -= 1
        commented = lines[first].startswith("#") and not lines[first - 1].strip()
        if before is None or _is_block(before) or _is_block(node) or commented:
            starts.append(first)
        end = node.end_lineno or end
    rest = next((n for n in range(end, len(lines)) if lines[n].strip()), None)
    if rest is not None:  # comments alone
        starts.append(rest)
    pieces = zip(starts, [*starts[1:], len(lines)], strict=True)
    return ["\n".join(lines[start:stop]).strip("\n") for start, stop in pieces]


def _is_block(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.ClassDef | ast.If)

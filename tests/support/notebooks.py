"""Notebooks as students make them of their scripts."""

from __future__ import annotations

import ast
from itertools import pairwise

import nbformat
import nbformat.v4

SET_UP = ("%pip install -q openai dspy", "!ls\n%matplotlib inline")


def notebook(*cells: str) -> bytes:
    """A file as Jupyter writes it, always the same. A cell that begins with "md:" is Markdown."""
    book = nbformat.v4.new_notebook()
    for number, text in enumerate(cells):
        words = text.removeprefix("md:")
        new = nbformat.v4.new_code_cell if words == text else nbformat.v4.new_markdown_cell
        book.cells.append(new(words, id=f"cell-{number}"))
    return (nbformat.writes(book) + "\n").encode()


def as_notebook(script: str) -> bytes:
    """The script in cells of one top-level statement each, after cells that set a notebook up."""
    lines = script.split("\n")
    tree = ast.parse(script)
    begins = [
        min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
        for node in tree.body
    ]
    cuts = [0, *(line - 1 for line in begins[1:]), len(lines)]
    cells = ["\n".join(lines[a:b]).strip("\n") for a, b in pairwise(cuts)]
    return notebook("md:# My work\n\nWhat it does and why.", *SET_UP, *cells)

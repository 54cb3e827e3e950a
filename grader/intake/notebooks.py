"""Converts a Jupyter notebook to a Python script, and line numbers of the script back to cells.

This runs in the grader's own process. A notebook is JSON, which `strict_json` reads; the rest is
work on strings. No cell is executed, no output is read, nothing is rendered: nbconvert has run what
notebooks told it to. nbformat only upgrades notebooks from before version 4 (2015): its reader
takes a number for a cell's source, and fails in ways of its own on other JSON.
"""

from __future__ import annotations
import __future__

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from grader.core.constants import (
    DATA_MAX_DEPTH,
    MIB,
    NOTEBOOK_MAX_BYTES,
    NOTEBOOK_MAX_CELLS,
    NOTEBOOK_MAX_TOKENS,
    SOURCE_MAX_BYTES,
    SOURCE_MAX_LINES,
)
from grader.core.errors import FileRefused
from grader.core.strict_json import Problem, StrictJsonError, loads
from grader.intake.magics import plain_python
from grader.intake.paths import shown

_UNREADABLE = "SRC101"
_NO_SCRIPT = "SRC102"
_SAVE_AGAIN = "Open the notebook in Jupyter or Colab, clear all outputs, save it and submit it."
_FIRST_LINE = "# notebook"  # so that no cell's first line can name another encoding
_DISPLAY = "display = lambda *objects, **_: print(*objects)"
_NEWLINE = re.compile(r"\r\n?")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: "code", "markdown" or "raw", and its text with "\\n" between the lines."""

    kind: str
    source: str


@dataclass(frozen=True, slots=True)
class Omission:
    """A part of a notebook that its script omits, by code cell and line, both 1-based.

    `harmless` says that the script works without it.
    """

    cell: int
    line: int
    text: str
    harmless: bool


@dataclass(frozen=True, slots=True)
class Notebook:
    """The script of a notebook's code cells, in order.

    `cell_of_line` says of each of the script's lines which code cell it is from and which line of
    that cell it is, both counted from 1, cells without code left aside; None for lines of ours.
    `words` are the cells of Markdown, in order.
    """

    script: str
    cell_of_line: tuple[tuple[int, int] | None, ...]
    left_out: tuple[Omission, ...]
    words: tuple[str, ...]

    def place(self, line: int) -> str | None:
        """Where in the notebook a line of the script (from 1) is from, or None."""
        inside = 1 <= line <= len(self.cell_of_line)
        cell = self.cell_of_line[line - 1] if inside else None
        return f"cell {cell[0]}, line {cell[1]}" if cell else None


def read_cells(data: bytes, path: str) -> tuple[Cell, ...]:
    """The cells of a notebook file.

    Raises FileRefused SRC101 when the bytes are no notebook, and SRC102 when it is one of another
    language. `path` is its name inside the submission.
    """
    try:
        root = loads(
            data,
            max_bytes=NOTEBOOK_MAX_BYTES,
            max_depth=DATA_MAX_DEPTH,
            max_tokens=NOTEBOOK_MAX_TOKENS,
        )
    except StrictJsonError as error:
        raise _not_json(error, path) from None
    if not isinstance(root, dict) or "nbformat" not in root:
        found = "a JSON object without 'nbformat'" if isinstance(root, dict) else _kind(root)
        raise _unreadable(f"holds {found}; a notebook is an object with 'nbformat'", path)
    version = root["nbformat"]
    if type(version) is not int or version not in (1, 2, 3, 4):
        raise _unreadable(f"says it has format {_kind(version)}; formats up to 4 are read", path)
    count = _without_outputs(root)
    if count > NOTEBOOK_MAX_CELLS:
        raise _unreadable(
            f"holds {count} cells; at most {NOTEBOOK_MAX_CELLS} are read",
            path,
            "Submit the notebook with the cells of your own work alone.",
        )
    if version < 4:
        root = _upgraded(root, path)
    _refuse_other_languages(root, path)
    cells = root.get("cells")
    if not isinstance(cells, list):
        raise _unreadable(f"has {_kind(cells)} as its 'cells'; a list is expected", path)
    return tuple(_cell(cell, number, path) for number, cell in enumerate(cells, 1))


def read_notebook(data: bytes, path: str) -> Notebook:
    """The script of a notebook file, to be written as UTF-8.

    A cell that is no valid Python is taken as it is: the script then says so as any other does.
    Raises what `read_cells` raises, and FileRefused SRC102 when there is no code, more than
    SOURCE_MAX_BYTES or SOURCE_MAX_LINES of it, or an `await` outside of functions, which only
    notebooks have.
    """
    cells = read_cells(data, path)
    sources = [cell.source for cell in cells if cell.kind == "code"]
    if not any(source.strip() for source in sources):
        raise FileRefused(
            _NO_SCRIPT,
            f"{shown(path)!r} holds no code: {len(sources)} code cells, all of them empty.",
            "Submit the notebook in which your program stands, saved after your last change.",
            path,
        )
    lines = sum(source.count("\n") + 1 for source in sources)
    if lines > SOURCE_MAX_LINES:
        raise FileRefused(
            _NO_SCRIPT,
            f"{shown(path)!r} holds {lines} lines of code; at most {SOURCE_MAX_LINES} are read.",
            "Move data out of the code into files of their own.",
            path,
        )
    size = sum(len(source.encode()) for source in sources)
    if size > SOURCE_MAX_BYTES:
        raise FileRefused(
            _NO_SCRIPT,
            f"{shown(path)!r} holds {size} bytes of code; at most {SOURCE_MAX_BYTES} are read.",
            "Move data out of the code into files of their own.",
            path,
        )
    return _script(sources, tuple(c.source for c in cells if c.kind == "markdown"), path)


def in_cells(text: str, notebook: Notebook, script: str) -> str:
    """Replace the script's places in a traceback or warning by places in the notebook.

    `script` is the file name under which the script was run. `File "/box/x.py", line 12` becomes
    `cell 3, line 2`, and so does `x.py, line 12` in a syntax error's text; lines that are no cell's
    stay as they are.
    """
    name = re.escape(script)
    place = re.compile(rf'(?:File "(?:[^"\n]*/)?{name}"|(?<=\(){name}), line (\d{{1,9}})(?!\d)')

    def in_notebook(match: re.Match[str]) -> str:
        return notebook.place(int(match[1])) or match[0]

    return place.sub(in_notebook, text)


def _not_json(error: StrictJsonError, path: str) -> FileRefused:
    if error.problem is Problem.SIZE:
        limit = NOTEBOOK_MAX_BYTES // MIB
        return _unreadable(f"is larger than {limit} MiB, the most that is read", path)
    if error.problem is Problem.TOKENS:
        return _unreadable(f"holds {error.message}; a notebook holds far fewer", path)
    return _unreadable(f"is not a notebook's JSON: line {error.line}: {shown(error.message)}", path)


def _unreadable(what: str, path: str, hint: str = _SAVE_AGAIN) -> FileRefused:
    return FileRefused(_UNREADABLE, f"{shown(path)!r} {what}.", hint, path)


def _kind(value: Any) -> str:
    """The type of a JSON value, as messages name it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            return f"the text {shown(value, 40)!r}"
        case list():
            return "a list"
        case _:
            return "an object"


def _upgraded(root: dict[str, Any], path: str) -> dict[str, Any]:
    """Upgrade a notebook of version 1 to 3 to version 4."""
    import nbformat

    root.setdefault("metadata", {})
    try:
        old = nbformat.from_dict(root)  # type: ignore[no-untyped-call]
        upgraded = nbformat.convert(old, 4)  # type: ignore[no-untyped-call]
    except Exception:  # it trusts the shape of what it gets, and raises what that leads to
        what = f"says it has format {root['nbformat']}, but is not built as that format asks"
        raise _unreadable(what, path) from None
    return dict(upgraded)


def _without_outputs(value: Any) -> int:
    """Empty every list of outputs, since they are not used and the upgrade of old formats is strict
    about them; returns how many cells there are."""
    waiting, cells = [value], 0
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if "outputs" in one:
                one["outputs"] = []
            cells += "cell_type" in one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return cells


def _refuse_other_languages(root: dict[str, Any], path: str) -> None:
    metadata = root.get("metadata")
    for holder, key in (("language_info", "name"), ("kernelspec", "language")):
        about = metadata.get(holder) if isinstance(metadata, dict) else None
        language = about.get(key) if isinstance(about, dict) else None
        if isinstance(language, str) and language.lower() not in ("python", "ipython", "python3"):
            raise FileRefused(
                _NO_SCRIPT,
                f"{shown(path)!r} is a notebook for the language {shown(language, 40)!r}; Python "
                "is expected.",
                "Submit a notebook with a Python kernel.",
                path,
            )


def _cell(cell: Any, number: int, path: str) -> Cell:
    if not isinstance(cell, dict):
        raise _unreadable(f"has {_kind(cell)} as cell {number}; an object is expected", path)
    kind, source = cell.get("cell_type"), cell.get("source")
    if not isinstance(kind, str) or kind not in ("code", "markdown", "raw"):
        what = f"has a cell {number} whose 'cell_type' is {_kind(kind)}"
        raise _unreadable(f"{what}; code, markdown or raw is expected", path)
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        what = f"has a cell {number} whose 'source' is {_kind(source)}"
        raise _unreadable(f"{what}; a text or a list of texts is expected", path)
    return Cell(kind, _NEWLINE.sub("\n", source))


def _script(sources: list[str], words: tuple[str, ...], path: str) -> Notebook:
    cells: list[list[str]] = []
    left_out: list[Omission] = []
    trees: list[ast.Module | None] = []
    for number, source in enumerate(sources, 1):
        lines, dropped = plain_python(source)
        left_out += [Omission(number, d.line, d.text, d.harmless) for d in dropped]
        tree = _tree(lines)
        if tree is not None:
            _refuse_top_level_await(tree, number, path)
        cells.append(lines)
        trees.append(tree)
    script = [_FIRST_LINE, *_before_cells(cells, trees)]
    cell_of_line: list[tuple[int, int] | None] = [None] * len(script)
    for number, lines in enumerate(cells, 1):
        script += [f"# %% cell {number}", *lines]
        cell_of_line += [None, *((number, line) for line in range(1, len(lines) + 1))]
    return Notebook("\n".join(script) + "\n", tuple(cell_of_line), tuple(left_out), words)


def _tree(lines: list[str]) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" and the like are the script's own business
            return ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _refuse_top_level_await(tree: ast.Module, number: int, path: str) -> None:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp):
            waits = any(part.is_async for part in node.generators)
        else:
            waits = isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith)
        if waits:
            line = getattr(node, "lineno", 1)
            raise FileRefused(
                _NO_SCRIPT,
                f"{shown(path)!r}: code cell {number}, line {line} waits for something outside of "
                "any function; only a notebook's own kernel can do that, and the grader runs the "
                "cells as a script.",
                "Put the code into `async def main(): ...` and call `asyncio.run(main())`; in "
                "Jupyter itself, hand that in as a .py file.",
                path,
            )
        waiting += ast.iter_child_nodes(node)


def _before_cells(cells: list[list[str]], trees: list[ast.Module | None]) -> list[str]:
    """The lines before all cells that keep their meaning in a script.

    A notebook takes `from __future__` in any cell and knows `display`; a script takes the one at
    its top only, and does not know the other. Imports that go to the top are taken out of `cells`.
    """
    known = [tree for tree in trees if tree is not None]
    shows = any(
        isinstance(node, ast.Name) and node.id == "display"
        for tree in known
        for node in ast.walk(tree)
    )
    futures = [(n, node) for n, tree in enumerate(trees) for node in _futures(tree)]
    first = next((n for n, tree in enumerate(trees) if tree is None or tree.body), 0)
    above: list[str] = []
    if futures and (shows or any(n != first for n, _ in futures)):
        names: dict[str, None] = {}
        for n, node in reversed(futures):
            _replace(cells[n], node)
            names |= {alias.name: None for alias in node.names}
        above.append(f"from __future__ import {', '.join(sorted(names))}")
    return [*above, _DISPLAY] if shows else above


def _futures(tree: ast.Module | None) -> Iterator[ast.ImportFrom]:
    """The cell's imports from __future__ that do not change other cells."""
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            harmless = set(__future__.all_feature_names) - {"barry_as_FLUFL"}
            if all(alias.name in harmless for alias in node.names):
                yield node


def _replace(lines: list[str], node: ast.stmt) -> None:
    """Put `pass` where the statement stands, keeping every other line in its place."""
    start, end = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    before = lines[start].encode()[: node.col_offset].decode()
    after = lines[end].encode()[node.end_col_offset :].decode()
    lines[start : end + 1] = [f"{before}pass{after}", *[""] * (end - start)]

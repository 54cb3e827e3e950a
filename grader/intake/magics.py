"""Converts a notebook cell to Python: removes IPython's syntax and keeps line numbers.

`%`, `!` and `?` have a meaning for IPython only at a statement's beginning, at its end (`?`) or
after an assignment's `=`. Python's own tokenizer finds these places, so IPython, with thirty
packages behind it, is not needed.
"""

from __future__ import annotations

import re
import tokenize
from dataclasses import dataclass

from grader.intake.paths import shown

# The rest of the cell is ordinary code that runs in the notebook.
_AROUND_CODE = frozenset({"time", "capture", "prun"})
# The rest of the cell is no program, or one whose result only a browser shows.
_HARMLESS_CELLS = frozenset({"html", "HTML", "javascript", "js", "latex", "markdown", "svg"})
# They set up or show the notebook itself, or install what a grader's machine has or lacks anyway.
_HARMLESS_LINES = frozenset(
    {
        *("aimport", "autoreload", "autosave", "colors", "conda", "config", "dirs", "doctest_mode"),
        *("history", "load_ext", "ls", "lsmagic", "magic", "mamba", "matplotlib", "notebook"),
        *("page", "pdb", "pdef", "pdoc", "pfile", "pinfo", "pinfo2", "pip", "pprint", "precision"),
        *("psource", "pwd", "quickref", "reload_ext", "tensorboard", "unload_ext", "uv", "who"),
        *("who_ls", "whos", "xmode"),
    }
)
_HARMLESS_COMMAND = re.compile(
    r"!+[ \t]*(?:(?:sudo[ \t]+)?(?:apt|apt-get|conda|mamba|nvidia-smi|pip3?|uv|ls|pwd|which)"
    r"|python3?[ \t]+-m[ \t]+pip)(?![\w.-])(?:(?!&&|;|`|\$\().)*+"
)
_CELL_MAGIC = re.compile(r"%%(\w+)")
_CAPTURES = re.compile(r"%%capture[ \t]+(?:--\S+[ \t]+)*+\w")  # what was printed gets a name
_LINE_MAGIC = re.compile(r"(?P<indent>[ \t]*)(?P<sign>[%!?])(?P<name>\w*)[ \t]*(?P<rest>.*)")
_TIMED = re.compile(r"(?P<indent>[ \t]*)(?:%time(?!\w)[ \t]*+(?=.))++")  # before what stays
_ASSIGNED = re.compile(r"[ \t]*+(?:%|!(?!=))")  # after an `=`
_HELP = re.compile(r"[ \t]*[\w.*\[\]]++[ \t]*\?{1,2}[ \t]*;?[ \t]*")
_INSTEAD = "pass  # magic"  # a block may hold nothing else
_SHOWN_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class RemovedMagic:
    """A removed text: its first line (1-based) in the cell, and the text itself.

    `harmless` says that a script works without it.
    """

    line: int
    text: str
    harmless: bool


def plain_python(source: str) -> tuple[list[str], list[RemovedMagic]]:
    """The cell's lines as Python, as many as `source` has, and the removed texts.

    A `%time` before a statement, a `%%time` or `%%capture` before a cell go, and what they stand
    before stays. Lines that are no Python for another reason stay as they are. Any text is taken;
    time grows with its length alone.
    """
    lines = _dedented(source.split("\n"))
    dropped: list[RemovedMagic] = []
    at = _first_text(lines, 0)
    while at < len(lines) and (magic := _CELL_MAGIC.match(lines[at])):
        kept = magic[1] in _AROUND_CODE
        harmless = magic[1] in _HARMLESS_CELLS or (kept and not _CAPTURES.match(lines[at]))
        dropped.append(RemovedMagic(at + 1, shown(lines[at].strip(), _SHOWN_CHARACTERS), harmless))
        end = at + 1 if kept else len(lines)
        lines[at:end] = [""] * (end - at)
        at = _first_text(lines, end)
    while at < len(lines):
        at = _past_statement(lines, at, dropped)
    return lines, dropped


def _dedented(lines: list[str]) -> list[str]:
    """Remove the first line's indentation from every line, as IPython does."""
    first = next((line for line in lines if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip(" \t"))]
    return [line.removeprefix(indent) for line in lines]


def _first_text(lines: list[str], at: int) -> int:
    while at < len(lines) and not lines[at].strip():
        at += 1
    return at


def _past_statement(lines: list[str], at: int, dropped: list[RemovedMagic]) -> int:
    """Convert the statement that begins at `at`; return where the next one begins."""
    if timed := _TIMED.match(lines[at]):
        lines[at] = timed["indent"] + lines[at][timed.end() :]
    line = lines[at]
    if not line.strip() or line.lstrip().startswith("#"):
        return at + 1
    if magic := _LINE_MAGIC.fullmatch(line):
        return _drop(lines, at, at, _is_harmless(magic), dropped)
    if _HELP.fullmatch(line):
        return _drop(lines, at, at, True, dropped)
    end, assigned = _tokenized(lines, at)
    if assigned is None:
        return end
    row, column = assigned
    if timed := _TIMED.match(lines[row], column):
        lines[row] = f"{lines[row][:column]} {lines[row][timed.end() :]}"
        if not _ASSIGNED.match(lines[row], column):
            return _last_row(lines, row) + 1  # IPython ends it here, too
    return _drop(lines, at, row, False, dropped)


def _is_harmless(magic: re.Match[str]) -> bool:
    match magic["sign"]:
        case "%":
            return magic["name"] in _HARMLESS_LINES
        case "!":
            return _HARMLESS_COMMAND.fullmatch(magic[0].strip()) is not None
        case _:
            return True


def _drop(lines: list[str], at: int, row: int, harmless: bool, dropped: list[RemovedMagic]) -> int:
    """Remove the lines from `at` to `row`, and those that backslashes add to it."""
    row = _last_row(lines, row)
    line = lines[at]
    text = " ".join(part.removesuffix("\\").strip() for part in lines[at : row + 1])
    dropped.append(RemovedMagic(at + 1, shown(text, _SHOWN_CHARACTERS), harmless))
    indent = line[: len(line) - len(line.lstrip())]
    lines[at : row + 1] = [indent + _INSTEAD, *[""] * (row - at)]
    return row + 1


def _last_row(lines: list[str], row: int) -> int:
    """The last of the rows that backslashes add to this one; itself without any."""
    while lines[row].endswith("\\") and row + 1 < len(lines):
        row += 1
    return row


def _tokenized(lines: list[str], at: int) -> tuple[int, tuple[int, int] | None]:
    """Where the statement at `at` ends, and the row and column after an `=` that a magic follows.

    The tokenizer reads line by line, and is left as soon as the statement ends.
    """
    read = at

    def readline() -> str:
        nonlocal read
        if read == len(lines):
            return ""
        read += 1
        return lines[read - 1] + "\n"

    depth = 0
    try:
        for token in tokenize.generate_tokens(readline):
            row, column = at + token.end[0] - 1, token.end[1]
            if token.type == tokenize.NEWLINE:
                return at + token.start[0], None
            if token.string in ("(", "[", "{"):
                depth += 1
            elif token.string in (")", "]", "}"):
                depth -= 1
            elif token.string == "=" and depth == 0 and _ASSIGNED.match(lines[row], column):
                return row + 1, (row, column)
    except (tokenize.TokenError, SyntaxError):  # Python will say so
        pass
    return read, None

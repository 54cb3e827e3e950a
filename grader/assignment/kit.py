"""Starter kits: what students get, made from the solutions and checked against an allow-list.

A solution marks what students write with `### BEGIN SOLUTION: what to write` and
`### END SOLUTION`, as nbgrader does. The starter has in the place of each block the code that
stands in comments behind `### STARTER`, or else a stub that ends the program with what to write.
"""

from __future__ import annotations

import ast
import json
import re
import stat
import textwrap
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from grader.assignment.load import load_assignment
from grader.assignment.rubric_text import RUBRIC_NAME, rubric_markdown
from grader.core.constants import COURSE_MODEL, KIT_LINE_CHARACTERS, STILL_TO_WRITE
from grader.core.errors import GraderFault, UsageError
from grader.core.files import resource
from grader.core.nouns import Assignment, Budget

_MARKER = re.compile(
    r"(?P<indent>[ \t]*)### (?:(?P<edge>BEGIN|END) SOLUTION(?:: (?P<what>\S.*?))?|STARTER)[ \t]*"
)
_LOOKS_LIKE_MARKER = re.compile(r"\b(BEGIN|END)[\s_-]*SOLUTION\b", re.IGNORECASE)
_WITHOUT_TEXT = "this part"
GIVEN = "given.txt"
"""In a solution's folder: the files that students get whole, one name a line."""
_STRIPPED = (".py", ".md")
_README = "README.md"
_STARTER = frozenset({".py", ".md", ".txt", ".ipynb", ".json"})
_DATA = frozenset({".jsonl", ".md"})
_MODEL = frozenset({".json", ".safetensors", ".jinja", ".md"})
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can hold: the same kit is the same bytes


@dataclass(slots=True)
class _Block:
    """A solution block as far as it is read; `starter` is None before `### STARTER`."""

    line: int
    indent: str
    what: str
    starter: list[str] | None = None


def strip_solution(source: str, path: str) -> str:
    """The source with what students begin with in the place of each solution block.

    In Python that is the code in comments between `### STARTER` and the block's end, or a stub,
    `raise SystemExit("FILE, still to write: ...")`; in Markdown "_Write here: ..._". `path` names
    the file in messages. Raises UsageError for a block that is nested, not closed or not opened,
    for a marker that is misspelt, for a starter that is no comment, and for Python that is invalid
    without its solutions.
    """
    kept: list[str] = []
    block: _Block | None = None
    for number, line in enumerate(source.splitlines(keepends=True), start=1):
        marker = _MARKER.fullmatch(line.rstrip("\r\n"))
        where = f"{path}, line {number}"
        if marker is None:
            if _LOOKS_LIKE_MARKER.search(line):
                raise UsageError(
                    f"{where}: this is nearly a solution marker. Write '### BEGIN SOLUTION: what "
                    "to write' or '### END SOLUTION' alone on the line."
                )
            if block is None:
                kept.append(line)
            elif block.starter is not None:
                block.starter.append(_uncommented(line, block.indent, where))
        elif marker["edge"] == "BEGIN":
            if block is not None:
                raise UsageError(f"{where}: the block begun on line {block.line} is not ended yet.")
            block = _Block(number, marker["indent"], marker["what"] or _WITHOUT_TEXT)
        elif block is None:
            raise UsageError(f"{where}: {marker[0].strip('# ')} stands outside of a block.")
        elif marker["edge"] is None:
            block.starter = []
        elif marker["what"]:
            raise UsageError(f"{where}: what to write stands behind BEGIN SOLUTION, not END.")
        else:
            kept += _beginning(path, block)
            block = None
    if block is not None:
        raise UsageError(f"{path}, line {block.line}: this solution block is never ended.")
    starter = "".join(kept)
    if path.endswith(".py"):
        _refuse_invalid(starter, path)
    return starter


def _uncommented(line: str, indent: str, where: str) -> str:
    """A line of code that stands in a comment of the solution."""
    code = line.removeprefix(f"{indent}#")
    if code == line:
        raise UsageError(f"{where}: code behind '### STARTER' stands in comments: '# code'.")
    code = code.removeprefix(" ")
    return f"{indent}{code}" if code.strip() else code


def _beginning(path: str, block: _Block) -> list[str]:
    """What a student finds in the place of a block."""
    if path.endswith(".md"):
        return [f"_Write here: {block.what}_\n"]
    if block.starter is not None:
        width = KIT_LINE_CHARACTERS - len(block.indent) - 2
        comment = textwrap.wrap(f"To write: {block.what}", width, break_on_hyphens=False)
        return [*(f"{block.indent}# {line}\n" for line in comment), *block.starter]
    told = f"{path.rpartition('/')[2]}, {STILL_TO_WRITE} {block.what}"
    line = f"{block.indent}raise SystemExit({_literal(told)})\n"
    if len(line) <= KIT_LINE_CHARACTERS:
        return [line]
    inner = f"{block.indent}    "
    width = KIT_LINE_CHARACTERS - len(inner) - 2
    pieces = textwrap.wrap(told, width, break_on_hyphens=False, drop_whitespace=False)
    texts = [f"{inner}{_literal(piece)}\n" for piece in pieces]
    return [f"{block.indent}raise SystemExit(\n", *texts, f"{block.indent})\n"]


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _refuse_invalid(starter: str, path: str) -> None:
    try:
        ast.parse(starter)
    except SyntaxError as error:
        raise UsageError(
            f"{path}: without its solutions, line {error.lineno} of the starter is no valid "
            f"Python ({error.msg}). Move the markers."
        ) from error


def starter_files(assignment_id: str) -> dict[str, bytes]:
    """The starter of an assignment as its solution makes it: contents by relative path.

    Files with solution blocks are stripped, files named in `given.txt` come whole, and anything
    that students make themselves (data sets, adapters, numbers) stays out. README.md ends with the
    assignment's budget. Needs a checkout, since
    solutions are not installed. Raises UsageError when a .py or .md file has neither blocks nor a
    line in `given.txt`, so that no solution is handed out by mistake.
    """
    folder = Path(__file__).parents[2] / "solutions" / assignment_id
    if not folder.is_dir():
        raise UsageError(f"solutions/{assignment_id} is not there.")
    listed = folder / GIVEN
    given = set(listed.read_text("utf-8").split()) if listed.is_file() else set()
    files: dict[str, bytes] = {}
    for path in _regular_files(folder):
        name = path.relative_to(folder).as_posix()
        if name in given:
            files[name] = path.read_bytes()
        elif path.suffix in _STRIPPED:
            source = path.read_text("utf-8")
            starter = strip_solution(source, f"solutions/{assignment_id}/{name}")
            if starter == source:
                raise UsageError(
                    f"solutions/{assignment_id}/{name} has no solution block. Mark what students "
                    f"write, or name the file in {GIVEN} to hand it out whole."
                )
            files[name] = starter.encode()
    absent = sorted(given - set(files))
    if absent:
        raise UsageError(f"solutions/{assignment_id}/{GIVEN} names {absent[0]}, which is missing.")
    if _README in files:
        files[_README] += budget_in_words(load_assignment(assignment_id).budget).encode()
    return files


def budget_in_words(budget: Budget) -> str:
    """The section of a kit's README on what a submission's programs may use together."""
    return (
        "\n## Time at grading\n\nAt grading, all runs of your programs together may take "
        f"{budget.wall_seconds:.0f} seconds,\n{budget.processor_seconds:.0f} of them on a "
        "processor. While a program waits for the service's own work or for a busy\nmachine, no "
        "time counts. What comes after these seconds is not run.\n"
    )


def kit_files(assignment_id: str, topic: str) -> dict[str, Path]:
    """What a kit holds: source files by their path inside it.

    An allow-list: scripts and texts of the starter, the topic's public data as `data/`, and the
    course model. Raises UsageError when there is no such kit.
    """
    try:
        parts = [
            ("", resource("starter", assignment_id), _STARTER),
            ("data", resource("datasets", topic), _DATA),
            (COURSE_MODEL, resource("starter", COURSE_MODEL), _MODEL),
        ]
    except GraderFault as error:
        raise UsageError(f"There is no kit for {assignment_id} with {topic}: {error}") from error
    found: dict[str, Path] = {}
    for prefix, folder, suffixes in parts:
        for path in _regular_files(folder):
            if path.suffix in suffixes:
                found[(PurePosixPath(prefix) / path.relative_to(folder)).as_posix()] = path
    return dict(sorted(found.items()))


def _regular_files(folder: Path) -> list[Path]:
    """Every file below a folder but hidden and cached ones; UsageError on a symlink."""
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(part.startswith((".", "__")) for part in parts):
            continue
        if path.is_symlink():
            raise UsageError(f"{'/'.join(parts)} is a link; a kit holds only files.")
        if any("hidden" in part.lower() for part in parts):
            raise UsageError(f"{'/'.join(parts)} looks like a hidden set; keep it elsewhere.")
        if path.is_file():
            found.append(path)
    return found


def write_kit(
    assignment_id: str,
    topic: str,
    dest: Path,
    assignment: Assignment | None = None,
    claims: Mapping[str, str] = MappingProxyType({}),
    *,
    notebooks: bool = False,
    wheel: Path | None = None,
) -> list[str]:
    """Write a starter kit as a folder, or as an archive if `dest` ends in ".zip".

    RUBRIC.md in it is made from the `assignment`, the installed one of that id where none is given,
    with the titles of its checks (`claims`).
    With `notebooks`, scripts that may be submitted as notebooks are notebooks, and the others that
    can be run have one beside them. A `wheel` of finegrade goes beside requirements.txt, for
    machines without a package index that has it. Returns the paths inside the kit, in order. Raises
    UsageError when `dest` exists and is not an empty folder, when there is no such kit, and when
    the wheel is none. The archive of the same kit is always the same bytes.
    """
    files: dict[str, Path | bytes] = dict(kit_files(assignment_id, topic))
    loaded = assignment or load_assignment(assignment_id)
    files[RUBRIC_NAME] = rubric_markdown(loaded, claims).encode()
    if notebooks:
        files = _with_notebooks(files, loaded)
    if wheel is not None:
        files[_wheel_name(wheel)] = wheel
    files = dict(sorted(files.items()))
    if dest.suffix == ".zip":
        if dest.exists():
            raise UsageError(f"{dest} is there already. Remove it, or name another.")
        dest.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(dest, "x") as archive:
            for name, source in files.items():
                entry = zipfile.ZipInfo(name, _ZIP_TIME)
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                entry.create_system = 3  # Unix, wherever it is written
                archive.writestr(entry, _contents(source), zipfile.ZIP_DEFLATED, 9)
        return list(files)
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise UsageError(f"{dest} is there already and not empty. Name an empty or new folder.")
    for name, source in files.items():
        target = dest / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_contents(source))
    return list(files)


def _with_notebooks(
    files: dict[str, Path | bytes], assignment: Assignment
) -> dict[str, Path | bytes]:
    """The files with notebooks of the scripts.

    Of a deliverable there is one form, so that no two are submitted: the notebook where that is
    accepted, else the script.
    """
    from grader.assignment.kit_notebooks import is_runnable, notebook_of  # nbformat takes a while

    accepted = {path for deliverable in assignment.deliverables for path in deliverable.paths}
    found: dict[str, Path | bytes] = {}
    for name, contents in files.items():
        stem, _, suffix = name.rpartition(".")
        notebook = f"{stem}.ipynb"
        source = _contents(contents).decode() if suffix == "py" else ""
        if is_runnable(source) and (name not in accepted or notebook in accepted):
            found[notebook] = notebook_of(source, name)
        if notebook not in accepted or notebook not in found:
            found[name] = contents
    return found


def _wheel_name(wheel: Path) -> str:
    """The name of a wheel of finegrade; UsageError for another file."""
    if not wheel.is_file() or not re.fullmatch(r"finegrade-.+\.whl", wheel.name):
        raise UsageError(f"{wheel} is no wheel of finegrade; `python -m build --wheel` makes one.")
    return wheel.name


def _contents(source: Path | bytes) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()

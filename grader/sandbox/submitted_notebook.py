"""A notebook that was handed in where a script is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final

from grader.constants import NOTEBOOK_MAX_BYTES
from grader.errors import FileRefused
from grader.intake import open_file
from grader.model import Submission
from grader.sandbox.notebooks import Notebook, read_notebook

SUFFIX: Final = ".ipynb"


def is_notebook(path: str) -> bool:
    """Whether a file of this name is one."""
    return path.endswith(SUFFIX)


def script_name(path: str) -> str:
    """Under which path its script lies when it is run or imported: `a/x.ipynb` is `a/x.py`."""
    return str(PurePosixPath(path).with_suffix(".py"))


@dataclass(frozen=True, slots=True)
class ProgramSource:
    """What is run of a program that was handed in: `script`, with `inputs` laid over the folder.

    Of a notebook the script lies in `inputs`, and `notebook` holds it under the script's file name.
    """

    script: str
    inputs: Mapping[str, bytes]
    notebook: tuple[str, Notebook] | None


def program_source(submission: Submission, path: str) -> ProgramSource:
    """What to run of the program at this path: itself, or the script of a notebook.

    Raises what `submitted_notebook` raises.
    """
    if not is_notebook(path):
        return ProgramSource(path, {}, None)
    notebook, script = submitted_notebook(submission, path), script_name(path)
    inputs = {script: notebook.script.encode()}
    return ProgramSource(script, inputs, (PurePosixPath(script).name, notebook))


def submitted_notebook(submission: Submission, path: str) -> Notebook:
    """The notebook at this path of the submission.

    Raises FileRefused as `read_notebook` does, and what `open_file` raises.
    """
    found = _read(submission, path)
    if isinstance(found, Notebook):
        return found
    raise FileRefused(*found, path)


@lru_cache(maxsize=8)  # the checks of one submission run one after another
def _read(submission: Submission, path: str) -> Notebook | tuple[str, str, str]:
    """The notebook, or the code, message and hint of its refusal.

    A submission's equality is that of its files' hashes. An exception is not kept: it would hold
    on to all that was read.
    """
    with open_file(submission, path) as file:
        data = file.read(NOTEBOOK_MAX_BYTES + 1)  # one more shows that it is too large
    try:
        return read_notebook(data, path)
    except FileRefused as refused:
        return refused.code, refused.message, refused.hint

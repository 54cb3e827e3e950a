"""Notebooks that were submitted where a script is expected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final

from grader.core.constants import NOTEBOOK_MAX_BYTES
from grader.core.errors import FileRefused
from grader.core.nouns import Deliverable, Submission
from grader.intake.notebooks import Notebook, read_notebook
from grader.intake.submission import open_file

SUFFIX: Final = ".ipynb"


def is_notebook(path: str) -> bool:
    """Whether a file of this name is a notebook."""
    return path.endswith(SUFFIX)


def is_script(deliverable: Deliverable) -> bool:
    """Whether a Python script is asked for."""
    return any(path.endswith(".py") for path in deliverable.paths)


def script_name(path: str) -> str:
    """The path of a notebook's script in a run: `a/x.py` for `a/x.ipynb`."""
    return str(PurePosixPath(path).with_suffix(".py"))


@dataclass(frozen=True, slots=True)
class ProgramSource:
    """A submitted program to run: `script`, with `inputs` laid over the folder.

    Scripts of notebooks lie in `inputs`; `notebooks` holds these by their scripts' file names.
    """

    script: str
    inputs: Mapping[str, bytes]
    notebooks: Mapping[str, Notebook]


def program_source(
    submission: Submission, path: str, deliverables: Iterable[Deliverable] = ()
) -> ProgramSource:
    """The source of the program at this path: the script itself, or that of a notebook.

    It may import the other `deliverables`, be they scripts or notebooks.
    Raises what `submitted_notebook` raises for the program itself.
    """
    notebooks = notebook_scripts(submission, deliverables)
    script = path
    if is_notebook(path):
        script = script_name(path)
        notebooks[script] = submitted_notebook(submission, path)
    inputs = {name: notebook.script.encode() for name, notebook in notebooks.items()}
    return ProgramSource(
        script, inputs, {PurePosixPath(name).name: one for name, one in notebooks.items()}
    )


def notebook_scripts(
    submission: Submission, deliverables: Iterable[Deliverable]
) -> dict[str, Notebook]:
    """The notebooks submitted as scripts, by `script_name`; without refused ones."""
    found = {}
    for deliverable in deliverables:
        if not is_script(deliverable):
            continue
        try:
            path = submission.place(deliverable.id)
            if path is not None and is_notebook(path):
                found[script_name(path)] = submitted_notebook(submission, path)
        except FileRefused:  # a check says so
            continue
    return found


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

"""SRC1xx: notebooks that are submitted where a script is asked for.

The cells' code, in order, is what is run and read. SRC012 and SRC013 say of one program each that
this works, so that a broken notebook of one part costs nothing in another.
"""

from __future__ import annotations

from collections.abc import Iterator

from grader.checks.api.context import Context, Verdict, failed, passed
from grader.checks.api.registry import check
from grader.core.errors import FileRefused
from grader.core.nouns import Deliverable, Severity
from grader.core.text import counted
from grader.intake.notebooks import Notebook, Omission
from grader.intake.paths import shown
from grader.intake.submitted_notebook import is_notebook, is_script, submitted_notebook

_LISTED = 5  # places in one message


@check("SRC012", deliverables=("dspy_script",), needs=("LAY010",))
def dspy_program_can_be_run(context: Context) -> Verdict:
    """The DSPy program is a script, or a notebook that can be run as one

    Why: The grader imports your program and asks it questions. Of a notebook it takes the code of
    all cells, in order.

    Fix: In Jupyter restart the kernel, run all cells, save, and submit that file; or submit the
    script.
    """
    return _can_be_run(context, "dspy_script")


@check("SRC013", deliverables=("openai_script",), needs=("LAY022",))
def openai_workflow_can_be_run(context: Context) -> Verdict:
    """The OpenAI workflow is a script, or a notebook that can be run as one

    Why: The grader runs your workflow against a service of its own. Of a notebook it takes the code
    of all cells, in order.

    Fix: In Jupyter restart the kernel, run all cells, save, and submit that file; or submit the
    script.
    """
    return _can_be_run(context, "openai_script")


@check("SRC101")
def notebooks_can_be_read(context: Context) -> Verdict:
    """Every notebook can be read

    Why: A notebook is a JSON file that Jupyter, Colab or an editor writes. One that was cut off,
    was edited by hand or is another file under its name has no cells to run.

    Fix: Open it in Jupyter or Colab, clear all outputs, save it, and submit that file.
    """
    return _none_has(context, "SRC101")


@check("SRC102")
def notebooks_hold_a_script(context: Context) -> Verdict:
    """Every notebook holds a script

    Why: The code cells are run one after another, as a Python script. A notebook without code, in
    another language, or with `await` outside of a function is none.

    Fix: Submit the notebook in which your program stands, with a Python kernel. Put code that
    waits into `async def main(): ...` and call `asyncio.run(main())`.
    """
    return _none_has(context, "SRC102")


@check("SRC103", severity=Severity.WARNING)
def notebooks_do_without_commands(context: Context) -> Verdict:
    """Every notebook does its work in Python

    Why: Lines that begin with `%` or `!` are commands to the notebook or to the shell, which a
    script does not know; they are left out. Installing packages or showing plots is not missed,
    another program or a captured output is.

    Fix: Do it in Python: `shutil.copy` instead of `!cp`, a function instead of `!python other.py`.
    """
    missed: list[str] = []
    harmless: list[str] = []
    for path, found in _notebooks(context):
        if isinstance(found, Notebook):
            for left in found.left_out:
                (harmless if left.harmless else missed).append(_told(path, left))
    if missed:
        return failed(
            f"Left out, although the program may need it: {_some(missed)}.",
            "Write Python instead, or remove the line if nothing needs it.",
        )
    if harmless:
        return passed(f"Left out, as a script does not need it: {_some(harmless)}.")
    return passed("Nothing had to be left out.")


def _told(path: str, left: Omission) -> str:
    return f"{shown(path)} cell {left.cell}, line {left.line} ({left.text})"


def _some(places: list[str]) -> str:
    more = len(places) - _LISTED
    return "; ".join(places[:_LISTED]) + (f"; and {more} more" if more > 0 else "")


def _can_be_run(context: Context, role: str) -> Verdict:
    """Whether the program of this deliverable, which is there, can be run."""
    for path, found in _notebooks(context, context.deliverable(role)):
        if isinstance(found, FileRefused):
            text = f"{shown(path)!r} cannot be run as a script; {found.code} says why."
            return failed(text, found.hint, path=path)
        cells = len({cell for cell, _ in filter(None, found.cell_of_line)})
        return passed(f"{shown(path)!r} is run as a script of {counted(cells, 'cell')}.")
    return passed("It is a script.")


def _none_has(context: Context, code: str) -> Verdict:
    looked_at = 0
    for path, found in _notebooks(context):
        looked_at += 1
        if isinstance(found, FileRefused) and found.code == code:
            return failed(found.message, found.hint, path=path)
    if not looked_at:
        return passed("There is no notebook, and none has to be.")
    return passed(f"It holds for {counted(looked_at, 'notebook')}.")


def _notebooks(
    context: Context, *deliverables: Deliverable
) -> Iterator[tuple[str, Notebook | FileRefused]]:
    """Every script that was submitted as a notebook, or why it is none: (path, that)."""
    for deliverable in deliverables or context.assignment.deliverables:
        if not is_script(deliverable):
            continue
        try:
            path = context.submission.place(deliverable.id)
        except FileRefused:  # LAY002 says so
            continue
        if path is None or not is_notebook(path):
            continue
        try:
            yield path, submitted_notebook(context.submission, path)
        except FileRefused as refused:
            yield path, refused

"""SRC1xx: notebooks that are submitted where a script is asked for.

The cells' code, in order, is what is run and read. SRC012 and SRC013 say of one program each that
this works, so that a broken notebook of one part costs nothing in another. SRC014 to SRC016 say
that its run came to begin: a program that stops while it is imported is one finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final, TypedDict

from grader.checks.api.context import Context, EvidenceRole, Verdict, failed, passed
from grader.checks.api.registry import check
from grader.checks.views.reported_results import ending
from grader.checks.views.scripts import read_script
from grader.checks.views.syntax import SourceFault
from grader.checks.views.transcript import transcript
from grader.core.errors import FileRefused
from grader.core.nouns import Deliverable, Severity
from grader.core.payloads import Answers, MetricScores, ProgramRun
from grader.core.text import counted
from grader.intake.notebooks import Notebook, Omission
from grader.intake.paths import shown
from grader.intake.submitted_notebook import is_notebook, is_script, submitted_notebook
from grader.training_data.rules.rule import quoted

_PROGRAM: Final = EvidenceRole("dspy_enhanced", Answers)
_METRIC: Final = EvidenceRole("dspy_metric", MetricScores)
_WORKFLOW: Final = EvidenceRole("openai_ok", ProgramRun)

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


_PLACE: Final = re.compile(r"\((?P<path>[\w./-]{1,200}\.py), line (?P<line>[1-9]\d{0,6})\)$")
_TRACED: Final = re.compile(r'File "(?:[^"\n]*/)?(?P<path>[\w.-]{1,100})", line (?P<line>\d{1,7})')
_IN_CELL: Final = re.compile(r"cell \d{1,4}, line \d{1,6}")
_HIDDEN: Final = "It stopped before the first question."
_TRY_IT: Final = "`finegrade check --run` shows the error, and where it comes up."
_HINTS: Final = {
    "ModuleNotFoundError": "Import only what the kit's requirements.txt has. What only your own "
    "machine or Colab knows is imported where it is used, and not when the program is graded.",
    "AttributeError": "The installed version has no such name: look its documentation up, or "
    "define the name.",
    "FileNotFoundError": "Submit that file, and find it beside the program: "
    "Path(__file__).parent / name.",
    "SystemExit": "End nothing when the file is imported: what runs it goes below "
    'if __name__ == "__main__".',
    "NotImplementedError": "Write what this line asks for.",
    "SyntaxError": "Correct this line until Python can read the file.",
}
_ANY: Final = "Correct what comes before it, then import the file from another one to try it."
_ENDED: Final = (
    "Let the file end at once when it is imported: what takes long, or ends the program, goes "
    'below if __name__ == "__main__".'
)


@check("SRC014", deliverables=("dspy_script",), evidence=(_PROGRAM,), starts=True)
def dspy_program_starts(context: Context) -> Verdict:
    """The DSPy program can be imported and made

    Why: The grader imports your program, makes it, and asks it questions. Where an import fails, a
    file is missing or a line stops it, no question can be asked, and nothing else of it be judged.

    Fix: Import the file from another one in an empty folder with the kit's files beside it, make
    the program, and correct the line that the error names.
    """
    return _starts(context, context.read(_PROGRAM))


@check("SRC016", deliverables=("dspy_script",), needs=("SRC014",), evidence=(_METRIC,), starts=True)
def metric_starts(context: Context) -> Verdict:
    """The metric can be imported

    Why: The grader imports the file in which your metric stands, and calls it. Where that stops,
    no answer can be scored.

    Fix: Define the metric under the name that the assignment gives, in a file that can be imported.
    """
    return _starts(context, context.read(_METRIC))


def _starts(context: Context, run: Answers | MetricScores) -> Verdict:
    """Whether the module was imported and what is used of it was there.

    The error's text is shown where no hidden question can be in it.
    """
    if not run.stopped or run.fault is None:
        return passed("It was imported.")
    exact = f"It stopped before the first question: {run.fault}."
    hint = _hint(run.fault)
    if not run.fault.partition(" ")[0].endswith(":"):
        hint = _ENDED
    if run.told is None and context.hidden:
        return failed(_HIDDEN, _TRY_IT, exact=exact)
    place = _PLACE.search(run.fault)
    return failed(exact, hint, **_location(context, "dspy_script", place))


def _hint(error: str) -> str:
    """What to do about an error, by its name; a stub of the kit says what to write."""
    if "still to write" in error:
        return _HINTS["NotImplementedError"]
    return next((text for name, text in _HINTS.items() if error.startswith(name)), _ANY)


@check("SRC015", deliverables=("openai_script",), evidence=(_WORKFLOW,), starts=True)
def workflow_starts(context: Context) -> Verdict:
    """The OpenAI workflow comes to its first request

    Why: A workflow that stops at an import, a missing file or a line before its first request does
    nothing that could be judged.

    Fix: Run it against `finegrade simulate` in an empty folder with your data beside it, and
    correct the line that the error names.
    """
    run = context.read(_WORKFLOW)
    if run.verdict == "ok" or run.exchanges:
        return passed("It sent requests.") if run.exchanges else passed("It ran to its end.")
    error = next((line for line in reversed(run.stderr.splitlines()) if line.strip()), "")
    own = {PurePosixPath(file.path).name for file in context.submission.files}
    traced = [found for found in _TRACED.finditer(run.stderr) if found["path"] in own]
    cells = _IN_CELL.findall(run.stderr)
    where = f"{traced[-1]['path']}, line {traced[-1]['line']}" if traced else ""
    where = cells[-1] if cells else where
    how = ending(transcript(context.seen(_WORKFLOW)))
    text = f"It {how}, before its first request"
    said = f": {quoted(error, 300)}" if error else ""
    return failed(
        f"{text}{said}{f' ({where})' if where else ''}.",
        _hint(error.strip()),
        **_location(context, "openai_script", traced[-1] if traced and not cells else None),
    )


class _Location(TypedDict):
    path: str | None
    line: int | None


def _location(context: Context, role: str, found: re.Match[str] | None) -> _Location:
    """The place that an error names, if it is in a script of the submission; else the program."""
    script = context.place(role)
    if found is not None and script is not None:
        beside = PurePosixPath(script).with_name(PurePosixPath(found["path"]).name)
        if context.submission.file(str(beside)) is not None and int(found["line"]) > 0:
            return {"path": str(beside), "line": int(found["line"])}
    return {"path": script, "line": None}


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
    try:
        read_script(context, role)
    except SourceFault as fault:
        path = context.place(role)
        line = f"line {fault.line}: " if fault.line else ""
        return failed(
            f"{shown(path or '')!r} is not valid Python: {line}{fault.message}.",
            "Correct this line until Python can read the file.",
            path=path,
            line=fault.line,
        )
    except FileRefused as refused:
        if refused.code not in ("SRC101", "SRC102"):
            raise
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

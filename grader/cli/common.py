"""What commands share: formats, the console, progress, results, the sandbox."""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import contextmanager
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from grader.core.result import Result
    from grader.escapes.arena import ProgramOutcome
    from grader.report.worth import Worth
    from grader.sandbox.api import Sandbox


class Format(StrEnum):
    """Output formats of commands that report findings."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


class Points(StrEnum):
    """Whether `check` shows points."""

    ON = "on"
    OFF = "off"


class WorkFormat(StrEnum):
    """Output formats of commands that write a file or a comparison."""

    TEXT = "text"
    JSON = "json"


AssignmentOption = Annotated[
    str,
    typer.Option(
        "--assignment", "-a", metavar="ID", help="Id of the assignment, or path of its YAML file."
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="NAME", help="Device that models run on: cpu or cuda.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="Output format.")]


_PROGRESS_FROM_BYTES: Final = 4 * 1024 * 1024  # smaller files are read before a bar is useful
_STAGE_CHARACTERS: Final = 60  # longest name of a stage beside its bar
_LINE_CHARACTERS: Final = 5_000  # longest line of an error: a path of 4,096 and its problem
_LINE_EVERY_SECONDS: Final = 10.0  # between two lines of progress without a terminal


def complain(text: str) -> None:
    """Print an error on stderr with control characters of file names and quoted text replaced.

    Lines after the first become a list. Otherwise a line feed in a file name would start a new
    line, which a terminal or a CI runner may take for a command.
    """
    from grader.core.text import clean

    first, *others = text.split("\n")
    typer.echo(clean(first, _LINE_CHARACTERS), err=True)
    for line in others:
        typer.echo(f"  - {clean(line, _LINE_CHARACTERS)}", err=True)


def console() -> Console:
    """The terminal that results are printed on."""
    from rich.console import Console

    return Console()


class RichProgress:
    """Draws one bar a stage on stderr, with the time passed and the time left.

    Without a terminal it prints plain lines: one when a stage begins, then one every ten seconds.
    With `percent` the bar shows the share that is done, for stages of millions of bytes, not steps.
    """

    def __init__(self, *, percent: bool = False) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn() if percent else MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left", markup=False),
            TimeRemainingColumn(),
            TextColumn("{task.fields[label]}", markup=False),
            console=self._console,
        )
        self._task = self._bar.add_task("", total=0, label="", visible=False)
        self._total = self._done = 0
        self._over = threading.Event()

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of `total` units (steps or bytes)."""
        from grader.core.text import clean

        stage = clean(stage, _STAGE_CHARACTERS)
        self._total, self._done = total, 0
        if not self._console.is_terminal:
            self._print(f"{stage}: {total}")
            self._over.set()
            self._over = threading.Event()
            threading.Thread(target=self._repeat, args=(stage, self._over), daemon=True).start()
            return
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(stage, total=total, label="")
        self._bar.start()

    def step(self, label: str) -> None:
        """Record one finished step."""
        self.advance(1, label)

    def advance(self, done: int, label: str = "") -> None:
        """Record `done` more finished units."""
        from grader.core.text import clean

        self._done += done
        if self._console.is_terminal:
            self._bar.update(self._task, advance=done, label=clean(label, 40))
        if self._done >= self._total:
            self.stop()

    def stop(self) -> None:
        """Remove the bar at any point and restore the terminal's cursor."""
        self._over.set()
        if self._console.is_terminal:
            self._bar.stop()

    def _repeat(self, stage: str, over: threading.Event) -> None:
        """Say how far the stage is, until it is over."""
        began = time.monotonic()
        while not over.wait(_LINE_EVERY_SECONDS):
            done, total = self._done, self._total
            about = ""
            if 5 * done > total:  # earlier nothing is known about how long a step takes
                left = (time.monotonic() - began) * (total - done) / done
                about = f", about {left:.0f} s left"
            self._print(f"{stage}: {done} of {total}{about}")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False)


def print_gradebook(results: Sequence[Result], format: Format) -> None:
    """Print a class's results: one table row per student, JSON, or GitHub annotations."""
    from grader.report.result_json import to_json
    from grader.report.terminal import gradebook_table

    if format is Format.JSON:
        typer.echo(json.dumps([to_json(result) for result in results], indent=2))
    elif format is Format.GITHUB:
        for result in results:
            print_findings(result, format)
    else:
        console().print(gradebook_table(results))


def print_findings(
    result: Result, format: Format, worths: Mapping[str, Worth] = MappingProxyType({})
) -> None:
    """Print one student's findings, in a text with the points that hang on each (`worths`)."""
    from grader.report.exports.github import annotations
    from grader.report.result_json import to_json
    from grader.report.terminal import findings_table

    if format is Format.JSON:
        typer.echo(json.dumps(to_json(result), indent=2))
    elif format is Format.GITHUB:
        for line in annotations(result.findings):
            typer.echo(line)
    else:
        console().print(findings_table(result.findings, worths))


def open_sandbox(progress: RichProgress, name: str | None, *, reduced: bool) -> Sandbox:
    """The sandbox for submitted programs, tested with hostile programs once on each machine."""
    from grader.escapes.suite import trusted_sandbox

    def begin(total: int) -> Callable[[ProgramOutcome], None]:
        progress.start("Testing the sandbox, once on this machine", total)
        return lambda row: progress.step(row.name)

    return trusted_sandbox(name, reduced=reduced, begin=begin)


def part_files(out: Path) -> None:
    """Put an OUT of an earlier version right, and say so: what writes into OUT begins with this."""
    from grader.course import output

    moved = output.part_files(out)
    if moved:
        typer.echo(
            f"{out} is of an earlier version: what is for you alone was moved from students/ to "
            f"staff/, for {moved} {'student' if moved == 1 else 'students'}.",
            err=True,
        )


@contextmanager
def file_progress(files: Sequence[Path]) -> Iterator[RichProgress | None]:
    """A progress bar on a terminal for files that are large enough, else None."""
    size = sum(path.stat().st_size for path in files if path.is_file())
    if not sys.stderr.isatty() or size < _PROGRESS_FROM_BYTES:
        yield None
        return
    bar = RichProgress(percent=True)
    try:
        yield bar
    finally:
        bar.stop()

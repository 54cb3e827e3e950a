"""`finegrade release`: marks are frozen and given out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grader.cli.common import part_files
from grader.core.errors import UsageError


def release(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The --out folder of an earlier grading.")
    ],
    student: Annotated[
        list[str] | None,
        typer.Option(
            "--student",
            metavar="NAME",
            help="Release this student alone; may be given more than once.",
            show_default="the whole class",
        ),
    ] = None,
    ready: Annotated[
        bool,
        typer.Option("--ready", help="Release who is fully graded, and leave out who is pending."),
    ] = False,
) -> None:
    """Freeze marks and write students' final pages.

    Refused while something is to be decided. Marks that change later stand beside the released
    ones on the class page, and students see them once they are released again.
    """
    from grader.core.text import clean
    from grader.course.release import release as run

    if student and ready:
        raise UsageError("--student and --ready both say whom to release: give one of them.")
    part_files(out)
    done = run(out, student or [], ready=ready)
    typer.echo(
        f"{len(done.new)} released, {len(done.changed)} released again with other marks, "
        f"{done.unchanged} unchanged."
    )
    for name in done.changed:
        typer.echo(f"Changed: {clean(name, 60)}.")
    if done.pending:
        names = ", ".join(clean(name, 60) for name in done.pending)
        typer.echo(f"Pending, and not released: {names}.")
    typer.echo(f"Pages for students: {out / 'students'}")

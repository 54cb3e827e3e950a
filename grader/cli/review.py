"""`finegrade review`: what people decide, by list, by table and by page."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from grader.cli import review_page
from grader.cli.common import WorkFormat, console, part_files
from grader.core.errors import UsageError
from grader.web.access import Role

if TYPE_CHECKING:
    from rich.table import Table

    from grader.course.review import ClassReview
    from grader.course.review_table import Imported


REVIEW_EXAMPLES: Final = (
    "Example: finegrade review results --serve\n\n"
    "By table: finegrade review results --export reviews.csv\n\n"
    "Fill in the columns level (full, half or none; blank takes a decision back) and comment in "
    "any spreadsheet, then: finegrade review results --import reviews.csv\n\n"
    "A table of your own needs the columns student, criterion, item and level.\n\n"
    "Exit codes: 0 done; 1 rows were refused; 2 wrong usage; 3 finegrade failed."
)


def review(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The --out folder of an earlier grading.")
    ],
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="FILE.csv",
            help="Write what is to be decided as a table.",
            show_default="no table",
        ),
    ] = None,
    names: Annotated[
        bool,
        typer.Option(
            "--names",
            help="With --export: students by name, and notes of checks, which may name classmates. "
            "Else they stand there by the anonymous ids of the page.",
        ),
    ] = False,
    imported: Annotated[
        Path | None,
        typer.Option(
            "--import",
            metavar="FILE.csv",
            help="Take the decisions of a table that was filled in, by names or anonymous ids.",
            show_default="no table",
        ),
    ] = None,
    requests: Annotated[
        Path | None,
        typer.Option(
            "--requests",
            metavar="FILE.csv",
            help="Take regrade requests (student, criterion, text), or what became of them (state: "
            "open, changed, declined or withdrawn, and reason).",
            show_default="no table",
        ),
    ] = None,
    grader: Annotated[
        str | None,
        typer.Option(
            "--grader",
            metavar="NAME",
            help="Who decides: what is new in the table, or on the page.",
            show_default="as the table says, else your login name",
        ),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve a page for reviewing in a browser.")
    ] = False,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to serve on. On any but loopback, only who is invited comes in.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 chooses a free one.")
    ] = review_page.PORT,
    second_opinion: Annotated[
        float,
        typer.Option(
            "--second-opinion",
            min=0,
            max=1,
            metavar="SHARE",
            help="With --serve: ask another grader about this share of items, unseen.",
        ),
    ] = 0.0,
    invite: Annotated[
        str | None,
        typer.Option(
            "--invite",
            metavar="NAME",
            help="Print a link that lets this grader in.",
            show_default="nobody",
        ),
    ] = None,
    role: Annotated[
        Role, typer.Option("--role", help="With --invite: what they are to the class.")
    ] = Role.TA,
    sections: Annotated[
        str,
        typer.Option(
            "--sections",
            metavar="A,B",
            help="With --invite: they see students of these sections alone, by the column section "
            "of submissions.csv.",
            show_default="all students",
        ),
    ] = "",
    revoke: Annotated[
        str | None,
        typer.Option(
            "--revoke", metavar="NAME", help="End a grader's link.", show_default="nobody"
        ),
    ] = None,
    format: Annotated[WorkFormat, typer.Option("--format", help="Output format.")] = (
        WorkFormat.TEXT
    ),
) -> None:
    """List what people must decide; decide by table or on a page.

    Decisions are kept beside the evidence and survive grading again. Where the work changed since,
    its decision is stale: it stays in view, and the item is open again.
    """
    from grader.course.regrade_requests import import_requests
    from grader.course.review import reviewing
    from grader.course.review_progress import progress_of
    from grader.course.review_table import export_table, import_table

    steps = {
        "--export": export is not None,
        "--import": imported is not None,
        "--requests": requests is not None,
        "--serve": serve,
        "--invite": invite is not None,
        "--revoke": revoke is not None,
    }
    chosen = [name for name, given in steps.items() if given]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} are steps of their own: give one.")
    if grader is not None and not (serve or imported is not None):
        raise UsageError("--grader says who decided, and goes with --import or --serve.")
    if names and export is None:
        raise UsageError("--names says how students stand in the table, and goes with --export.")
    part_files(out)
    if serve:
        review_page.serve(out, (grader or _login()).strip(), host, port, second_opinion)
        return
    if invite is not None:
        named = tuple(part.strip() for part in sections.split(",") if part.strip())
        review_page.invite(out, invite, role, named, host, port)
        return
    if revoke is not None:
        review_page.revoke(out, revoke.strip())
        return
    for table in (imported, requests):
        if table is not None and not table.is_file():
            raise UsageError(f"{table} is not there. Name a table to read.")
    if requests is not None:
        with reviewing(out) as opened:
            taken = import_requests(opened, requests)
        _report(out, requests, taken, format)
        return
    if imported is not None:
        name = (grader or _login()).strip()
        with reviewing(out) as opened:
            done = import_table(opened, imported, name, named=grader is not None)
        _report(out, imported, done, format)
        return
    with reviewing(out) as opened:
        if export is not None:
            _write(export, export_table(opened, names=names))
            shown = "names" if names else "anonymous ids (--names shows names)"
            typer.echo(f"{export}: {len(opened.rows())} rows, students by {shown}.", err=True)
        elif format is WorkFormat.JSON:
            typer.echo(json.dumps(progress_of(opened), indent=2, ensure_ascii=False))
        else:
            _print(opened)


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without accounts
        return "instructor"


def _write(path: Path, data: bytes) -> None:
    from grader.core.files import write_atomic

    if path.is_dir():
        raise UsageError(f"{path} is a folder; --export names a file.")
    try:
        write_atomic(path, data.decode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}).") from error


def _report(out: Path, table: Path, done: Imported, format: WorkFormat) -> None:
    """Score the class again and say what became of the table."""
    from grader.core.text import clean
    from grader.course.rescore import rescore
    from grader.report.terminal import changes, changes_table

    scored = rescore(out)
    changed = changes(scored.before, scored.after)
    if format is WorkFormat.JSON:
        refused = [{"line": r.line, "row": r.row, "reason": r.reason} for r in done.refused]
        value = {"taken": done.taken, "unchanged": done.unchanged, "refused": refused}
        typer.echo(json.dumps(value | {"changes": changed}, indent=2, ensure_ascii=False))
    else:
        if changed:
            console().print(changes_table(changed))
        pending = sum(result.total.points is None for result in scored.after)
        typer.echo(
            f"{done.taken} taken, {done.unchanged} unchanged, {len(done.refused)} refused. "
            f"{pending} of {len(scored.after)} students are pending."
        )
    for row in done.refused:
        where = f"{clean(str(table), 200)}, line {row.line}"
        typer.echo(f"{where}: {row.row} was not taken: {row.reason}.", err=True)
    if done.refused:
        raise typer.Exit(1)


def _print(review: ClassReview) -> None:
    from grader.core.text import clean, counted
    from grader.course.review_progress import progress_of

    view = progress_of(review)
    titles = {criterion.id: criterion.title for criterion in review.assignment.criteria}
    console().print(_table("Criterion", view["by_criterion"], titles))
    console().print(_table("Student", view["by_student"], {}))
    for name, number in view["by_grader"].items():
        typer.echo(f"{clean(name, 60)} decided {counted(number, 'item')}.")
    for row in view["stale"]:
        typer.echo(
            f"Stale: {clean(row['student'], 60)} / {row['criterion']} / {row['item']}, "
            f"{row['was']} by {clean(row['grader'], 60)}. What changed since:"
        )
        for line in row["difference"].splitlines()[:_DIFF_LINES]:
            typer.echo(f"  {clean(line, 200)}")
    for row in view["requests"]:
        if row["state"] == "open":
            about = f"{clean(row['student'], 60)} / {row['criterion']}"
            typer.echo(f"Regrade request of {about}: {clean(row['text'])}")
    for row in view["reworded"]:
        typer.echo(
            f"Judged under another wording: {clean(row['student'], 60)} / {row['criterion']} / "
            f"{row['item']}."
        )
    for row in view["not_taken_in"]:
        what = f"{row['message']} {row['hint']}".strip()
        typer.echo(
            f"Not taken in: {clean(row['student'], 60)} ({row['code']}). {clean(what)} Then grade "
            "again: there is nothing to judge before."
        )
    if view["open"]:
        typer.echo(f"{counted(view['open'], 'decision')} open. --export FILE.csv writes them all.")
    else:
        typer.echo("Nothing is open.")


_DIFF_LINES: Final = 40  # of one stale item; the review page and --format json show all


def _table(what: str, tallies: dict[str, dict[str, int]], titles: dict[str, str]) -> Table:
    """How many items each has, and how many wait."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from grader.core.text import clean

    table = Table(what, box=box.SIMPLE_HEAD)
    for heading in ("Items", "Open", "Stale"):
        table.add_column(heading, justify="right")
    for id, counts in tallies.items():
        name = f"{id}: {titles[id]}" if id in titles else id
        numbers = (str(counts[key]) for key in ("rows", "open", "stale"))
        table.add_row(Text(clean(name, 100)), *numbers)
    return table

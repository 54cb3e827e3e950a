"""`finegrade doctor`: what works on this machine, and how to get the rest to work."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final

import typer

from grader.cli.common import Format, FormatOption, RichProgress, console

if TYPE_CHECKING:
    from collections.abc import Callable

    from grader.escapes.arena import ProgramOutcome
    from grader.escapes.doctor import Backend, Health

_WHY_CHARACTERS: Final = 300  # of why a program was not contained


def doctor(
    verbose: Annotated[
        bool, typer.Option("--verbose", help="List every hostile program and its outcome.")
    ] = False,
    format: FormatOption = Format.TEXT,
) -> None:
    """Report what works here: sandboxes, limits, models, GPU, disk.

    Each sandbox must contain more than a hundred hostile programs. Exit code 1: none contains
    all of them, so submitted programs cannot be graded on this machine.
    """
    from grader.escapes.doctor import examine
    from grader.escapes.judge import all_programs

    progress = RichProgress()

    def begin(name: str) -> Callable[[ProgramOutcome], None]:
        progress.start(f"Trying to escape from {name}", len(all_programs()))
        return lambda row: progress.step(row.name)

    health = examine(begin)
    if format is Format.JSON:
        typer.echo(json.dumps(health.as_json(), indent=2))
    else:
        _print(health, verbose)
    raise typer.Exit(0 if health.sandbox else 1)


def _print(health: Health, verbose: bool) -> None:
    from rich.table import Table

    out = console()
    facts = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    extras = [name for name, there in health.extras.items() if there]
    facts.add_row("finegrade", f"{health.finegrade}, Python {health.python}, {health.system}")
    facts.add_row("Extras", ", ".join(extras) or "none: pip install 'finegrade[simulate]'")
    facts.add_row("Processors", f"{health.processors}; GPU: {health.gpu or 'none'}")
    facts.add_row("Course model", "there" if health.course_model else "missing: install again")
    facts.add_row("Hub cache", health.hub_cache)
    room = f"{health.free_bytes / 1e9:.1f} GB free" + (", which is little" * health.low_disk)
    facts.add_row("Cache", f"{health.home}, {room}")
    out.print(facts)
    out.print()
    table = Table("Sandbox", "Isolation", "Works", "Holds", box=None, padding=(0, 2, 0, 0))
    for backend in health.backends:
        table.add_row(backend.name, backend.isolation, *_state(backend))
    out.print(table)
    out.print()
    for limit, by in health.limits.items():
        out.print(f"Limit on {limit}: {by}.", markup=False, highlight=False)
    for backend in health.backends:
        if backend.report is None:
            out.print(f"\n{backend.name} does not work here. {backend.why_not}", markup=False)
        else:
            _print_escapes(backend, verbose)
    if health.sandbox:
        out.print(f"\nGrading runs programs of submissions in {health.sandbox}.", markup=False)
    else:
        out.print("\nNo sandbox holds here: programs of submissions are not run. Adapters, data")
        out.print("and documents are graded all the same.")


def _state(backend: Backend) -> tuple[str, str]:
    if backend.report is None:
        return "no", ""
    contained = sum(row.contained for row in backend.report.rows)
    holds = "yes" if backend.usable else "NO"
    return "yes", f"{holds}, {contained} of {len(backend.report.rows)} hostile programs"


def _print_escapes(backend: Backend, verbose: bool) -> None:
    from grader.core.text import clean

    assert backend.report is not None
    out = console()
    if verbose:
        out.print(f"\n{backend.name}: every hostile program, what it tries, and how it ended")
    for row in backend.report.rows:
        if not row.contained:
            why = clean("; ".join(row.why_not), _WHY_CHARACTERS)
            out.print(f"✗ {backend.name} let {row.name} out: it {row.claim}. {why}", markup=False)
        elif verbose:
            out.print(f"✓ {row.name:<34} {row.claim} [{row.got}]", markup=False, highlight=False)
    for what in (*backend.report.disturbed, *backend.report.left_behind):
        out.print(f"✗ {backend.name}: {what}", markup=False)

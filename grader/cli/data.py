"""`finegrade data ...`: training files checked, fixed, split, converted and drawn.

What is heavy is imported inside the commands: a short file is checked in the time that Python
takes to start.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from grader.cli.common import Format, FormatOption, WorkFormat, console, file_progress
from grader.core.errors import UsageError
from grader.training_data.read.examples import Kind

if TYPE_CHECKING:
    from datetime import date

    from grader.core.nouns import Finding
    from grader.report.dataset_text import Line
    from grader.training_data.check import FileReport

_ALL_KEPT: Final = 100_000  # faults of each code with --all: more than anyone reads, some 100 MB

data_app = typer.Typer(
    help="Check and prepare training data: JSON Lines for fine-tuning.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class KindOption(StrEnum):
    """What --kind takes."""

    AUTO = "auto"
    CHAT = "chat"
    PREFERENCE = "preference"
    COMPLETION = "completion"
    QA = "qa"


FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A training file, JSON Lines.")]
NewFileOption = Annotated[Path, typer.Option("--out", help="A new file; nothing is overwritten.")]
WorkFormatOption = Annotated[
    WorkFormat, typer.Option("--format", help="How to print what was done.")
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Count tokens and cost for this model. Default: gpt-4.1-mini."),
]


@data_app.command(
    epilog="Example: finegrade data check train.jsonl --against test.jsonl\n\n"
    "Exit code: 0 no errors (there may be warnings), 1 errors, 2 wrong usage, 3 finegrade failed."
)
def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Training files, JSON Lines.")
    ],
    kind: Annotated[
        KindOption, typer.Option("--kind", help="What the examples must be; auto: what they are.")
    ] = KindOption.AUTO,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="A file, such as a test set, that may share no example."),
    ] = None,
    assignment: Annotated[
        str | None,
        typer.Option("--assignment", "-a", help="Ask for what this assignment asks for."),
    ] = None,
    model: ModelOption = None,
    prices: Annotated[
        Path | None, typer.Option("--prices", help="Your own table of prices, JSON.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="List every place of every fault.")] = False,
    format: FormatOption = Format.TEXT,
) -> None:
    """Find every fault in training files, with line, reason and fix. Counts tokens and cost."""
    from grader.core.constants import DATA_KEPT_FAULTS, DATA_MIN_EXAMPLES
    from grader.core.nouns import Severity
    from grader.training_data.check import DEFAULT_MODEL, check_file
    from grader.training_data.costs import load_prices
    from grader.training_data.rules import RULES

    asked = None if kind is KindOption.AUTO else Kind(kind)
    min_examples, as_errors = DATA_MIN_EXAMPLES, frozenset[str]()
    if assignment is not None:
        from grader.assignment.load import load_assignment

        spec = load_assignment(assignment).data
        if spec is None:
            raise UsageError(f"Assignment {assignment} asks for no training data: leave it out.")
        asked = asked or Kind(spec.kind)
        min_examples, as_errors = spec.min_examples, frozenset(spec.errors)
        if unknown := sorted(as_errors - RULES.keys()):
            raise UsageError(f"Assignment {assignment}: there is no rule {', '.join(unknown)}.")
    if Path("-") in files:
        raise UsageError("Standard input is not read: a file is read twice. Write it to one first.")
    if against is not None:
        _refuse_empty(against)
    known = load_prices(prices)
    with file_progress(files) as progress:
        reports = [
            check_file(
                path,
                kind=asked,
                against=against,
                min_examples=min_examples,
                as_errors=as_errors,
                model=model or DEFAULT_MODEL,
                prices=known,
                today=_today(model),
                keep=_ALL_KEPT if all else DATA_KEPT_FAULTS,
                progress=progress,
            )
            for path in files
        ]
    _print_reports(reports, format, all)
    severities = {finding.severity for report in reports for finding in report.findings}
    raise typer.Exit(1 if Severity.ERROR in severities else 0)


@data_app.command(epilog="Example: finegrade data fix train.jsonl --out fixed.jsonl")
def fix(file: FileArgument, out: NewFileOption, format: WorkFormatOption = WorkFormat.TEXT) -> None:
    """Write a file with all repairs that cannot change what it teaches."""
    from grader.report.dataset_text import fixed_lines
    from grader.training_data.edit.fix import fix as fixed

    done = fixed(file, out)
    _print_work(done, out, fixed_lines(done), format)


@data_app.command(epilog="Example: finegrade data split all.jsonl --out parts --shares 0.8,0.1,0.1")
def split(
    file: FileArgument,
    out: Annotated[Path, typer.Option("--out", help="A new folder for the parts.")],
    shares: Annotated[
        str, typer.Option("--shares", help="Of training, validation and test; they add up to 1.")
    ] = "0.8,0.1,0.1",
    seed: Annotated[int, typer.Option("--seed", help="Another number, another split.")] = 0,
    format: WorkFormatOption = WorkFormat.TEXT,
) -> None:
    """Split a file into training, validation and test. Copies stay together in one part."""
    from grader.report.dataset_text import split_lines
    from grader.training_data.edit.split import split as parted

    done = parted(file, out, _shares(shares), seed)
    _print_work(done, out, split_lines(done), format)


@data_app.command(epilog="Example: finegrade data dedupe train.jsonl --out once.jsonl --near")
def dedupe(
    file: FileArgument,
    out: NewFileOption,
    near: Annotated[
        bool, typer.Option("--near", help="Also drop examples that differ in a word or two.")
    ] = False,
    format: WorkFormatOption = WorkFormat.TEXT,
) -> None:
    """Write a file without the examples that stand in it before."""
    from grader.report.dataset_text import deduped_lines
    from grader.training_data.edit.dedupe import dedupe as deduped

    done = deduped(file, out, near=near)
    _print_work(done, out, deduped_lines(done), format)


@data_app.command(
    epilog="Example: finegrade data convert pairs.csv --to chat --system 'Answer in one word.' "
    "--out train.jsonl"
)
def convert(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON Lines, a JSON document or a table (CSV).")
    ],
    to: Annotated[Kind, typer.Option("--to", help="What the examples are to be.")],
    out: NewFileOption,
    system: Annotated[
        str | None, typer.Option("--system", help="The system message of each example.")
    ] = None,
    format: WorkFormatOption = WorkFormat.TEXT,
) -> None:
    """Write the examples of a file as another kind."""
    from grader.report.dataset_text import converted_lines
    from grader.training_data.edit.convert import convert as converted

    done = converted(file, out, to, system)
    _print_work(done, out, converted_lines(done), format)


@data_app.command(epilog="Example: finegrade data stats train.jsonl --out train.html")
def stats(
    file: FileArgument,
    out: Annotated[Path, typer.Option("--out", help="Where the page goes, such as train.html.")],
    model: ModelOption = None,
) -> None:
    """Draw how long, varied and faulty the examples are, on one page."""
    from grader.core.files import write_atomic
    from grader.core.text import clean
    from grader.report.dataset_page import dataset_html
    from grader.report.dataset_text import gather, head_lines, summary_line
    from grader.training_data.check import DEFAULT_MODEL, check_file
    from grader.training_data.read.examples import read_examples, watched
    from grader.training_data.tokens import TOKEN_EXACT_EXAMPLES, counter

    if not file.is_file():
        raise UsageError(f"{file}: there is no such file.")
    no_page = out.exists() and (out.suffix not in (".html", ".htm") or out.samefile(file))
    if out.is_dir() or no_page:
        raise UsageError(f"--out {out}: give the name of a new page, such as train.html.")
    today, model = _today(model), model or DEFAULT_MODEL
    with file_progress([file]) as progress:
        report = check_file(file, model=model, today=today, progress=progress)
        every = -(-report.examples // TOKEN_EXACT_EXAMPLES) or 1
        examples = watched(read_examples(file), progress, "Measuring examples", report.examples)
        numbers = gather(examples, counter(model), every)
    write_atomic(out, dataset_html(report, numbers))
    _print_lines([*head_lines(report), summary_line([report])])
    typer.echo(f"Page: {clean(str(out))}")


def _refuse_empty(against: Path) -> None:
    """Raises UsageError for a file with which no example can be compared: none would be found."""
    from grader.training_data.read.examples import read_examples
    from grader.training_data.read.format_detection import open_jsonl

    with open_jsonl(against):
        pass
    if next(read_examples(against), None) is None:
        raise UsageError(
            f"--against {against}: no usable example in it. "
            f"`finegrade data check {against}` says why."
        )


def _today(model: str | None) -> date | None:
    """The day on which a model is to be trained, when somebody named one: a default is a guess."""
    from datetime import UTC, datetime

    return None if model is None else datetime.now(UTC).date()


def _shares(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(share) for share in text.split(","))
    except ValueError as error:
        raise UsageError(f"--shares {text}: give numbers such as 0.8,0.1,0.1.") from error


def _print_reports(reports: Sequence[FileReport], format: Format, all: bool) -> None:
    if format is Format.JSON:
        from grader.report.dataset_json import to_json

        _print_json(to_json(reports))
    elif format is Format.GITHUB:
        from grader.report.exports.github import annotations

        findings: list[Finding] = [finding for report in reports for finding in report.findings]
        for line in annotations(findings):
            typer.echo(line)
    else:
        from grader.report.dataset_text import SHOWN_PLACES, report_lines, summary_line

        for report in reports:
            _print_lines([*report_lines(report, None if all else SHOWN_PLACES), ()])
        _print_lines([summary_line(reports)])


def _print_work(done: Any, out: Path, lines: Sequence[str], format: WorkFormat) -> None:
    """What was done, from the dataclass that says so."""
    from dataclasses import asdict

    from grader.core.text import clean

    if format is WorkFormat.JSON:
        _print_json({"out": str(out), **asdict(done)})
        return
    for line in lines:
        typer.echo(line)
    typer.echo(f"Written: {clean(str(out))}")


def _print_json(value: Any) -> None:
    import json

    typer.echo(json.dumps(value, indent=2))


def _print_lines(lines: Sequence[Line]) -> None:
    """In colours on a terminal. No line is wrapped, so that a place can be clicked or jumped to."""
    if not sys.stdout.isatty():
        for line in lines:
            typer.echo("".join(span.text for span in line))
        return
    from rich.text import Text

    terminal = console()
    for line in lines:
        terminal.print(Text.assemble(*line), soft_wrap=True)

"""`finegrade data ...`: check, fix, split, deduplicate, convert and measure training files.

Heavy modules are imported inside the commands, so that checking a short file takes little longer
than starting Python.
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

_ALL_KEPT: Final = 100_000  # findings of each code with --all: about 100 MB

data_app = typer.Typer(
    help="Check and prepare training data (JSON Lines).",
    epilog="Example: finegrade data check train.jsonl",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class KindOption(StrEnum):
    """Values of --kind."""

    AUTO = "auto"
    CHAT = "chat"
    PREFERENCE = "preference"
    COMPLETION = "completion"
    QA = "qa"


FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A training file (JSON Lines).")]
NewFileOption = Annotated[
    Path,
    typer.Option("--out", metavar="FILE", help="New file; an existing one is never overwritten."),
]
WorkFormatOption = Annotated[WorkFormat, typer.Option("--format", help="Output format.")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Model to count tokens and cost for: one of OpenAI's, or a local one.",
        show_default="gpt-4.1-mini",
    ),
]


@data_app.command(
    epilog="Example: finegrade data check train.jsonl --against test.jsonl\n\n"
    "Exit codes: 0 no errors (warnings at most); 1 errors; 2 wrong usage; 3 finegrade failed."
)
def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Training files (JSON Lines).")
    ],
    kind: Annotated[
        KindOption,
        typer.Option("--kind", help="Required kind of the examples; auto accepts any one kind."),
    ] = KindOption.AUTO,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="FILE",
            help="Report examples that also stand in this file, such as a test set.",
            show_default="no comparison",
        ),
    ] = None,
    assignment: Annotated[
        str | None,
        typer.Option(
            "--assignment",
            "-a",
            metavar="ID",
            help="Apply this assignment's requirements: kind, number of examples, rules that are "
            "errors.",
            show_default="none",
        ),
    ] = None,
    model: ModelOption = None,
    prices: Annotated[
        Path | None,
        typer.Option(
            "--prices",
            metavar="FILE",
            help="JSON file of prices that replace rows of the built-in table.",
            show_default="the built-in table",
        ),
    ] = None,
    all: Annotated[
        bool,
        typer.Option("--all", help="List every place of a finding, not only the first few."),
    ] = False,
    format: FormatOption = Format.TEXT,
) -> None:
    """Find all errors and warnings in training files.

    Each finding names its line, its reason and its fix. Tokens are counted and the cost of
    training is estimated.
    """
    from grader.core.constants import DATA_KEPT_FAULTS, DATA_MIN_EXAMPLES
    from grader.core.nouns import Severity
    from grader.training_data.check import DEFAULT_MODEL, check_file
    from grader.training_data.costs import load_prices
    from grader.training_data.rules import RULES

    required = None if kind is KindOption.AUTO else Kind(kind)
    min_examples, as_errors = DATA_MIN_EXAMPLES, frozenset[str]()
    if assignment is not None:
        from grader.assignment.load import load_assignment

        spec = load_assignment(assignment).data
        if spec is None:
            raise UsageError(f"Assignment {assignment} has no training data: omit --assignment.")
        required = required or Kind(spec.kind)
        min_examples, as_errors = spec.min_examples, frozenset(spec.errors)
        if unknown := sorted(as_errors - RULES.keys()):
            raise UsageError(f"Assignment {assignment}: there is no rule {', '.join(unknown)}.")
    if Path("-") in files:
        raise UsageError(
            "Standard input is not read, because a file is read twice. Save it to a file first."
        )
    if against is not None:
        _refuse_empty(against)
    known = load_prices(prices)
    with file_progress(files) as progress:
        reports = [
            check_file(
                path,
                kind=required,
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
    """Write a copy of a file with all safe repairs applied.

    A repair is safe if it cannot change what a model learns from the file. The last line says how
    many errors remain.
    """
    from grader.report.dataset_text import fixed_lines, left_lines
    from grader.training_data.check import check_file
    from grader.training_data.edit.fix import fix as fixed

    done = fixed(file, out)
    report = check_file(out, model=None)
    lines = [*fixed_lines(done), *left_lines(report, str(out))]
    _print_work(done, out, lines, format, counts=dict(report.counts))


@data_app.command(epilog="Example: finegrade data split all.jsonl --out parts --shares 0.8,0.1,0.1")
def split(
    file: FileArgument,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="New folder for the three files.")
    ],
    shares: Annotated[
        str,
        typer.Option(
            "--shares",
            metavar="A,B,C",
            help="Shares of training, validation and test set; they must add up to 1.",
        ),
    ] = "0.8,0.1,0.1",
    seed: Annotated[
        int,
        typer.Option(
            "--seed", metavar="N", help="Seed of the split: the same seed gives the same files."
        ),
    ] = 0,
    format: WorkFormatOption = WorkFormat.TEXT,
) -> None:
    """Split a file into training, validation and test set.

    Copies and near copies of an example stay in one set, so that no set leaks into another.
    """
    from grader.report.dataset_text import split_lines
    from grader.training_data.edit.split import split as parted

    done = parted(file, out, _shares(shares), seed)
    _print_work(done, out, split_lines(done), format)


@data_app.command(epilog="Example: finegrade data dedupe train.jsonl --out once.jsonl --near")
def dedupe(
    file: FileArgument,
    out: NewFileOption,
    near: Annotated[
        bool, typer.Option("--near", help="Also drop near copies: a word or two differ.")
    ] = False,
    format: WorkFormatOption = WorkFormat.TEXT,
) -> None:
    """Write a copy of a file without duplicate examples.

    The first of several equal examples is kept.
    """
    from grader.report.dataset_text import deduped_lines
    from grader.training_data.edit.dedupe import dedupe as deduped

    done = deduped(file, out, near=near)
    _print_work(done, out, deduped_lines(done), format)


@data_app.command(epilog="Example: finegrade data convert pairs.csv --to chat --out train.jsonl")
def convert(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON Lines, a JSON document or a CSV table.")
    ],
    to: Annotated[Kind, typer.Option("--to", help="Kind of the new examples.")],
    out: NewFileOption,
    system: Annotated[
        str | None,
        typer.Option(
            "--system",
            metavar="TEXT",
            help="System message of chat examples that have none.",
            show_default="none",
        ),
    ] = None,
    format: WorkFormatOption = WorkFormat.TEXT,
) -> None:
    """Convert the examples of a file to another kind.

    Nothing is lost silently: an example that cannot be converted is an error, and keys that the
    new kind does not have are listed.
    """
    from grader.report.dataset_text import converted_lines
    from grader.training_data.edit.convert import convert as converted

    done = converted(file, out, to, system)
    _print_work(done, out, converted_lines(done), format)


@data_app.command(epilog="Example: finegrade data stats train.jsonl --out train.html")
def stats(
    file: FileArgument,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="File of the page, ending in .html.")
    ],
    model: ModelOption = None,
) -> None:
    """Write a page with statistics of a training file.

    It shows lengths, tokens, cost, the most frequent answers and all findings.
    """
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
    """Raises UsageError for a file without usable examples: a comparison would find nothing."""
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
    """Today if the user named a model, else None: the default model's end is not their concern."""
    from datetime import UTC, datetime

    return None if model is None else datetime.now(UTC).date()


def _shares(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(share) for share in text.split(","))
    except ValueError as error:
        raise UsageError(f"--shares {text}: give numbers such as 0.8,0.1,0.1.") from error


def _print_reports(reports: Sequence[FileReport], format: Format, all: bool) -> None:
    if format is Format.JSON:
        from grader.report.result_json import findings_json

        _print_json(findings_json(reports))
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


def _print_work(
    done: Any, out: Path, lines: Sequence[str], format: WorkFormat, **more: Any
) -> None:
    """Print the summary of a command that wrote `out`; `done` is its result, a dataclass.

    `more` are further fields of the JSON document.
    """
    from dataclasses import asdict

    from grader.core.text import clean

    if format is WorkFormat.JSON:
        _print_json({"out": str(out), **asdict(done), **more})
        return
    for line in lines:
        typer.echo(line)
    typer.echo(f"Written: {clean(str(out))}")


def _print_json(value: Any) -> None:
    import json

    typer.echo(json.dumps(value, indent=2))


def _print_lines(lines: Sequence[Line]) -> None:
    """Print lines, in colours on a terminal. None is wrapped: `file:line:` stays clickable."""
    if not sys.stdout.isatty():
        for line in lines:
            typer.echo("".join(span.text for span in line))
        return
    from rich.text import Text

    terminal = console()
    for line in lines:
        terminal.print(Text.assemble(*line), soft_wrap=True)

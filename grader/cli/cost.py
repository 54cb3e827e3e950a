"""`finegrade cost`: what fine-tuning costs beside prompting and retrieval."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from grader.cli.common import WorkFormat, console, file_progress
from grader.core.errors import UsageError

if TYPE_CHECKING:
    from grader.costs.alternatives import CostStudy

COST_EXAMPLES: Final = (
    "Example: finegrade cost train.jsonl --shots 8 --plot cost.png\n\n"
    "With long instructions in the base's prompt: "
    "finegrade cost train.jsonl --prompt-tokens 900"
)


def cost(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A training file (JSON Lines).")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="NAME", help="Model to fine-tune.", show_default="gpt-4.1-mini"
        ),
    ] = None,
    base_model: Annotated[
        str | None,
        typer.Option(
            "--base-model",
            metavar="NAME",
            help="Model that the other alternatives prompt.",
            show_default="as --model",
        ),
    ] = None,
    epochs: Annotated[
        str,
        typer.Option(
            "--epochs",
            metavar="N",
            help="Epochs of training, 1 to 50; auto: the number that OpenAI chooses.",
        ),
    ] = "auto",
    shots: Annotated[
        int,
        typer.Option(
            "--shots", min=0, max=1000, metavar="N", help="Examples in a few-shot prompt."
        ),
    ] = 5,
    prompt_tokens: Annotated[
        float | None,
        typer.Option(
            "--prompt-tokens",
            min=0,
            metavar="N",
            help="Tokens of the base's prompt, without few-shot examples.",
            show_default="mean of FILE",
        ),
    ] = None,
    tuned_prompt_tokens: Annotated[
        float | None,
        typer.Option(
            "--tuned-prompt-tokens",
            min=0,
            metavar="N",
            help="Tokens of the tuned model's prompt.",
            show_default="mean of FILE",
        ),
    ] = None,
    answer_tokens: Annotated[
        float | None,
        typer.Option(
            "--answer-tokens",
            min=0,
            metavar="N",
            help="Tokens of an answer.",
            show_default="mean of FILE",
        ),
    ] = None,
    context_tokens: Annotated[
        float,
        typer.Option(
            "--context-tokens", min=0, metavar="N", help="Tokens of the passages in a RAG prompt."
        ),
    ] = 1000,
    corpus_tokens: Annotated[
        float,
        typer.Option(
            "--corpus-tokens",
            min=0,
            metavar="N",
            help="Tokens of the whole corpus, which RAG embeds once.",
        ),
    ] = 100_000,
    store: Annotated[
        float,
        typer.Option("--store", min=0, metavar="USD", help="Monthly cost of RAG's vector store."),
    ] = 0.0,
    cache_hits: Annotated[
        float,
        typer.Option(
            "--cache-hits",
            min=0,
            max=1,
            metavar="SHARE",
            help="Share of queries whose prompt prefix is cached, 0 to 1.",
        ),
    ] = 0.0,
    other: Annotated[
        float,
        typer.Option(
            "--other",
            min=0,
            metavar="USD",
            help="Other one-time costs of fine-tuning, such as data and evaluation.",
        ),
    ] = 0.0,
    queries_per_day: Annotated[
        float,
        typer.Option(
            "--queries-per-day",
            min=1e-6,
            metavar="N",
            help="Volume, from which the break-even date follows.",
        ),
    ] = 200,
    today: Annotated[
        datetime | None,
        typer.Option(
            "--date",
            formats=["%Y-%m-%d"],
            metavar="YYYY-MM-DD",
            help="First day of use.",
            show_default="today",
        ),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(
            "--prices",
            metavar="FILE",
            help="JSON file of prices that replace rows of the built-in table.",
            show_default="the built-in table",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw the costs over the number of queries into this .png or .svg file.",
            show_default="no plot",
        ),
    ] = None,
    format: Annotated[WorkFormat, typer.Option("--format", help="Output format.")] = (
        WorkFormat.TEXT
    ),
) -> None:
    """Compare the costs of fine-tuning, RAG and prompting.

    Fine-tuning has a one-time cost. It may save on every query, because a tuned model needs
    neither examples nor long instructions in its prompt. But its tokens cost more than the
    base's: with equal prompts it never pays. Four alternatives are compared: a plain prompt, a
    few-shot prompt (--shots), retrieval (RAG: passages in the prompt) and fine-tuning. The result
    is the number of queries from which fine-tuning is cheaper than each of the others.
    """
    from datetime import UTC

    from grader.costs.alternatives import Assumptions, study
    from grader.training_data.check import DEFAULT_MODEL
    from grader.training_data.costs import load_prices

    if not file.is_file():
        raise UsageError(f"{file}: there is no such file.")
    if plot is not None:
        _check_plot(plot)
    tuned = model or DEFAULT_MODEL
    with file_progress([file]) as progress:
        found = study(
            file,
            tuned,
            base_model or tuned,
            load_prices(prices),
            Assumptions(
                shots=shots,
                prompt_tokens=prompt_tokens,
                tuned_prompt_tokens=tuned_prompt_tokens,
                answer_tokens=answer_tokens,
                context_tokens=context_tokens,
                corpus_tokens=corpus_tokens,
                store_per_month=store,
                cache_hits=cache_hits,
                other_fixed=other,
                queries_per_day=queries_per_day,
            ),
            (today or datetime.now(UTC)).date(),
            _epochs(epochs),
            progress,
        )
    _print(found, format)
    if plot is not None:
        _draw(found, plot, quiet=format is WorkFormat.JSON)


def _print(found: CostStudy, format: WorkFormat) -> None:
    from grader.report import cost

    if format is WorkFormat.JSON:
        import json

        typer.echo(json.dumps(cost.to_json(found), indent=2))
        return
    for line in cost.head_lines(found):
        typer.echo(line)
    terminal = console()
    for table in (cost.prices_table, cost.query_table, cost.volume_table):
        terminal.print(table(found))
    for line in cost.verdict_lines(found):
        typer.echo(f"- {line}")


def _epochs(text: str) -> int | None:
    if text == "auto":
        return None
    if text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= 50 and len(text) <= 2:
        return int(text)
    raise UsageError(f"--epochs {text}: give a number from 1 to 50, or auto.")


def _check_plot(path: Path) -> None:
    """Raises UsageError for a name without a picture's suffix, so that no data is overwritten."""
    from grader.report.cost import FORMATS

    if path.suffix.removeprefix(".").lower() not in FORMATS or path.is_dir():
        raise UsageError(f"--plot {path}: give a file name that ends in .png or .svg.")


def _draw(found: CostStudy, path: Path, *, quiet: bool) -> None:
    from grader.core.text import clean
    from grader.report.cost import cost_plot

    picture = cost_plot(found, path.suffix.removeprefix(".").lower())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture)
    typer.echo(f"Plot: {clean(str(path))}", err=quiet)

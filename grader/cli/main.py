"""The command line: parses, calls, prints. The only place that prints or exits.

Exit codes: 0 done, nothing failed; 1 findings failed; 2 wrong usage or configuration; 3 the
grader failed on something. Results go to stdout, progress and errors to stderr.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grader import __version__
from grader.cli.common import (
    Format,
    FormatOption,
    RichProgress,
    complain,
    console,
    open_sandbox,
    print_findings,
    print_gradebook,
)
from grader.cli.cost import COST_EXAMPLES, cost
from grader.cli.data import data_app
from grader.cli.doctor import doctor
from grader.cli.simulate import simulate
from grader.core.constants import HIDDEN_MIN_QUESTIONS, HIDDEN_QUESTIONS
from grader.core.errors import FinegradeError, GraderFault, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.core.nouns import Finding, Result
    from grader.model_service.forward import Endpoint

# Heavy modules (scipy, matplotlib, torch) are imported inside the commands that need them, so
# that --help and the light commands start fast.

app = typer.Typer(
    help="Grade LLM fine-tuning coursework: students practise, TAs check, instructors grade.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
hidden_app = typer.Typer(help="Hidden question sets.", no_args_is_help=True)
app.add_typer(hidden_app, name="hidden")
app.add_typer(data_app, name="data")
app.command()(simulate)
app.command(epilog=COST_EXAMPLES)(cost)
app.command()(doctor)


AssignmentOption = Annotated[
    str, typer.Option("--assignment", "-a", help="An assignment's id, or the path of its YAML.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="Where models run: cpu or cuda.")]


@app.callback(invoke_without_command=True)
def about(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Grade LLM fine-tuning coursework: students practise, TAs check, instructors grade."""
    if version:
        typer.echo(f"finegrade {__version__}")
        raise typer.Exit


@app.command()
def kit(
    assignment: Annotated[str, typer.Argument(help="The assignment's id.")],
    dest: Annotated[Path, typer.Argument(help="A new folder, or a path ending in .zip.")],
) -> None:
    """Write a starter kit: scripts, data, the course model."""
    from grader.assignment.kit import write_kit
    from grader.assignment.load import load_assignment

    loaded = load_assignment(assignment)
    files = write_kit(loaded.id, loaded.topic, dest)
    typer.echo(f"{dest}: {len(files)} files. Begin with README.md in it.")


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="Your work: a folder or a .zip.")],
    assignment: AssignmentOption = "llm-methods",
    run: Annotated[
        bool,
        typer.Option("--run", help="Also run programs, and the adapter on the public test set."),
    ] = False,
    own_code: Annotated[
        bool,
        typer.Option(
            "--own-code", help="With --run: no sandbox. Only for your own work on your own machine."
        ),
    ] = False,
    device: DeviceOption = "cpu",
    format: FormatOption = Format.TEXT,
) -> None:
    """Check your own work before you hand it in, on public data."""
    import tempfile

    from grader.assignment.questions import public_test
    from grader.course import grade
    from grader.sandbox.unsandboxed import Unsandboxed

    if own_code and not run:
        raise UsageError("--own-code says how programs are run; give --run with it.")

    loaded = grade.load(assignment)
    progress = RichProgress()
    with tempfile.TemporaryDirectory(prefix="finegrade-") as work:
        graded = grade.grade(
            [path],
            loaded,
            public_test(loaded.topic) if run else None,
            Path(work) / "evidence.sqlite",
            progress,
            device=device,
            open_sandbox=Unsandboxed
            if own_code
            else lambda: open_sandbox(progress, None, reduced=True),
        )
    if own_code and format is Format.TEXT:
        typer.echo("Isolation: none. Your programs ran as you, with all your rights.", err=True)
    for result in graded.results:
        print_findings(result, format)
    code = _exit_code([finding for result in graded.results for finding in result.findings])
    if format is Format.TEXT and code == 0:
        typer.echo("All public checks passed; hidden tests run at grading.")
    raise typer.Exit(code)


@hidden_app.command("make")
def hidden_make(
    out: Annotated[Path, typer.Option("--out", help="A new folder; only you may read it.")],
    assignment: AssignmentOption = "llm-methods",
    seed: Annotated[
        int | None, typer.Option("--seed", help="For the same set again. Default: random.")
    ] = None,
    n: Annotated[
        int, typer.Option("--questions", min=HIDDEN_MIN_QUESTIONS, help="How many.")
    ] = HIDDEN_QUESTIONS,
) -> None:
    """Make a fresh hidden set for a class. Keep the folder to yourself."""
    from grader.assignment.load import load_assignment
    from grader.assignment.questions import make_hidden, write_hidden

    topic = load_assignment(assignment).topic
    chosen = secrets.randbits(63) if seed is None else seed
    try:
        questions = make_hidden(topic, chosen, n)
    except ValueError as error:
        raise UsageError(f"--questions {n}: {error}") from error
    write_hidden(questions, topic, chosen, out)
    typer.echo(f"{out}: {n} questions on {topic}, disjoint from all public ones.")


@app.command(
    epilog="Example: finegrade grade submissions --hidden hidden --out results\n\n"
    "With the programs' models answering as recorded: finegrade grade submissions --hidden hidden "
    "--out again --replay results"
)
def grade(
    paths: Annotated[list[Path], typer.Argument(help="Submissions, or folders of them.")],
    hidden: Annotated[
        Path, typer.Option("--hidden", help="A hidden set's folder, or your own JSONL.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Where results go; grading resumes there.")],
    assignment: AssignmentOption = "llm-methods",
    device: DeviceOption = "cpu",
    sandbox: Annotated[
        str | None, typer.Option("--sandbox", help="Which one; `finegrade doctor` lists them.")
    ] = None,
    allow_reduced: Annotated[
        bool,
        typer.Option("--allow-reduced", help="Run programs on hidden inputs with less isolation."),
    ] = False,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            help="An OpenAI-compatible service (…/v1) that answers to DSPy programs in the "
            "simulator's place; its key in FINEGRADE_ENDPOINT_KEY.",
        ),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            "--replay",
            metavar="OUT_OLD",
            help="The --out folder of an earlier grading: programs run again and are told what "
            "they were told then, so no model is asked and no job trained. For another sandbox, "
            "other limits or a newer finegrade. A program that asks something else is left open, "
            "at no cost in marks. OUT_OLD stays as it is.",
        ),
    ] = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Grade one submission or a class. Run it again at any time: what is done is kept."""
    from grader.assignment.questions import load_questions
    from grader.course import grade
    from grader.course.output import check_places, prepare, recordings, write_class, write_student

    if replay is not None and endpoint is not None:
        raise UsageError("With --replay no service is asked: leave --endpoint away.")
    loaded = grade.load(assignment)
    check_places(out, hidden, paths, loaded.id)
    recorded = recordings(replay, out, loaded.id) if replay is not None else None
    questions = load_questions(hidden, loaded.topic)
    progress = RichProgress()
    graded = grade.grade(
        paths,
        loaded,
        questions,
        prepare(out),
        progress,
        device=device,
        open_sandbox=lambda: open_sandbox(progress, sandbox, reduced=allow_reduced),
        endpoint=_endpoint(endpoint) if endpoint else None,
        recordings=recorded,
    )
    for result in graded.results:
        write_student(out, loaded, result)
    write_class(out, loaded)
    print_gradebook(graded.results, format)
    if format is Format.TEXT:
        told = "" if replay is None else f", programs answered from {replay}"
        typer.echo(f"{graded.collected} runs and readings{told}; the rest was in the store.")
        typer.echo(f"Class page: {out / 'class.html'}\nGradebook:  {out / 'gradebook.csv'}")
    broken = [r.student for r in graded.results if _has_error(r)]
    if broken:
        typer.echo(f"The grader failed on {len(broken)}: {', '.join(broken)}.", err=True)
        typer.echo(
            "The notes in their result.json say why; grade again when it is mended.", err=True
        )
        raise typer.Exit(3)


@app.command()
def rescore(
    out: Annotated[Path, typer.Argument(help="The --out folder of an earlier grade.")],
    rubric: Annotated[
        Path | None, typer.Option("--rubric", help="A changed assignment YAML.")
    ] = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Score again with other weights; say what changed and why."""
    from grader.course import grade
    from grader.course.output import assignment_of, read_results, write_class, write_student
    from grader.report.terminal import changes, changes_table

    id = assignment_of(out)
    loaded = grade.load(rubric if rubric is not None else id)
    if loaded.id != id:
        raise UsageError(f"{out} holds results of {id}, and {rubric} is {loaded.id}.")
    before = read_results(out, id)
    after = [grade.rescored(result, loaded) for result in before]
    for result in after:
        write_student(out, loaded, result)
    write_class(out, loaded)
    changed = changes(before, after)
    if format is Format.JSON:
        typer.echo(json.dumps(changed, indent=2))
    elif not changed:
        typer.echo(f"{len(after)} results scored again; no points changed.")
    else:
        console().print(changes_table(changed))


@app.command()
def explain(
    code: Annotated[str, typer.Argument(help="A check's code, such as ADP005 or JSL204.")],
) -> None:
    """What a check or a rule on training data claims, why, and how to mend a failure."""
    from grader.checks import all as _  # noqa: F401  (registers every check)
    from grader.checks.api.registry import all_checks
    from grader.training_data.rules import RULES

    checks, wanted = all_checks(), code.partition("@")[0].upper()
    found = RULES.get(wanted) or checks.get(wanted)
    if found is None:
        families = ", ".join(sorted({c[:3] for c in (*checks, *RULES)}))
        raise UsageError(f"There is no check {code}. Families: {families}, with three digits.")
    text = f"{found.code}  {found.title}\n\nWhy: {found.why}\n\nFix: {found.fix}"
    if wanted in RULES:
        rule = RULES[wanted]
        text += f"\n\nAsked for by: {rule.source} ({rule.severity})"
        text += f'\n\nOpenAI\'s service says: "{rule.service}"' if rule.service else ""
    elif measures := checks[wanted].measures:
        text += f"\n\nMeasures: {', '.join(measures)}"
    console().print(text, highlight=False, markup=False)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Where the sample class goes.")] = Path("demo"),
) -> None:
    """Train a sample class of adapters, and grade it."""
    from grader.cli.demo import run_demo

    made = run_demo(out, RichProgress())
    print_gradebook(made.results, Format.TEXT)
    typer.echo(
        f"Rank correlation of known quality and Part 3 points: {made.spearman:.2f} "
        f"(Spearman, {made.compared} students)"
    )
    typer.echo(f"Class page:      {made.class_page}\nA student's page: {made.student_page}")
    typer.echo(f"Grade it again:   {made.grade_command}")


def _endpoint(url: str) -> Endpoint:
    """The instructor's service. Raises UsageError for an address or a key that cannot be."""
    from grader.model_service.forward import Endpoint

    key = os.environ.get("FINEGRADE_ENDPOINT_KEY", "")
    if not url.startswith(("http://", "https://")) or not url.rstrip("/").endswith("/v1"):
        raise UsageError(f"--endpoint {url}: expected an address like https://api.openai.com/v1.")
    if not key:
        raise UsageError("--endpoint needs its key in the environment: FINEGRADE_ENDPOINT_KEY.")
    return Endpoint(url, key)


def _has_error(result: Result) -> bool:
    from grader.core.nouns import Outcome

    return any(finding.outcome is Outcome.ERROR for finding in result.findings)


def _exit_code(findings: Sequence[Finding]) -> int:
    """What did not hold decides; warnings and notes leave the code at 0."""
    from grader.core.nouns import Outcome, Severity

    if any(finding.outcome is Outcome.ERROR for finding in findings):
        return 3
    failed = [finding for finding in findings if finding.outcome is Outcome.FAIL]
    return 1 if any(finding.severity is Severity.ERROR for finding in failed) else 0


def main() -> None:
    """Entry point: finegrade's own errors become one clear line and an exit code."""
    # A pipe or an old terminal that is not UTF-8 gets "?" for what it cannot show.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        app()
    except UsageError as error:
        complain(f"finegrade: {error}")
        sys.exit(2)
    except GraderFault as error:
        complain(f"finegrade: {error}")
        sys.exit(3)
    except FinegradeError as error:
        complain(f"finegrade: {error}")
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be written
        place = f"{error.filename}: " if error.filename else ""
        complain(f"finegrade: {place}{error.strerror or error}.")
        sys.exit(3)
    except Exception:  # ours: Python's own exit code, 1, would say that findings failed
        traceback.print_exc()
        sys.exit(3)


if __name__ == "__main__":
    main()

"""The command line: parses, calls, prints. The only place that prints or exits.

Exit codes: see EXIT_CODES. Results go to stdout, progress and errors to stderr.
"""

from __future__ import annotations

import io
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from grader import __version__
from grader.cli.common import (
    AssignmentOption,
    DeviceOption,
    Format,
    FormatOption,
    Points,
    RichProgress,
    complain,
    console,
    open_sandbox,
    print_findings,
)
from grader.cli.cost import COST_EXAMPLES, cost
from grader.cli.data import data_app
from grader.cli.doctor import doctor
from grader.cli.grade import GRADE_EXAMPLES, grade, hidden_app, rescore
from grader.cli.release import release
from grader.cli.review import REVIEW_EXAMPLES, review
from grader.cli.simulate import SIMULATE_EXAMPLES, simulate
from grader.core.errors import FinegradeError, GraderFault, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.core.nouns import Assignment, Finding
    from grader.core.result import Result

# Heavy modules (scipy, matplotlib, torch) are imported inside the commands that need them, so
# that --help and the light commands start fast.

EXIT_CODES: Final = (
    "Exit codes: 0 success; 1 a check failed, or a file has errors (grade returns 0 whatever the "
    "marks are); 2 wrong usage or configuration; 3 finegrade itself failed on something."
)

app = typer.Typer(
    epilog=f"Example: finegrade data check train.jsonl\n\n{EXIT_CODES}",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(hidden_app, name="hidden")
app.add_typer(data_app, name="data")


@app.callback(invoke_without_command=True)
def about(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Grade LLM fine-tuning coursework.

    Students practise and check their own work, TAs check training data, instructors grade.
    """
    if version:
        typer.echo(f"finegrade {__version__}")
        raise typer.Exit


@app.command(epilog="Example: finegrade kit llm-methods work")
def kit(
    assignment: Annotated[str, typer.Argument(metavar="ASSIGNMENT", help="Id of the assignment.")],
    dest: Annotated[
        Path, typer.Argument(metavar="DEST", help="A new folder, or a new file ending in .zip.")
    ],
    notebooks: Annotated[
        bool, typer.Option("--notebooks", help="Write the scripts as Jupyter notebooks.")
    ] = False,
    wheel: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Wheel of finegrade to put into the kit, where no package index has it.",
            show_default="none",
        ),
    ] = None,
) -> None:
    """Write a starter kit: scripts, public data and the course model."""
    from grader.assignment.kit import write_kit
    from grader.assignment.load import load_assignment
    from grader.checks.api import all as _  # noqa: F401  (registers every check)
    from grader.checks.api.registry import titles_of

    loaded = load_assignment(assignment)
    claims = titles_of(loaded)
    files = write_kit(
        loaded.id, loaded.topic, dest, loaded, claims, notebooks=notebooks, wheel=wheel
    )
    typer.echo(f"{dest}: {len(files)} files. Begin with README.md in it.")


@app.command(
    epilog="Example: finegrade check work --run\n\n"
    "Exit codes: 0 no check of severity error failed; 1 one failed; 2 wrong usage; 3 finegrade "
    "failed."
)
def check(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="The submission: a folder or a .zip file.")
    ],
    assignment: AssignmentOption = "llm-methods",
    run: Annotated[
        bool,
        typer.Option(
            "--run",
            help="Also run the programs, and evaluate the adapter on the public test set. Without "
            "it only files are checked.",
        ),
    ] = False,
    own_code: Annotated[
        bool,
        typer.Option(
            "--own-code",
            help="With --run: run the programs without a sandbox, with your own rights. Only for "
            "your own work on your own machine.",
        ),
    ] = False,
    points: Annotated[
        Points,
        typer.Option("--points", help="Whether the text shows points, by part and finding."),
    ] = Points.ON,
    device: DeviceOption = "cpu",
    format: FormatOption = Format.TEXT,
) -> None:
    """Check your own work on public data before you submit it.

    Points that follow from answers to hidden questions are estimated on public ones.
    """
    import tempfile

    from grader.assignment.questions import public_test
    from grader.core.temporary import prefix
    from grader.course import grade
    from grader.intake.find import Extent, check_one
    from grader.sandbox.unsandboxed import Unsandboxed

    if own_code and not run:
        raise UsageError("--own-code has no effect without --run: give both.")

    loaded = grade.load(assignment)
    check_one(path, loaded.top_names)
    progress = RichProgress()
    with tempfile.TemporaryDirectory(prefix=prefix("check")) as work:
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
            extent=Extent.ONE,
        )
    if own_code and format is Format.TEXT:
        typer.echo("Isolation: none. Your programs ran as you, with all your rights.", err=True)
    for result in graded.results:
        _print_checked(loaded, result, format, points, run=run)
    code = _exit_code([finding for result in graded.results for finding in result.findings])
    if format is Format.TEXT and code == 0:
        typer.echo("All public checks passed; hidden tests run at grading.")
    raise typer.Exit(code)


def _print_checked(
    assignment: Assignment, result: Result, format: Format, shown: Points, *, run: bool
) -> None:
    """Print the points by part, the findings, and what to do next."""
    from grader.report.curves import curve_view
    from grader.report.terminal import shares_table, sheet_table, sheet_title, steps_table
    from grader.report.worth import next_steps, shares, worth_of

    if format is not Format.TEXT or shown is Points.OFF:
        print_findings(result, format)
        return
    found = shares(assignment, result)
    console().print(shares_table(found))
    if found[-1].estimated:
        typer.echo("Estimates follow from answers to public questions; hidden ones decide.")
    if found[-1].open:
        who = "a person or what is hidden until grading"
        typer.echo(f"Open points need {who}." if run else f"Open points need --run, {who}.")
    print_findings(result, format, worth_of(result.scores))
    for sheet in result.sheets:
        console().print(sheet_table(sheet) if sheet.wrong else sheet_title(sheet))
    for curve in result.curves:
        view = curve_view(curve)
        typer.echo(f"\n{view.title}: {view.said}")
    if steps := next_steps(assignment, result, tell_hidden=True):
        console().print(steps_table(steps))


@app.command(epilog="Example: finegrade explain ADP005")
def explain(
    code: Annotated[
        str,
        typer.Argument(metavar="CODE", help="Code of a check or a rule: ADP005, JSL204."),
    ],
) -> None:
    """Explain a check or a rule on training data.

    Prints its claim, why the claim matters, and how to fix a failure.
    """
    from grader.checks.api import all as _  # noqa: F401  (registers every check)
    from grader.checks.api.registry import all_checks
    from grader.training_data.rules import RULES

    checks, code = all_checks(), code.partition("@")[0].upper()
    found = RULES.get(code) or checks.get(code)
    if found is None:
        families = ", ".join(sorted({c[:3] for c in (*checks, *RULES)}))
        raise UsageError(
            f"There is no check {code}. A code is one of {families} and three digits, as in ADP005."
        )
    text = f"{found.code}  {found.title}\n\nWhy: {found.why}\n\nFix: {found.fix}"
    if code in RULES:
        rule = RULES[code]
        text += f"\n\nSource: {rule.source} (severity: {rule.severity})"
        text += f'\n\nOpenAI\'s service says: "{rule.service}"' if rule.service else ""
    elif measures := checks[code].measures:
        text += f"\n\nMeasures: {', '.join(measures)}"
    console().print(text, highlight=False, markup=False)


@app.command(epilog="Example: finegrade demo --out demo")
def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the sample class.")
    ] = Path("demo"),
    full: Annotated[
        bool,
        typer.Option("--full", help="Grade 23 students instead of 8: more trainings, more errors."),
    ] = False,
) -> None:
    """Train and grade a sample class in about two minutes."""
    from grader.cli.demo import marks_line, run_demo, summary
    from grader.cli.demo_class import FULL, SMALL

    progress = RichProgress()
    made = run_demo(
        out,
        progress,
        FULL if full else SMALL,
        open_sandbox=lambda: open_sandbox(progress, None, reduced=False),
    )
    progress.stop()
    console().print(summary(made.results))
    typer.echo(
        f"Rank correlation of known quality and Part 3 points: {made.spearman:.2f} "
        f"(Spearman, {made.compared} students)"
    )
    typer.echo(marks_line(made.results, made.class_page.parent))
    typer.echo(f"Class page:       {made.class_page}\nA student's page: {made.student_page}")
    typer.echo(f"Grade it again:   {made.grade_command}")


app.command(epilog=GRADE_EXAMPLES)(grade)
app.command(epilog="Example: finegrade rescore results --rubric my-weights.yaml")(rescore)
app.command(epilog=REVIEW_EXAMPLES)(review)
app.command(epilog="Example: finegrade release results")(release)
app.command(epilog=SIMULATE_EXAMPLES)(simulate)
app.command(epilog=COST_EXAMPLES)(cost)
app.command(epilog="Example: finegrade doctor --verbose")(doctor)


def _exit_code(findings: Sequence[Finding]) -> int:
    """3 for an error of the grader, 1 for a failed check of severity error, else 0."""
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
    except OSError as error:  # a full disk, a folder without write permission
        place = f"{error.filename}: " if error.filename else ""
        complain(f"finegrade: {place}{error.strerror or error}.")
        sys.exit(3)
    except Exception:  # a bug of ours: Python's own exit code, 1, would mean that a check failed
        traceback.print_exc()
        sys.exit(3)


if __name__ == "__main__":
    main()

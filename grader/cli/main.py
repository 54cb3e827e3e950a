"""The command line: parses, calls, prints. The only place that prints or exits.

Exit codes: see EXIT_CODES. Results go to stdout, progress and errors to stderr.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

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
from grader.cli.simulate import SIMULATE_EXAMPLES, simulate
from grader.core.constants import HIDDEN_MIN_QUESTIONS, HIDDEN_QUESTIONS
from grader.core.errors import FinegradeError, GraderFault, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.core.nouns import Finding, Result
    from grader.model_service.forward import Endpoint

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
hidden_app = typer.Typer(
    help="Make hidden questions for a class.",
    epilog="Example: finegrade hidden make --out hidden",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(hidden_app, name="hidden")
app.add_typer(data_app, name="data")


AssignmentOption = Annotated[
    str,
    typer.Option(
        "--assignment", "-a", metavar="ID", help="Id of the assignment, or path of its YAML file."
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="NAME", help="Device that models run on: cpu or cuda.")
]


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
) -> None:
    """Write a starter kit: scripts, public data and the course model."""
    from grader.assignment.kit import write_kit
    from grader.assignment.load import load_assignment

    loaded = load_assignment(assignment)
    files = write_kit(loaded.id, loaded.topic, dest)
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
    device: DeviceOption = "cpu",
    format: FormatOption = Format.TEXT,
) -> None:
    """Check your own work on public data before you submit it."""
    import tempfile

    from grader.assignment.questions import public_test
    from grader.course import grade
    from grader.sandbox.unsandboxed import Unsandboxed

    if own_code and not run:
        raise UsageError("--own-code has no effect without --run: give both.")

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


@hidden_app.command("make", epilog="Example: finegrade hidden make --out hidden --seed 7")
def hidden_make(
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", help="New folder for the questions; only its owner may read it."
        ),
    ],
    assignment: AssignmentOption = "llm-methods",
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            help="Seed of the generator: the same seed gives the same questions.",
            show_default="random",
        ),
    ] = None,
    n: Annotated[
        int,
        typer.Option(
            "--questions", min=HIDDEN_MIN_QUESTIONS, metavar="N", help="Number of questions."
        ),
    ] = HIDDEN_QUESTIONS,
) -> None:
    """Write a fresh set of hidden questions for a class.

    No question is among the public ones. Keep the folder private.
    """
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
    "Again, with recorded responses: "
    "finegrade grade submissions --hidden hidden --out again --replay results\n\n"
    "Exit codes: 0 every submission was graded, whatever the marks; 2 wrong usage; 3 finegrade "
    "failed on at least one submission."
)
def grade(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH", help="Submissions (folders or .zip files), or folders of submissions."
        ),
    ],
    hidden: Annotated[
        Path,
        typer.Option(
            "--hidden",
            metavar="PATH",
            help="Hidden questions: a folder of `finegrade hidden make`, or a JSONL file.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="OUT", help="Folder for results and evidence.")
    ],
    assignment: AssignmentOption = "llm-methods",
    device: DeviceOption = "cpu",
    sandbox: Annotated[
        str | None,
        typer.Option(
            "--sandbox",
            metavar="NAME",
            help="Sandbox that submitted programs run in; `finegrade doctor` lists them.",
            show_default="the strongest that works here",
        ),
    ] = None,
    allow_reduced: Annotated[
        bool,
        typer.Option(
            "--allow-reduced",
            help="Accept a sandbox with reduced isolation where no other works.",
        ),
    ] = False,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            metavar="URL",
            help="OpenAI-compatible service (…/v1) that DSPy programs use as their model; its key "
            "is read from FINEGRADE_ENDPOINT_KEY.",
            show_default="the local simulator",
        ),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            "--replay",
            metavar="OUT_OLD",
            help="The --out folder of an earlier grading. Programs run again and receive the "
            "responses recorded there, so no model runs for them and no job trains. A program "
            "that sends a request without a recorded response stays ungraded, at no cost in "
            "marks. OUT_OLD does not change.",
            show_default="no replay",
        ),
    ] = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Grade one submission or a class.

    Run the command again at any time, for example after an interruption: evidence in OUT is
    reused, so only what is missing is collected.
    """
    from grader.assignment.questions import load_questions
    from grader.course import grade
    from grader.course.output import check_places, prepare, recordings, write_class, write_student

    if replay is not None and endpoint is not None:
        raise UsageError("--replay sends no requests to a service: omit --endpoint.")
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
        source = "" if replay is None else f", with responses recorded in {replay}"
        typer.echo(
            f"Collected {graded.collected} pieces of evidence{source}; the rest was in the store."
        )
        typer.echo(f"Class page: {out / 'class.html'}\nGradebook:  {out / 'gradebook.csv'}")
    broken = [r.student for r in graded.results if _has_error(r)]
    if broken:
        typer.echo(f"The grader failed on {len(broken)}: {', '.join(broken)}.", err=True)
        typer.echo(
            "The notes in their result.json say why. Fix the cause and grade again.", err=True
        )
        raise typer.Exit(3)


@app.command(epilog="Example: finegrade rescore results --rubric my-weights.yaml")
def rescore(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The --out folder of an earlier grading.")
    ],
    rubric: Annotated[
        Path | None,
        typer.Option(
            "--rubric",
            metavar="FILE",
            help="Assignment YAML with the new weights.",
            show_default="the assignment as installed",
        ),
    ] = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Score stored results again with another rubric.

    Prints which points changed and why. No program and no model runs.
    """
    from grader.course import grade
    from grader.course.output import assignment_of, read_results, write_class, write_student
    from grader.report.terminal import changes, changes_table

    id = assignment_of(out)
    loaded = grade.load(rubric if rubric is not None else id)
    if loaded.id != id:
        raise UsageError(f"{out} holds results of {id}, but {rubric} is for {loaded.id}.")
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
    from grader.checks import all as _  # noqa: F401  (registers every check)
    from grader.checks.api.registry import all_checks
    from grader.training_data.rules import RULES

    checks, code = all_checks(), code.upper()
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
) -> None:
    """Train, submit and grade a sample class."""
    from grader.cli.demo import run_demo

    made = run_demo(out, RichProgress())
    print_gradebook(made.results, Format.TEXT)
    typer.echo(
        f"Rank correlation of known quality and Part 3 points: {made.spearman:.2f} "
        f"(Spearman, {made.compared} students)"
    )
    typer.echo(f"Class page:      {made.class_page}\nA student's page: {made.student_page}")
    typer.echo(f"Grade it again:   {made.grade_command}")


app.command(epilog=SIMULATE_EXAMPLES)(simulate)
app.command(epilog=COST_EXAMPLES)(cost)
app.command(epilog="Example: finegrade doctor --verbose")(doctor)


def _endpoint(url: str) -> Endpoint:
    """The instructor's service. Raises UsageError for an invalid address or a missing key."""
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

"""`finegrade grade`, `rescore` and `hidden make`: the instructor's commands."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from grader.cli.common import (
    AssignmentOption,
    DeviceOption,
    Format,
    FormatOption,
    RichProgress,
    console,
    open_sandbox,
    part_files,
    print_gradebook,
)
from grader.cli.endpoint import checked_endpoint, spending_text
from grader.core.constants import HIDDEN_MIN_QUESTIONS, HIDDEN_QUESTIONS
from grader.core.errors import UsageError

if TYPE_CHECKING:
    from grader.core.result import Result
    from grader.evidence.store import Recordings

hidden_app = typer.Typer(
    help="Make hidden questions for a class.",
    epilog="Example: finegrade hidden make --out hidden",
    no_args_is_help=True,
    rich_markup_mode=None,
)

GRADE_EXAMPLES: Final = (
    "Example: finegrade grade submissions --hidden hidden --out results\n\n"
    "Again, with recorded responses: "
    "finegrade grade submissions --hidden hidden --out again --replay results\n\n"
    "With OpenAI's model for DSPy programs, for at most 5 dollars: "
    "finegrade grade submissions --hidden hidden --out results --endpoint "
    "https://api.openai.com/v1 --endpoint-model gpt-4.1-nano --budget 5\n\n"
    "Exit codes: 0 every submission was graded, whatever the marks; 2 wrong usage; 3 finegrade "
    "failed on at least one submission."
)


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
    as_class: Annotated[
        bool,
        typer.Option("--class", help="Each folder and archive in PATH is one submission."),
    ] = False,
    as_one: Annotated[
        bool, typer.Option("--one", help="Each PATH is one submission, whatever lies in it.")
    ] = False,
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
            "is read from FINEGRADE_ENDPOINT_KEY. Programs send it texts and no more: neither "
            "tools nor images, at most 8 choices of 4,096 tokens for 100,000 bytes of text.",
            show_default="the local simulator",
        ),
    ] = None,
    endpoint_model: Annotated[
        str | None,
        typer.Option(
            "--endpoint-model",
            metavar="NAME",
            help="Model of --endpoint that answers, whichever one a program names.",
            show_default="none",
        ),
    ] = None,
    endpoint_price: Annotated[
        str | None,
        typer.Option(
            "--endpoint-price",
            metavar="IN,OUT",
            help="USD for a million tokens of prompts and of answers; 0,0 for a model of your own.",
            show_default="from the dated table of prices that `finegrade cost` uses",
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget",
            min=0,
            metavar="USD",
            help="Most that all gradings into OUT may spend at --endpoint. When it is used up, the "
            "remaining programs stay ungraded, at no cost in marks; grade again with a larger one.",
            show_default="none; needed unless the price is 0,0",
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
            "marks. What people decided there does not come along; the output says how to bring "
            "it. OUT_OLD does not change.",
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
    from grader.core.text import clean
    from grader.course import grade
    from grader.course.output import (
        check_places,
        prepare,
        recordings,
        released_marks,
        write_class,
        write_student,
    )
    from grader.course.rescore import assignment_for, keep_rubric
    from grader.intake.find import Extent

    if as_class and as_one:
        raise UsageError("--class and --one say opposite things: give one of them.")
    extent = Extent.CLASS if as_class else Extent.ONE if as_one else None
    if replay is not None and endpoint is not None:
        raise UsageError("--replay sends no requests to a service: omit --endpoint.")
    lent = checked_endpoint(endpoint, endpoint_model, endpoint_price, budget)
    loaded, kept = assignment_for(out, assignment)
    check_places(out, hidden, paths, loaded.id)
    recorded = recordings(replay, out, loaded.id) if replay is not None else None
    questions = load_questions(hidden, loaded.topic)
    part_files(out)
    if kept:
        typer.echo(
            f"{out} keeps the rubric that was given last, {kept}. --assignment FILE sets another.",
            err=True,
        )
    progress = RichProgress()
    store = prepare(out)
    service = lent.open(store) if lent is not None else None
    graded = grade.grade(
        paths,
        loaded,
        questions,
        store,
        progress,
        device=device,
        open_sandbox=lambda: open_sandbox(progress, sandbox, reduced=allow_reduced),
        endpoint=service,
        recordings=recorded,
        extent=extent,
    )
    if graded.left_out:
        names = ", ".join(clean(path.name, 60) for path in graded.left_out)
        typer.echo(f"Left out, since they are neither folder nor archive: {names}.", err=True)
    keep_rubric(out, assignment)
    released = released_marks(out)
    for result in graded.results:
        write_student(out, loaded, result, released)
    write_class(out, loaded)
    print_gradebook(graded.results, format)
    if format is Format.TEXT:
        source = "" if replay is None else f", with responses recorded in {replay}"
        typer.echo(
            f"Collected {graded.collected} pieces of evidence{source}; the rest was in the store."
        )
        typer.echo(f"Class page: {out / 'class.html'}\nGradebook:  {out / 'gradebook.csv'}")
    if recorded is not None and replay is not None:
        _say_what_people_decided(recorded, replay, out, {r.student for r in graded.results})
    if service is not None:
        typer.echo(spending_text(service), err=True)
    broken = [r.student for r in graded.results if _has_error(r)]
    if broken:
        typer.echo(f"The grader failed on {len(broken)}: {', '.join(broken)}.", err=True)
        typer.echo(
            f"The notes in {out / 'staff'}/<student>/result.json say why. Fix the cause and grade "
            "again.",
            err=True,
        )
        raise typer.Exit(3)


def _say_what_people_decided(
    recorded: Recordings, replay: Path, out: Path, students: set[str]
) -> None:
    """A replay is another grading: decisions come over when somebody brings them."""
    from grader.core.text import counted
    from grader.course.output import STORE_NAME
    from grader.evidence.store import open_store

    with open_store(out / STORE_NAME) as store:
        here = store.reviews.latest()
    left = [p for p in recorded.decided() if p.student in students and p not in here]
    if left:
        typer.echo(
            f"{counted(len(left), 'decision')} of people in {replay} did not come along. Those "
            "about work that is the same still hold, and this brings them: "
            f"finegrade review {replay} --export decided.csv --names, then "
            f"finegrade review {out} --import decided.csv",
            err=True,
        )


def rescore(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The --out folder of an earlier grading.")
    ],
    rubric: Annotated[
        Path | None,
        typer.Option(
            "--rubric",
            metavar="FILE",
            help="Assignment YAML with the new weights, or the id of an installed assignment.",
            show_default="the one that was given last",
        ),
    ] = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Score stored results again with another rubric.

    Prints which points changed and why. No program and no model runs, and what people decided
    stays. The rubric given last, here or to `grade`, counts until another is given.
    """
    from grader.course.rescore import rescore
    from grader.report.terminal import changes, changes_table

    part_files(out)
    done = rescore(out, rubric)
    changed = changes(done.before, done.after)
    if format is Format.JSON:
        typer.echo(json.dumps(changed, indent=2))
    elif not changed:
        typer.echo(f"{len(done.after)} results scored again; no points changed.")
    else:
        console().print(changes_table(changed))


def _has_error(result: Result) -> bool:
    from grader.core.nouns import Outcome

    return any(finding.outcome is Outcome.ERROR for finding in result.findings)

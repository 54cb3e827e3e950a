"""Pages from templates: every text escaped, one style sheet and one script, nothing loaded.

Pages for people: the overview, a file's findings, the box to ask, the journal; and health.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anyio.to_thread import run_sync as to_thread
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment
from markupsafe import Markup

from grader import __version__
from grader.core.openai_wire import ANY_KEY, KEY_VARIABLE, URL_VARIABLE
from grader.core.text import clean_lines, templates
from grader.openai_sim.decoding.model_names import base_names
from grader.openai_sim.pages import journal_page, overview, playground
from grader.openai_sim.services import Used
from grader.openai_sim.store.errors import no_such_file
from grader.openai_sim.store.journal import Line, of_clients, summary
from grader.openai_sim.store.parameters import given_key
from grader.training_data.encodings import base_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_TEMPLATES: Final = Path(__file__).parent / "templates"
_SHEET, _SCRIPT = "page.css", "page.js"


def render(template: str, **values: Any) -> HTMLResponse:
    """The page, with a policy by which a browser uses our own script and style sheet alone."""
    page = _environment().get_template(template).render(version=__version__, **values)
    return HTMLResponse(
        page,
        headers={
            "content-security-policy": _policy(),
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
        },
    )


def clock(seconds: float) -> str:
    """A Unix time as this machine's clock showed it."""
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}"


def span(seconds: float) -> str:
    """A length of time for people: 0.35 s, 12 s, 2 min 5 s, 3 h 20 min."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(number: int) -> str:
    """A number of bytes for people."""
    if number < 1000:
        return f"{number} B"
    return f"{number / 1000:.1f} kB" if number < 1_000_000 else f"{number / 1e6:.1f} MB"


def loss(value: float) -> str:
    """A loss with three decimals, or two significant digits where it is small."""
    return f"{value:.3f}" if value >= 0.01 or value == 0 else f"{value:.2g}"


@cache
def _environment() -> Environment:
    environment = templates(_TEMPLATES, clean_lines)
    environment.filters.update(clock=clock, span=span, size=size, loss=loss)
    environment.globals.update(sheet=Markup(_own(_SHEET)), script=Markup(_own(_SCRIPT)))
    return environment


@cache
def _own(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _policy() -> str:
    def digest(name: str) -> str:
        return "sha256-" + base64.b64encode(hashlib.sha256(_own(name).encode()).digest()).decode()

    return (
        f"default-src 'none'; style-src '{digest(_SHEET)}'; script-src '{digest(_SCRIPT)}'; "
        "connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


_LINES_SHOWN: Final = 200  # of the journal, newest first
_RUNS_SHOWN: Final = 20  # to choose from
_QUESTIONS: Final = 12  # of the job's own file, to choose from
_KEY_ASKED: Final = "<the key that finegrade simulate printed>"

# Seconds between two looks of an open page: while a job is under way, and otherwise.
_BUSY_EVERY, _IDLE_EVERY = 1, 5

router = APIRouter()


@router.get("/health", tags=["finegrade"])
def health() -> dict[str, str]:
    """That the service runs; the only page that never needs a key."""
    return {"status": "ok", "version": __version__}


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
def overview_page(request: Request, used: Used) -> HTMLResponse:
    """Jobs with their progress and losses, models, and files."""
    store = used.store
    jobs = overview.jobs(store)
    models = store.list_models()
    return render(
        "overview.html.j2",
        counts=overview.counts(jobs),
        jobs=jobs,
        files=overview.files(store),
        tuned=[row for row in reversed(models) if row.adapter is not None],
        bases=[row for row in models if row.adapter is None],
        scenarios=used.faults.scenarios,
        exports=_exports(request),
        **_refresh(any(job.under_way for job in jobs)),
    )


@router.get("/files/{file_id}", response_class=HTMLResponse, include_in_schema=False)
def file_page(file_id: str, used: Used) -> HTMLResponse:
    """The data rules' findings on a file."""
    row = used.store.get_file(file_id)
    if row is None:
        raise no_such_file(file_id)
    return render("file.html.j2", file=overview.file_view(row), found=overview.findings(row))


@router.get("/try", response_class=HTMLResponse, include_in_schema=False)
async def try_page(
    request: Request,
    used: Used,
    question: str = "",
    model: str = "",
    system: str | None = None,
) -> HTMLResponse:
    """The same question to a tuned model and to its base, side by side."""
    rows = await to_thread(used.store.list_models)
    tuned = [row.id for row in reversed(rows) if row.adapter is not None]
    chosen = model or (tuned or list(base_names()))[0]
    examples = await to_thread(playground.examples_of, used.store, chosen)
    if system is None:  # as the model was trained
        system = examples[0].system if examples else ""
    answers: list[playground.PlaygroundAnswer] = []
    if question and model:
        base = base_of(model)
        key = given_key(request.headers) or ANY_KEY
        # One after the other, so that each has its own time.
        for name in dict.fromkeys((base, model)):
            answers.append(await playground.ask(request.app, key, name, system, question))
    failed = any(answer.error for answer in answers)
    texts = [answer.text for answer in answers]
    others = [answers[-1].text, answers[0].text] if len(answers) == 2 and not failed else texts
    return render(
        "try.html.j2",
        question=question,
        system=system,
        model=chosen,
        models=tuned or list(base_names()),
        any_tuned=bool(tuned),
        examples=examples[:_QUESTIONS],
        known=next((e for e in examples if e.question == question.strip()), None),
        answers=[
            (answer, playground.compared(answer.text, other))
            for answer, other in zip(answers, others, strict=True)
        ],
        same=len(set(texts)) == 1,
        failed=failed,
    )


@router.get("/journal", response_class=HTMLResponse, include_in_schema=False)
def show_journal(
    request: Request, used: Used, run: str = "", path: str = "", status: str = ""
) -> HTMLResponse:
    """Requests of clients: a summary of the latest run, and its list."""
    kept = used.journal.last_lines() if used.journal else []
    runs = journal_page.runs(of_clients(kept))
    numbered = list(enumerate(runs, 1))
    lines = _chosen(runs, run)
    wanted = [line for line in reversed(lines) if journal_page.fits(line, path, status)]
    return render(
        "journal.html.j2",
        runs=[(at, its[0]["time"], len(its)) for at, its in numbered[-_RUNS_SHOWN:]],
        run=run,
        path=path,
        status=status,
        statuses=journal_page.STATUSES,
        begin=lines[0]["time"] if lines else 0,
        end=lines[-1]["time"] if lines else 0,
        facts=summary(lines),
        repeated=journal_page.repeated(lines),
        strips=journal_page.strips(lines) if lines else None,
        found=len(wanted),
        lines=[
            (line, journal_page.how_it_went(line), journal_page.about(line))
            for line in wanted[:_LINES_SHOWN]
        ],
        exports=_exports(request),
        **_refresh(any(job.under_way for job in overview.jobs(used.store))),
    )


def _chosen(runs: Sequence[list[Line]], run: str) -> list[Line]:
    """The requests of the run with this number, of all runs for "all", else of the latest."""
    if run == "all":
        return [line for its in runs for line in its]
    if run.isdecimal() and len(run) < 6 and 1 <= int(run) <= len(runs):
        return runs[int(run) - 1]
    return runs[-1] if runs else []


def _refresh(busy: bool) -> dict[str, Any]:
    return {"every": _BUSY_EVERY if busy else _IDLE_EVERY, "busy": busy}


def _exports(request: Request) -> list[str]:
    """The two shell lines that point a client here; a required key is never shown."""
    url = f"{str(request.base_url).rstrip('/')}/v1"
    key = ANY_KEY if given_key(request.headers) is None else _KEY_ASKED
    return [
        f"export {URL_VARIABLE}={shlex.quote(url)}",
        f"export {KEY_VARIABLE}={shlex.quote(key)}",
    ]

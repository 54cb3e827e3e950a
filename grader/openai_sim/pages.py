"""Pages for people: the overview, the journal, and whether the service is well."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
from anyio.to_thread import run_sync as to_thread
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from grader import __version__
from grader.openai_sim.journal import Journal, summary, summary_text
from grader.openai_sim.models import base_names
from grader.openai_sim.parameters import given_key
from grader.openai_sim.store import DONE, EventRow, JobRow, Store

if TYPE_CHECKING:
    from collections.abc import Sequence

_TEMPLATES: Final = Path(__file__).parent / "templates"
_SHOWN: Final = 50  # rows of each table
_LINES_SHOWN: Final = 200  # of the journal, newest first
_CURVES: Final = 10  # jobs with a loss curve
_CURVE_POINTS: Final = 400  # of one curve; as many as the picture is wide
_WIDTH, _HEIGHT = 400, 80  # of a curve in its own units
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"

router = APIRouter()


@router.get("/health", tags=["finegrade"])
def health() -> dict[str, str]:
    """Whether the service is there; the only page that never asks for a key."""
    return {"status": "ok", "version": __version__}


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
def overview(request: Request) -> HTMLResponse:
    """Files, jobs with their losses, and models."""
    store: Store = request.app.state.store
    jobs = store.list_jobs(limit=_SHOWN)
    return _page(
        "overview.html.j2",
        files=store.list_files(limit=_SHOWN),
        jobs=[(job, _curve(store, job) if at < _CURVES else None) for at, job in enumerate(jobs)],
        models=store.list_models(),
        scenarios=[scenario.name for scenario in request.app.state.faults.scenarios],
        working=any(job.status not in DONE for job in jobs),
    )


@router.get("/try", response_class=HTMLResponse, include_in_schema=False)
async def try_models(request: Request, question: str = "", model: str = "") -> HTMLResponse:
    """The same question to a tuned model and to its base, side by side."""
    store: Store = request.app.state.store
    tuned = [row.id for row in await to_thread(store.list_models) if row.adapter is not None]
    answers: list[tuple[str, str]] = []
    if question and model:
        base = model.split(":")[1] if model.startswith("ft:") else model
        names = dict.fromkeys((base, model))
        answers = [(name, await _ask(request, name, question)) for name in names]
    return _page(
        "try.html.j2",
        question=question,
        model=model,
        models=tuned or list(base_names()),
        answers=answers,
    )


async def _ask(request: Request, model: str, question: str) -> str:
    """What a model answers, asked as any client asks; or what the service says instead."""
    body = {"model": model, "messages": [{"role": "user", "content": question}], "temperature": 0}
    key = given_key(request.headers) or "page"
    transport = httpx.ASGITransport(app=request.app)
    async with httpx.AsyncClient(transport=transport, base_url=str(request.base_url)) as client:
        answer = await client.post(
            "/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"}
        )
    said = answer.json()
    if answer.status_code != 200:
        return f"{answer.status_code}: {said['error']['message']}"
    return str(said["choices"][0]["message"]["content"])


@router.get("/journal", response_class=HTMLResponse, include_in_schema=False)
def journal_page(request: Request) -> HTMLResponse:
    """What clients did."""
    journal: Journal = request.app.state.journal
    lines = journal.last_lines()
    return _page(
        "journal.html.j2",
        summary=summary_text(summary(lines)).splitlines(),
        lines=[(line, _rest(line)) for line in reversed(lines[-_LINES_SHOWN:])],
    )


def _page(template: str, **values: Any) -> HTMLResponse:
    page = _environment().get_template(template).render(version=__version__, **values)
    return HTMLResponse(page, headers={"content-security-policy": _POLICY})


@cache
def _environment() -> Environment:
    return Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FileSystemLoader(_TEMPLATES),
    )


def _rest(line: dict[str, Any]) -> str:
    """What a line says beside its columns."""
    shown = {"time", "request", "method", "path", "status", "ms", "scenario", "retry_count"}
    return json.dumps({k: v for k, v in line.items() if k not in shown}, ensure_ascii=False)


def _curve(store: Store, job: JobRow) -> dict[str, Any] | None:
    """Points of an SVG polyline of the training loss, with the first and the last loss."""
    events = [event for event in store.list_events(job.id) if event.type == "metrics"]
    losses = _losses(events)
    if len(losses) < 2:
        return None
    step = max(1, len(losses) // _CURVE_POINTS)
    drawn = losses[::step]
    most = max(drawn) or 1.0
    points = " ".join(
        f"{at * _WIDTH / (len(drawn) - 1):.1f},{_HEIGHT * (1 - loss / most):.1f}"
        for at, loss in enumerate(drawn)
    )
    return {
        "points": points,
        "first": losses[0],
        "last": losses[-1],
        "width": _WIDTH,
        "height": _HEIGHT,
    }


def _losses(events: Sequence[EventRow]) -> list[float]:
    """The training losses in the order of the steps."""
    found = [(event.data or {}).get("train_loss") for event in reversed(events)]
    return [float(loss) for loss in found if isinstance(loss, int | float)]

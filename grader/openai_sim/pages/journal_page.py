"""The data of the journal page: runs, the times of requests by kind, and the requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from grader.core.openai_wire import FILES, GENERATION, JOBS
from grader.openai_sim.store.journal import Line

_SILENCE: Final = 300.0  # seconds; a program that waits for a slow queue asks more often
_TICKS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_MOST_TICKS: Final = 6

STATUSES: Final = {
    "": "any status",
    "ok": "answered (2xx)",
    "refused": "refused (4xx)",
    "failed": "failed (5xx)",
    "fault": "hit by a scenario",
    "retry": "retries of the client library",
}
"""The filters of requests, each with its label."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Requests at one place of a strip, in per cent; `how` is "ok", "retry" or "bad"."""

    at: float
    how: str


@dataclass(frozen=True, slots=True)
class Strip:
    """When requests of one kind came."""

    kind: str
    requests: int
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Strips:
    """All strips over one axis, whose `ticks` are places in per cent with their seconds."""

    strips: tuple[Strip, ...]
    ticks: tuple[tuple[float, float], ...]


def runs(lines: Sequence[Line]) -> list[list[Line]]:
    """The requests in order of time, split where none came for five minutes."""
    found: list[list[Line]] = []
    last = float("-inf")
    for line in sorted(lines, key=lambda line: line["time"]):
        if line["time"] - last > _SILENCE:
            found.append([])
        found[-1].append(line)
        last = line["time"]
    return found


def kind_of(line: Line) -> str:
    """The kind of a request."""
    path, post = line["path"], line["method"] == "POST"
    if post and path == FILES:
        return "Uploads"
    if post and path == JOBS:
        return "New jobs"
    if line["method"] == "GET" and path.startswith(JOBS + "/"):
        return "Polls of jobs"
    if post and path in GENERATION:
        return "Questions"
    return "Others"


def strips(lines: Sequence[Line]) -> Strips:
    """The strips of a run that has requests."""
    begin = lines[0]["time"]
    length = max(lines[-1]["time"] - begin, 1.0)
    kinds: dict[str, list[Line]] = {}
    for kind in ("Uploads", "New jobs", "Polls of jobs", "Questions", "Others"):
        kinds[kind] = []
    for line in lines:
        kinds[kind_of(line)].append(line)
    drawn = []
    for kind, its in kinds.items():
        # Requests that would lie on each other are drawn once.
        marks = dict.fromkeys(
            Mark(round(100 * (line["time"] - begin) / length, 1), how_it_went(line)) for line in its
        )
        if its:
            drawn.append(
                Strip(kind, len(its), tuple(sorted(marks, key=lambda mark: mark.how != "ok")))
            )
    step = next((s for s in _TICKS if length / s <= _MOST_TICKS), length)
    ticks = [k * step for k in range(int(length / step) + 1)]
    return Strips(tuple(drawn), tuple((round(100 * at / length, 1), at) for at in ticks))


def how_it_went(line: Line) -> str:
    """ "bad" for a request that failed, "retry" for a client library's retry, else "ok"."""
    if line["status"] >= 400 or line.get("scenario"):
        return "bad"
    return "retry" if line.get("retry_count") else "ok"


def repeated(lines: Sequence[Line]) -> list[list[str]]:
    """The ids of jobs that the same request body created, where there are several."""
    bodies: dict[str, list[str]] = {}
    for line in lines:
        if line.get("job_created"):
            bodies.setdefault(str(line.get("body_digest", "")), []).append(str(line["job"]))
    return [ids for ids in bodies.values() if len(ids) > 1]


def fits(line: Line, path: str, status: str) -> bool:
    """Whether a request matches the filters: a part of its path, and one of STATUSES."""
    if path.lower() not in f"{line['method']} {line['path']}".lower():
        return False
    match status:
        case "ok":
            return bool(line["status"] < 300)
        case "refused":
            return bool(400 <= line["status"] < 500)
        case "failed":
            return bool(line["status"] >= 500)
        case "fault":
            return bool(line.get("scenario"))
        case "retry":
            return bool(line.get("retry_count"))
    return True


def about(line: Line) -> list[str]:
    """What a request concerned, beside its path: model, job, file."""
    said: list[Any] = [line.get(key) for key in ("model", "job", "file")]
    texts = [str(value) for value in said if value and str(value) not in line["path"]]
    if line.get("job_fate"):
        texts.append(f"fate: {line['job_fate']}")
    if line.get("wrong_key"):
        texts.append("wrong key")
    return texts

"""The journal of `finegrade simulate`: one JSON line for each request, and a summary of them.

The lines outlive the service. A graded run has a record of its own instead
(grader/model_service/record.py).
"""

from __future__ import annotations

import json
import statistics
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grader.core.errors import is_machines
from grader.core.openai_wire import API, GENERATION, JOBS
from grader.core.payloads import SERVICE_FAULT
from grader.core.text import counted

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Message, Receive

NOTES: Final = "finegrade.notes"  # keys in an ASGI scope: what the service did,
BODY: Final = "finegrade.body"  # and the request's body, where it is read already
_TEXT_CHARACTERS: Final = 200  # of any text of a client that is written down
_LAST_BYTES: Final = 4 * 1024 * 1024  # read for the page: some 10,000 requests

MACHINE_FAULT: Final = "fault"
"""The note of one on which the machine, or an instructor's endpoint, failed: another try helps."""

PAGE_AGENT: Final = "finegrade-page"
"""The user agent of the service's own page where it sends requests."""

Line = Mapping[str, Any]


def begin(scope: MutableMapping[str, Any]) -> dict[str, Any]:
    """The notes of a new request; all that handles it adds to them."""
    notes: dict[str, Any] = {}
    scope[NOTES] = notes
    return notes


def note(request: Request, **facts: Any) -> None:
    """Add facts to the request's line; texts are cut short."""
    notes: dict[str, Any] = request.scope.get(NOTES, {})
    notes.update({name: short(value) for name, value in facts.items()})


def note_fault(scope: MutableMapping[str, Any], error: BaseException) -> None:
    """Note that the service, or the machine, failed on this request."""
    kind = MACHINE_FAULT if is_machines(error) else SERVICE_FAULT
    scope.get(NOTES, {})[kind] = type(error).__name__


def short(value: Any) -> Any:
    """A value, cut short where it is a long text."""
    return value[:_TEXT_CHARACTERS] if isinstance(value, str) else value


def given(body: bytes, receive: Receive) -> Receive:
    """`receive` for the next reader of a body that was read."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


class Journal:
    """The file of lines in a service's folder."""

    def __init__(self, home: Path) -> None:
        self.path = home / "journal.jsonl"
        self._lock = threading.Lock()

    def write(self, line: Line) -> None:
        """Append one line, whole also where several threads write."""
        data = (json.dumps(line, ensure_ascii=True) + "\n").encode()
        with self._lock, self.path.open("ab", buffering=0) as file:
            file.write(data)

    def size(self) -> int:
        """Bytes written so far: where later lines begin."""
        return self.path.stat().st_size if self.path.exists() else 0

    def lines(self, since: int = 0) -> list[dict[str, Any]]:
        """All lines from byte `since` on; a line that a killed service cut short is left out."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(since)
            return list(_read(file))

    def last_lines(self) -> list[dict[str, Any]]:
        """The newest lines that fit into a page, in order."""
        return self.lines(max(0, self.size() - _LAST_BYTES))


def _read(file: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for raw in file:
        try:
            value = json.loads(raw)
        except ValueError:
            continue
        if isinstance(value, dict) and "path" in value:
            yield value


def of_clients(lines: Iterable[Line]) -> list[Line]:
    """The requests of clients in order of time, without those of the service's own pages."""
    asked = (
        line
        for line in lines
        if line["path"].startswith(API) and line.get("user_agent") != PAGE_AGENT
    )
    return sorted(asked, key=lambda line: line["time"])


def is_poll(line: Line) -> bool:
    """Whether a client polls a job; a later page of a list is no new poll."""
    asks = line["method"] == "GET" and not line.get("later_page")
    return bool(asks and line["path"].startswith(JOBS + "/") and line.get("job"))


def summary(lines: Iterable[Line]) -> dict[str, Any]:
    """What clients did, as a JSON value.

    `requests`, `files_uploaded`, `jobs_created` (ids), of which `duplicate_jobs` came of a request
    body that had created one before; `polls` has for each job how often it was asked for and the
    median and the least seconds between two requests for the same; `faults` counts what scenarios
    did and `reactions` what the client did next with the same request: "retried by the client
    library", "retried by the program", or "gave up"; `reactions_to` has these counts for each
    scenario; `models_used` counts answered inference requests; `statuses` and `clients` count all
    requests.
    """
    rows = of_clients(lines)
    reactions = _reactions(rows)
    created = [r for r in rows if r.get("job_created")]
    bodies = Counter(str(r.get("body_digest", "")) for r in created)
    used = Counter(
        str(r["model"])
        for r in rows
        if r["path"] in GENERATION and r["status"] == 200 and "model" in r
    )
    return {
        "requests": len(rows),
        "files_uploaded": [r["file"] for r in rows if r.get("file_uploaded")],
        "jobs_created": [r["job"] for r in created],
        "duplicate_jobs": sum(count - 1 for count in bodies.values()),
        "polls": _polls(rows),
        "faults": dict(Counter(str(r["scenario"]) for r in rows if r.get("scenario"))),
        "reactions": dict(sum(reactions.values(), Counter[str]())),
        "reactions_to": {scenario: dict(counts) for scenario, counts in reactions.items()},
        "library_retries": sum(1 for r in rows if r.get("retry_count")),
        "models_used": dict(used),
        "statuses": dict(sorted(Counter(str(r["status"]) for r in rows).items())),
        "clients": dict(Counter(str(r.get("user_agent", "")) for r in rows)),
    }


def _polls(rows: Iterable[Line]) -> dict[str, Any]:
    asked: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if is_poll(row):
            asked.setdefault(row["job"], {}).setdefault(row["path"], []).append(row["time"])
    return {job: _spacing(list(paths.values())) for job, paths in asked.items()}


def _spacing(asked: list[list[float]]) -> dict[str, Any]:
    """Of the times of requests for each path: a job and its events may be polled together."""
    gaps = [after - before for times in asked for before, after in pairwise(times)]
    return {
        "requests": sum(map(len, asked)),
        "median_seconds": round(statistics.median(gaps), 3) if gaps else None,
        "least_seconds": round(min(gaps), 3) if gaps else None,
    }


def _reactions(rows: list[Line]) -> dict[str, Counter[str]]:
    """What the client did after each scenario's faults, but for answers of status 200."""
    after: dict[tuple[Any, ...], Line] = {}  # by request: the next time that it was made
    found: dict[str, Counter[str]] = {}
    for row in reversed(rows):
        if row.get("scenario") and row["status"] != 200:
            following = after.get(_what(row))
            if following is None:
                how = "gave up"
            elif following.get("retry_count"):
                how = "retried by the client library"
            else:
                how = "retried by the program"
            found.setdefault(str(row["scenario"]), Counter())[how] += 1
        after[_what(row)] = row
    return found


def _what(row: Line) -> tuple[Any, ...]:
    return row["method"], row["path"], row.get("body_digest")


def summary_text(facts: Mapping[str, Any]) -> str:
    """The summary for a terminal."""
    files = counted(len(facts["files_uploaded"]), "file")
    jobs = counted(len(facts["jobs_created"]), "job")
    lines = [
        f"{counted(facts['requests'], 'request')}, {files} uploaded, {jobs} created "
        f"({facts['duplicate_jobs']} of them duplicates)"
    ]
    for job, poll in facts["polls"].items():
        every = poll["median_seconds"]
        spacing = (
            "" if every is None else f", every {every:g} s (least {poll['least_seconds']:g} s)"
        )
        lines.append(f"{job}: polled {poll['requests']} times{spacing}")
    for title, key in (
        ("Scenarios that acted", "faults"),
        ("After a fault the client", "reactions"),
        ("Models used", "models_used"),
        ("Answers", "statuses"),
    ):
        if facts[key]:
            lines.append(f"{title}: " + ", ".join(f"{k} ({n})" for k, n in facts[key].items()))
    return "\n".join(lines)

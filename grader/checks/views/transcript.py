"""A transcript as checks read it: what the service was asked and answered, in order.

What the program printed or wrote is here as text and bytes, and says nothing of what it did. What
it did is told by its requests together with the service's own answers and notes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from grader.core.constants import RECORD_MAX_BODY_BYTES
from grader.core.errors import GraderFault
from grader.core.nouns import Evidence
from grader.core.openai_wire import ENDED, FILES, GENERATION, JOBS
from grader.core.payloads import ProgramRun, read
from grader.core.strict_json import StrictJsonError, loads
from grader.training_data.read.examples import Example, examples_of
from grader.training_data.read.lines import Line

_DATE: Final = re.compile(r"-\d{4}-\d{2}-\d{2}$")  # of a snapshot, at the end of its name
_PART_NAME: Final = re.compile(rb'(?i)content-disposition:[^\r\n]*[;\s]name="([^"\r\n]{1,40})"')


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """One request and its response. `start` and `end` are seconds on the program's own clock.

    `asked` and `told` are the JSON values of both bodies, None where there is none that is strict
    JSON. `notes` are the service's own.
    """

    start: float
    end: float
    method: str
    path: str
    query: str
    digest: str
    status: int
    retry_after: float | None
    body: bytes
    asked: Any
    told: Any
    notes: Mapping[str, Any]

    @property
    def answered(self) -> bool:
        """Whether the service did what was asked and said so."""
        return self.status == 200

    def waited_since(self, earlier: ServiceCall) -> float:
        """For how many seconds the program waited between two calls."""
        return max(0.0, self.start - earlier.end)

    @property
    def error(self) -> Mapping[str, Any]:
        """The service's error (`message`, `code`), or nothing."""
        error = self.told.get("error") if isinstance(self.told, dict) else None
        return error if isinstance(error, dict) and self.status >= 400 else {}


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that the service took. `content` is None where its bytes were not kept."""

    id: str
    purpose: str
    content: bytes | None

    @property
    def examples(self) -> list[Example]:
        """Its usable examples."""
        lines = (self.content or b"").split(b"\n")
        return list(examples_of(Line(number, raw) for number, raw in enumerate(lines, start=1)))


@dataclass(frozen=True, slots=True)
class TrainedJob:
    """A job that the service made, whether or not its answer arrived."""

    id: str
    base: str
    file: str
    made: ServiceCall


@dataclass(frozen=True, slots=True)
class JobPoll:
    """A call whose answer shows the state of a job; `job` is what it shows."""

    call: ServiceCall
    job: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        """Whether it shows a state that the job never leaves."""
        return self.job.get("status") in ENDED


@dataclass(frozen=True, slots=True)
class Chat:
    """A question that a model answered: `said` is the text of the last message of the user."""

    model: str
    said: str
    answer: str
    call: ServiceCall

    @property
    def tuned(self) -> bool:
        """Whether a fine-tuned model answered; its name cannot be known before it is there."""
        return self.model.startswith("ft:")

    def is_base_of(self, job: TrainedJob) -> bool:
        """Whether the model that this job trained answered, by its full name or a shorter one."""
        return self.model in (job.base, _DATE.sub("", job.base))


@dataclass(frozen=True, slots=True)
class Transcript:
    """One run of a program. Calls are in the order in which they began."""

    calls: tuple[ServiceCall, ...]
    verdict: str
    exit_code: int | None
    stdout: str
    stderr: str
    files: Mapping[str, bytes]

    @property
    def output(self) -> str:
        """All that the program printed."""
        return f"{self.stdout}\n{self.stderr}"

    @property
    def ended_itself(self) -> bool:
        """Whether it came to an end before its time or its memory did."""
        return self.verdict in ("ok", "exit")

    @property
    def uploads(self) -> list[Upload]:
        """The files that the service took."""
        found = []
        for call in self._posts(FILES):
            if isinstance(call.told, dict) and call.answered and call.notes.get("file_uploaded"):
                purpose = str(call.told.get("purpose", ""))
                found.append(Upload(str(call.told.get("id", "")), purpose, _part(call.body)))
        return found

    @property
    def creates(self) -> list[ServiceCall]:
        """The requests for a new job, whatever became of them."""
        return self._posts(JOBS)

    @property
    def jobs(self) -> list[TrainedJob]:
        """The jobs that the service made."""
        made = [call for call in self.creates if call.notes.get("job_created")]
        return [
            TrainedJob(str(n["job"]), str(n.get("model", "")), str(n.get("file", "")), call)
            for call in made
            for n in (call.notes,)
        ]

    def looks(self, job: TrainedJob) -> list[JobPoll]:
        """The answers that showed the state of this job, its creation's own left out."""
        return [JobPoll(call, shown) for call in self.calls for shown in _shown(call, job.id)]

    def state_calls(self, job: TrainedJob) -> list[ServiceCall]:
        """The answered calls by which the program followed the job, retries and pages left out.

        They are of one kind, so that reading state and events in one round counts once: state of
        the job, else the list of jobs, else events.
        """
        after = [c for c in self.calls if c.start >= job.made.end and c.answered and _first(c)]
        kinds: Sequence[Callable[[ServiceCall], bool]] = (
            lambda c: c.path == f"{JOBS}/{job.id}",
            lambda c: c.path == JOBS,
            lambda c: c.path == f"{JOBS}/{job.id}/events",
        )
        found = [[c for c in after if c.method == "GET" and kind(c)] for kind in kinds]
        return next((calls for calls in found if len(calls) > 1), max(found, key=len))

    def event_reads(self, job: TrainedJob) -> list[ServiceCall]:
        """The answered requests for the job's events."""
        path = f"{JOBS}/{job.id}/events"
        return [c for c in self.calls if c.method == "GET" and c.path == path and c.answered]

    @property
    def chats(self) -> list[Chat]:
        """The questions that models answered."""
        return [
            Chat(str(call.asked.get("model", "")), _said(call.asked), _answer(call.told), call)
            for call in self.model_calls
            if call.answered and isinstance(call.asked, dict)
        ]

    @property
    def model_calls(self) -> list[ServiceCall]:
        """All requests to a model, whatever became of them."""
        return [call for call in self.calls if call.method == "POST" and call.path in GENERATION]

    def _posts(self, path: str) -> list[ServiceCall]:
        return [call for call in self.calls if call.method == "POST" and call.path == path]


def transcript(evidence: Evidence) -> Transcript:
    """The view of a transcript's evidence.

    Raises GraderFault where the evidence is not as the grader writes it; nothing that the program
    sent or wrote raises.
    """
    return _views(evidence.key, _EvidenceKey(evidence))


class _EvidenceKey:
    """Evidence as an argument of a cached function: the key alone tells it from others."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _EvidenceKey) and self.evidence.payload is other.evidence.payload

    def __hash__(self) -> int:
        return id(self.evidence.payload)


@lru_cache(maxsize=16)  # the checks of one submission run one after another
def _views(_key: str, held: _EvidenceKey) -> Transcript:
    run = read(held.evidence, ProgramRun)
    try:
        calls = sorted(map(_call, run.exchanges), key=lambda call: call.start)
        files = {path: base64.b64decode(body) for path, body in run.files.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise GraderFault(f"this is no transcript: {type(error).__name__}: {error}") from error
    return Transcript(
        calls=tuple(calls),
        verdict=run.verdict,
        exit_code=run.exit_code,
        stdout=run.stdout,
        stderr=run.stderr,
        files=files,
    )


def _call(exchange: Mapping[str, Any]) -> ServiceCall:
    body = base64.b64decode(exchange["request"] or "")
    headers = {name.lower(): value for name, value in exchange["reply_headers"]}
    start = float(exchange["at"])
    return ServiceCall(
        start=start,
        end=start + float(exchange["seconds"]),
        method=exchange["method"],
        path=exchange["path"],
        query=exchange["query"],
        digest=exchange["digest"],
        status=int(exchange["status"]),
        retry_after=_seconds(headers.get("retry-after", "")),
        body=body,
        asked=_json(body),
        told=_json(base64.b64decode(exchange["reply"] or "")),
        notes=exchange["notes"],
    )


def _json(body: bytes) -> Any:
    try:
        return loads(body, max_bytes=RECORD_MAX_BODY_BYTES)
    except StrictJsonError:
        return None


def _seconds(text: str) -> float | None:
    return float(text) if text.isdecimal() and len(text) < 7 else None


def _part(body: bytes) -> bytes | None:
    """The field `file` of a multipart body, whose first line is its boundary."""
    boundary, line_end, _ = body.partition(b"\r\n")
    if not line_end or not boundary.startswith(b"--"):
        return None
    for part in body.split(boundary)[1:]:
        head, blank, content = part.partition(b"\r\n\r\n")
        name = _PART_NAME.search(head)
        if blank and name is not None and name[1] == b"file":
            return content.removesuffix(b"\r\n")
    return None


def _shown(call: ServiceCall, job_id: str) -> Iterator[Mapping[str, Any]]:
    """The job, where an answer to a look at it or at the list of jobs shows it."""
    if call.method != "GET" or not call.answered or not isinstance(call.told, dict):
        return
    listed = call.told.get("data") if call.path == JOBS else [call.told]
    if call.path in (JOBS, f"{JOBS}/{job_id}") and isinstance(listed, list):
        yield from (j for j in listed if isinstance(j, dict) and j.get("id") == job_id)


def _first(call: ServiceCall) -> bool:
    """Whether this is no later page of a list."""
    return "after=" not in call.query


def _said(asked: Mapping[str, Any]) -> str:
    """The last message of the user, in any of the three forms of asking a model."""
    messages = asked.get("messages", asked.get("input", asked.get("prompt")))
    if isinstance(messages, str):
        return messages
    mine = [message for message in _list(messages) if message.get("role") == "user"]
    return _text(mine[-1].get("content")) if mine else ""


def _answer(told: Any) -> str:
    """The text of a model's answer, in any of the three forms; "" where it was streamed."""
    if not isinstance(told, dict):
        return ""
    for choice in _list(told.get("choices")):
        message = choice.get("message")
        return _text(message.get("content") if isinstance(message, dict) else choice.get("text"))
    said = [item.get("content") for item in _list(told.get("output"))]
    return "".join(_text(content) for content in said)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    texts = [part.get("text") for part in _list(content)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _list(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

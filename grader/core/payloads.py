"""What evidence of each kind says: typed payloads, each with the version of its JSON.

A producer writes one with `to_json`, the store keeps it, and a check reads it with `read`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Final, Self, TypeVar

from grader.core.errors import GraderFault
from grader.core.nouns import Evidence

RUN_RESULTS: Final = "openai_results.json"
"""The name of the files of a run that are stored: no check reads another."""

_WORD: Final = re.compile(r"\w[\w'\u2019-]*")


@dataclass(frozen=True, slots=True)
class Payload:
    """What one piece of evidence says; each kind has its own subclass.

    `SCHEMA` names the JSON with its version. Raise the version when an older reader would
    misread what is written.
    """

    SCHEMA: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """As it is stored: its fields, and the schema."""
        return {"schema": self.SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`. Fields of a later version, or of a run beside it, are left out.

        Raises KeyError or TypeError where a field is missing or has another form.
        """
        return _row(cls, value)


T = TypeVar("T")
P = TypeVar("P", bound=Payload)


def read(evidence: Evidence, payload: type[P]) -> P:
    """The payload of this evidence. Raises GraderFault when it is of another kind or version."""
    schema = schema_of(evidence, payload)
    if schema != payload.SCHEMA:
        raise GraderFault(f"{payload.SCHEMA} was expected, and this evidence is {schema}")
    try:
        return payload.from_json(evidence.payload)
    except (KeyError, TypeError, AttributeError) as error:
        raise GraderFault(f"this is no {schema}: {type(error).__name__}: {error}") from error


def _row(row: type[T], value: Mapping[str, Any]) -> T:
    """A dataclass from those of its fields that the JSON object has."""
    names = (field.name for field in fields(row))  # type: ignore[arg-type]
    return row(**{name: value[name] for name in names if name in value})


def schema_of(evidence: Evidence, payload: type[Payload]) -> str:
    """The schema that the evidence names; what was stored before they were named is version 1."""
    first = f"{payload.SCHEMA.rpartition('/')[0]}/v1"
    return str(evidence.payload.get("schema", first))


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says to one question.

    `guess` is the most frequent public answer to such a question, `loglik` the mean log-likelihood
    of a token of the reference, in nats.
    """

    id: str
    question: str
    text: str
    reference: str
    guess: str
    loglik: float


@dataclass(frozen=True, slots=True)
class AdapterFault:
    """Why nothing could be asked of an adapter that a student's program made."""

    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Predictions(Payload):
    """The answers of a base, bare or with an adapter, one a question.

    There is none where a `fault` of the student's keeps the adapter from being asked: checks do not
    see such evidence (see grader/evidence/collection.py).
    """

    SCHEMA: ClassVar[str] = "finegrade/predictions/v1"

    answers: tuple[Prediction, ...]
    fault: AdapterFault | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """See Payload."""
        fault = value.get("fault")
        return cls(
            tuple(_row(Prediction, row) for row in value["answers"]),
            _row(AdapterFault, fault) if fault else None,
        )


SERVICE_FAULT: Final = "service_fault"
"""Among an exchange's notes: the model service itself failed on this request, and what with."""


@dataclass(frozen=True, slots=True)
class ProgramRun(Payload):
    """One run of a program in the sandbox, with the requests that its model service got.

    Times are the program's own: its sleeps pass them, and take a `clock_rate`th of real time.
    `files` are base64 by path, `exchanges` as `grader.model_service.record.Exchange` writes them.
    """

    SCHEMA: ClassVar[str] = "finegrade/transcript/v2"

    script: str
    verdict: str
    exit_code: int | None
    signal: int | None
    stdout: str
    stderr: str
    files: Mapping[str, str]
    exchanges: Sequence[Mapping[str, Any]]
    # For people; no check reads these.
    arguments: Sequence[str] = ()
    scenarios: Sequence[str] = ()
    clock_rate: float = 1.0
    isolation: str = ""
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    refused: Sequence[Mapping[str, Any]] = ()
    refused_requests: int = 0
    refused_connections: int = 0


METRICS_FILE: Final = "metrics.json"
STATE_FILE: Final = "trainer_state.json"
"""Files of a run of a local script that are stored: what it measured, and its trainer's states."""


@dataclass(frozen=True, slots=True)
class ScriptRun(Payload):
    """One run of a local script in the sandbox: a training, or an inference.

    `files` are METRICS_FILE and STATE_FILEs in base64 by path, and `made_bytes` the sizes of all
    files that it made. `opened` says how often it opened which of the files beside it, as the
    kernel reports it; None where nothing reports it.
    """

    SCHEMA: ClassVar[str] = "finegrade/script-run/v1"

    script: str
    arguments: Sequence[str]
    verdict: str
    exit_code: int | None
    signal: int | None
    stdout: str
    stderr: str
    files: Mapping[str, str]
    made_bytes: Mapping[str, int]
    opened: Mapping[str, int] | None
    isolation: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program answers to one question, and what it took; `text` is "" behind an `error`.

    `exchanges` are the places of its requests among those of the run. `model` is the one that it
    was to ask; "" in what was stored when programs ran on one model alone.
    """

    id: str
    question: str
    reference: str
    guess: str
    text: str
    error: str | None
    calls: int
    exchanges: Sequence[int]
    input_tokens: int = 0
    output_tokens: int = 0
    parse_failures: int = 0
    model: str = ""


@dataclass(frozen=True, slots=True)
class AddedPair:
    """A question of the program's own with the answer that it expects, and what it answered."""

    question: str
    expected: str
    aliases: Sequence[str]
    text: str
    error: str | None
    calls: int
    model: str = ""


@dataclass(frozen=True, slots=True)
class Answers(Payload):
    """The answers of a program, one a question and model; its JSON holds the ProgramRun as well.

    `fault` says why nothing was asked, None where the run came to its end. `told` is the same where
    it comes up without any question, too: then nothing hidden can be in it. `unread` lines of what
    it wrote could not be read.
    """

    SCHEMA: ClassVar[str] = "finegrade/answers/v1"

    exchanges: Sequence[Mapping[str, Any]]
    answers: tuple[Answer, ...]
    extra: tuple[AddedPair, ...] = ()
    fault: str | None = None
    unread: int = 0
    told: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether nothing was asked at all, for its `fault`."""
        return self.fault is not None and all(one.error == self.fault for one in self.answers)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that the program ran on, in order."""
        return tuple(dict.fromkeys(answer.model for answer in self.answers))

    def on(self, model: str) -> Self:
        """What it said on this model alone."""
        return replace(
            self,
            answers=tuple(one for one in self.answers if one.model == model),
            extra=tuple(one for one in self.extra if one.model == model),
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """See Payload."""
        return cls(
            value["exchanges"],
            tuple(_row(Answer, row) for row in value["answers"]),
            tuple(_row(AddedPair, row) for row in value.get("extra", ())),
            value.get("fault"),
            value.get("unread", 0),
            value.get("told"),
        )


@dataclass(frozen=True, slots=True)
class ScoredCase:
    """An answer with our judgement of it, 0 to 1, and what a metric gave it in each turn.

    A score is None where there is none; `error` then says why.
    """

    id: str
    group: str
    kind: str
    question: str
    reference: str
    given: str
    judgement: float
    scores: Sequence[float | None]
    error: str | None


@dataclass(frozen=True, slots=True)
class MetricScores(Payload):
    """The scores of a metric, one case an answer; its JSON holds the ProgramRun as well.

    `fault`, `unread` and `told` are as in Answers.
    """

    SCHEMA: ClassVar[str] = "finegrade/metric-scores/v1"

    cases: tuple[ScoredCase, ...]
    fault: str | None = None
    unread: int = 0
    told: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether nothing was scored at all, for its `fault`."""
        return self.fault is not None and all(case.error == self.fault for case in self.cases)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """See Payload."""
        cases = tuple(_row(ScoredCase, row) for row in value["cases"])
        return cls(cases, value.get("fault"), value.get("unread", 0), value.get("told"))


@dataclass(frozen=True, slots=True)
class DocumentFault:
    """Why a document cannot be read, by its writer's fault."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class WrittenWork(Payload):
    """A document: its text, or what is wrong with it (`fault`; the text is then "").

    `pages` is None where the format has none. `notes` are sentences for whoever judges it.
    """

    SCHEMA: ClassVar[str] = "finegrade/text/v1"

    path: str
    text: str = ""
    pages: int | None = None
    notes: Sequence[str] = ()
    fault: DocumentFault | None = None

    @property
    def words(self) -> int:
        """How many words and numbers it has; Markdown's own signs are none."""
        return len(_WORD.findall(self.text))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """See Payload."""
        fault = value.get("fault")
        return cls(
            path=value["path"],
            text=value.get("text", ""),
            pages=value.get("pages"),
            notes=tuple(value.get("notes", ())),
            fault=_row(DocumentFault, fault) if fault else None,
        )

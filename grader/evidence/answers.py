"""Evidence `answers`: what a DSPy program answers to hidden questions.

Questions go in and answers come out; references are joined to them here, outside. Which requests
the program made of its model is told by the service's record, never by the program.

A program answers one question after another. A request belongs to the question that stands in its
messages; one in which none does belongs to the question of the request before it, as the later
steps of a program may not repeat it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, Final

from grader.assignment.questions import QuestionSet
from grader.core.constants import ANSWER_MAX_CHARACTERS, ANSWER_MAX_EXTRA, RECORD_MAX_BODY_BYTES
from grader.core.openai_wire import GENERATION
from grader.core.payloads import AddedPair, Answer, Answers, ProgramRun
from grader.core.strict_json import StrictJsonError, loads
from grader.evidence.kind import Candidate, EvidenceKind, EvidenceRequest, Grading, Producer
from grader.evidence.module_run import (
    Lines,
    ModuleRun,
    ModuleRunner,
    ModuleSpec,
    model_digest,
    module_request,
    text_of,
)

NAME: Final = "answers"


@dataclass(frozen=True, slots=True)
class AnswersSpec(ModuleSpec):
    """`program` makes a DSPy program. With `perturb` the model's answers are replaced by others.

    The questions are the hidden ones, or those of the deliverable `questions_from`; at most
    `questions` are asked. The program runs again on each of `also`, which are further models.
    """

    DELIVERABLES: ClassVar = ("module", "questions_from")

    also: tuple[str, ...] = ()
    perturb: bool = False
    questions: int | None = None
    questions_from: str | None = None


_FORMAT: Final = "All interactions will be structured"
"""DSPy 3.4.1 says next how fields are written, each adapter in its own way."""

_AS_JSON: Final = "Outputs will be a JSON object"
"""So says its JSON adapter; it names a schema only to models that it knows to take one."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A request that a model answered: its place among the exchanges and what it took.

    `model` is the one that it names; `text` is all that was sent; `as_json`: the reply was to be
    JSON.
    """

    place: int
    model: str
    text: str
    as_json: bool
    input_tokens: int
    output_tokens: int


def model_calls(exchanges: Sequence[Mapping[str, Any]]) -> Iterator[ModelCall]:
    """The answered requests to a model, in the order in which they began."""
    ordered = sorted(enumerate(exchanges), key=lambda pair: pair[1]["at"])
    for place, exchange in ordered:
        if exchange["path"] in GENERATION and exchange["status"] == 200:
            request, response = _json(exchange["request"]), _json(exchange["reply"])
            usage = response.get("usage")
            usage = usage if isinstance(usage, dict) else {}
            text = "\n".join(_texts(request.get("messages") or request.get("input") or request))
            yield ModelCall(
                place,
                str(request.get("model", "")),
                text,
                "response_format" in request or _AS_JSON in text,
                _count(usage, "prompt_tokens", "input_tokens"),
                _count(usage, "completion_tokens", "output_tokens"),
            )


def by_question(
    calls: Sequence[ModelCall], questions: Mapping[str, str]
) -> dict[str, list[ModelCall]]:
    """The calls of each question by its id; calls before the first question are nobody's."""
    found: dict[str, list[ModelCall]] = {id: [] for id in questions}
    wanted = {id: question.casefold() for id, question in questions.items()}
    now: str | None = None
    for call in calls:
        # The question asked stands last; others may stand in examples before it.
        text = call.text.casefold()
        places = {id: text.rfind(question) for id, question in wanted.items()}
        id, place = max(places.items(), key=lambda pair: (pair[1], len(wanted[pair[0]])))
        now = id if place >= 0 else now
        if now is not None:
            found[now].append(call)
    return found


def parse_failures(calls: Sequence[ModelCall]) -> int:
    """How often a reply could not be read: DSPy then asks for the same fields again, as JSON."""
    return sum(
        later.as_json and not earlier.as_json and _fields(earlier) == _fields(later)
        for earlier, later in pairwise(calls)
    )


def _fields(call: ModelCall) -> str:
    """The part of the prompt that names the fields, which no adapter writes differently."""
    return call.text.partition(_FORMAT)[0]


def _json(body: str | None) -> dict[str, Any]:
    try:
        value = loads(base64.b64decode(body or ""), max_bytes=RECORD_MAX_BODY_BYTES)
    except StrictJsonError:
        return {}
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _count(usage: Mapping[str, Any], *names: str) -> int:
    return next((usage[name] for name in names if isinstance(usage.get(name), int)), 0)


def _request(
    spec: AnswersSpec, candidate: Candidate, grading: Grading
) -> EvidenceRequest[ModuleRun] | None:
    questions = grading.questions_of(candidate.submission, spec.questions_from)
    if questions is None:
        return None
    asked = {q.id: q.messages[-1][1] for q in questions.questions[: spec.questions]}
    models = (spec.model, *spec.also)
    decides: list[Any]
    if grading.endpoint is not None:  # which answers in the place of any model
        models = (spec.model,)
        decides = [grading.endpoint.url, grading.endpoint.model]
    elif grading.recordings is not None:  # of models that may not be on this machine
        decides = ["a recording", *models]
    else:
        decides = [model_digest(model, grading.assignment.base) for model in models]
    return module_request(
        spec,
        NAME,
        candidate,
        grading,
        {
            "questions": asked,
            "extra": spec.module is not None and not spec.perturb,
            "models": models,
        },
        partial(_complete, asked, questions, models),
        {"questions": questions.digest, "models": decides},
        perturb=spec.perturb,
    )


def _complete(
    asked: Mapping[str, str],
    questions: QuestionSet,
    models: Sequence[str],
    run: ProgramRun,
    found: Lines,
    fault: str | None,
) -> Answers:
    """One answer a question and model, and the module's own pairs on each.

    A question without an answer has the text "" and says why in `error`.
    """
    answers: list[Answer] = []
    extra: list[AddedPair] = []
    calls = list(model_calls(run.exchanges))
    for model in models:
        lines = [line for line in found if line.get("model", models[0]) == model]
        # With one model it does not matter what a program calls it: no other is there.
        mine = [call for call in calls if len(models) == 1 or call.model == model]
        answered, pairs = _on_model(model, asked, questions, lines, mine, fault)
        answers += answered
        extra += pairs
    return Answers(run.exchanges, tuple(answers), tuple(extra), fault)


def _on_model(
    model: str,
    asked: Mapping[str, str],
    questions: QuestionSet,
    found: Lines,
    calls: Sequence[ModelCall],
    fault: str | None,
) -> tuple[list[Answer], list[AddedPair]]:
    """What the program answered on this model, from its lines and its requests there."""
    given: dict[str, dict[str, Any]] = {}
    for line in found:
        if line.get("kind") == "answer" and isinstance(line.get("id"), str):
            given.setdefault(line["id"], line)  # what is said first counts
    pairs = [line for line in found if line.get("kind") == "extra"][:ANSWER_MAX_EXTRA]
    own = {f"extra {n}": text_of(line, "question") for n, line in enumerate(pairs)}
    theirs = by_question(calls, {**{id: text for id, text in own.items() if text}, **asked})
    answers = []
    for id, question in asked.items():
        text = text_of(given.get(id, {}), "answer")
        why = text_of(given.get(id, {}), "error")
        answers.append(
            Answer(
                id=id,
                question=question,
                reference=questions.answers[id],
                guess=questions.guesses[id],
                text=text or "",
                error=None if text is not None else why or fault or "it gave no answer",
                calls=len(theirs[id]),
                input_tokens=sum(call.input_tokens for call in theirs[id]),
                output_tokens=sum(call.output_tokens for call in theirs[id]),
                parse_failures=parse_failures(theirs[id]),
                exchanges=[call.place for call in theirs[id]],
                model=model,
            )
        )
    numbered = enumerate(pairs)
    return answers, [_pair(model, line, len(theirs.get(f"extra {n}", ()))) for n, line in numbered]


def _pair(model: str, line: Mapping[str, Any], calls: int) -> AddedPair:
    aliases = line.get("aliases")
    return AddedPair(
        question=text_of(line, "question") or "",
        expected=text_of(line, "expected") or "",
        aliases=[
            one[:ANSWER_MAX_CHARACTERS]
            for one in (aliases if isinstance(aliases, list) else [])[:ANSWER_MAX_EXTRA]
            if isinstance(one, str)
        ],
        text=text_of(line, "answer") or "",
        error=text_of(line, "error"),
        calls=calls,
        model=model,
    )


def _producer(grading: Grading) -> Producer[ModuleRun]:
    from grader.evidence.program_runs import ProgramRunner, simulator

    return ModuleRunner(
        ProgramRunner(
            grading.sandbox, grading.endpoint or simulator(grading, hidden=True), grading.ledger
        ),
        grading.questions,
    )


KIND: Final = EvidenceKind(NAME, AnswersSpec, Answers, _request, _producer)

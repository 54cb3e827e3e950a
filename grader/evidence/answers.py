"""Which of a run's requests were made to answer which question, and what they took.

A program answers one question after another. A request belongs to the question that stands in its
messages; one in which none does belongs to the question of the request before it, as the later
steps of a program may not repeat it.

Evidence `answers`: what a DSPy program answers to hidden questions.

Questions go in and answers come out; references are joined to them here, outside. What the program
asked of its model is told by the service's record, never by the program.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Final

from grader.assignment.questions import QuestionSet
from grader.core.constants import ANSWER_MAX_CHARACTERS, ANSWER_MAX_EXTRA, RECORD_MAX_BODY_BYTES
from grader.core.nouns import Assignment, EvidenceSpec, Submission
from grader.core.openai_wire import GENERATION
from grader.core.strict_json import StrictJsonError, loads
from grader.evidence.module_run import (
    ModuleRun,
    ModuleRunner,
    first_fault,
    model_digest,
    need_no_fault,
    text_of,
    use_run,
)
from grader.evidence.store import EvidenceRequest
from grader.evidence.transcripts import run_want
from grader.sandbox.api import Sandbox

_FORMAT: Final = "All interactions will be structured"
"""DSPy 3.4.1 says next how fields are written, each adapter in its own way."""

_AS_JSON: Final = "Outputs will be a JSON object"
"""So says its JSON adapter; it names a schema only to models that it knows to take one."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A request that a model answered: its place among the exchanges and what it took.

    `text` is all that was sent; `as_json`: the reply was to be JSON.
    """

    place: int
    text: str
    as_json: bool
    input_tokens: int
    output_tokens: int


def model_calls(exchanges: Sequence[Mapping[str, Any]]) -> Iterator[ModelCall]:
    """The answered requests to a model, in the order in which they began."""
    ordered = sorted(enumerate(exchanges), key=lambda pair: pair[1]["at"])
    for place, exchange in ordered:
        if exchange["path"] in GENERATION and exchange["status"] == 200:
            asked, told = _json(exchange["request"]), _json(exchange["reply"])
            usage = told.get("usage")
            usage = usage if isinstance(usage, dict) else {}
            text = "\n".join(_texts(asked.get("messages") or asked.get("input") or asked))
            yield ModelCall(
                place,
                text,
                "response_format" in asked or _AS_JSON in text,
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


KIND: Final = "answers"


class AnswersProducer(ModuleRunner):
    """The producer of answers."""


def answers_want(
    submission: Submission,
    spec: EvidenceSpec,
    module: str | None,
    assignment: Assignment,
    questions: QuestionSet,
    sandbox: Sandbox,
    endpoint: str | None = None,
) -> EvidenceRequest:
    """The answers of `module`, a path in the submission; None for the kit's own program.

    `endpoint` is the address of the instructor's service, or what else answers in the simulator's
    place; None for the simulator. The kit's program
    has one run for a whole class: nothing of a submission is in its key.
    """
    asked = {q.id: q.messages[-1][1] for q in questions.questions[: spec.questions]}
    task = {"questions": asked, "extra": module is not None and not spec.perturb}
    mine = submission if module is not None else None
    run = use_run(mine, module, spec, assignment, task)
    complete = partial(_complete, asked, questions, mine is None)
    return run_want(
        submission.student,
        spec.id,
        KIND,
        run,
        mine.digest if mine is not None else "",
        assignment.base,
        sandbox,
        work=ModuleRun(run, complete),
        more={
            "questions": questions.digest,
            "model": [endpoint, spec.model] if endpoint else model_digest(spec, assignment.base),
        },
    )


def _complete(
    asked: Mapping[str, str],
    questions: QuestionSet,
    ours: bool,
    payload: Mapping[str, Any],
    found: list[dict[str, Any]],
) -> dict[str, Any]:
    """`answers` (one a question), `extra` (the module's own pairs) and `fault`.

    A question without an answer has the text "" and says why in `error`. `exchanges` of an answer
    are the places of its requests to the model.
    """
    if ours:
        need_no_fault(payload, found, ANSWER_MAX_CHARACTERS)
    fault = first_fault(payload, found, ANSWER_MAX_CHARACTERS)
    given: dict[str, dict[str, Any]] = {}
    for line in found:
        if line.get("kind") == "answer" and isinstance(line.get("id"), str):
            given.setdefault(line["id"], line)  # what is said first counts
    calls = list(model_calls(payload["exchanges"]))
    extra = [_extra(line) for line in found if line.get("kind") == "extra"][:ANSWER_MAX_EXTRA]
    pairs = {f"extra {n}": one["question"] for n, one in enumerate(extra) if one["question"]}
    theirs = by_question(calls, {**pairs, **asked})
    answers = []
    for id, question in asked.items():
        text = text_of(given.get(id, {}), "answer", ANSWER_MAX_CHARACTERS)
        why = text_of(given.get(id, {}), "error", ANSWER_MAX_CHARACTERS)
        answers.append(
            {
                "id": id,
                "question": question,
                "reference": questions.answers[id],
                "guess": questions.guesses[id],
                "text": text or "",
                "error": None if text is not None else why or fault or "it gave no answer",
                "calls": len(theirs[id]),
                "input_tokens": sum(call.input_tokens for call in theirs[id]),
                "output_tokens": sum(call.output_tokens for call in theirs[id]),
                "parse_failures": parse_failures(theirs[id]),
                "exchanges": [call.place for call in theirs[id]],
            }
        )
    for number, one in enumerate(extra):
        one["calls"] = len(theirs.get(f"extra {number}", ()))
    return {"answers": answers, "extra": extra, "fault": fault}


def _extra(line: Mapping[str, Any]) -> dict[str, Any]:
    aliases = line.get("aliases")
    return {
        "question": text_of(line, "question", ANSWER_MAX_CHARACTERS) or "",
        "expected": text_of(line, "expected", ANSWER_MAX_CHARACTERS) or "",
        "aliases": [
            one[:ANSWER_MAX_CHARACTERS]
            for one in (aliases if isinstance(aliases, list) else [])[:ANSWER_MAX_EXTRA]
            if isinstance(one, str)
        ],
        "text": text_of(line, "answer", ANSWER_MAX_CHARACTERS) or "",
        "error": text_of(line, "error", ANSWER_MAX_CHARACTERS),
    }

"""Which of a run's requests were made to answer which question, and what they took.

A program answers one question after another. A request belongs to the question that stands in its
messages; one in which none does belongs to the question of the request before it, as the later
steps of a program may not repeat it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from grader.constants import RECORD_MAX_BODY_BYTES
from grader.strict_json import StrictJsonError, loads

_MODEL_PATHS: Final = frozenset({"/v1/chat/completions", "/v1/responses", "/v1/completions"})

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
        if exchange["path"] in _MODEL_PATHS and exchange["status"] == 200:
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

"""Reads a student's cost_analysis.json strictly, and names every fault by its place.

Only the form is checked here; the checks recompute the numbers.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grader.core.errors import FinegradeError
from grader.core.strict_json import StrictJsonError, loads
from grader.costs.break_even import QueryTokenUsage
from grader.training_data.costs import Rates
from grader.training_data.read.faults import pointer, quoted

if TYPE_CHECKING:
    from jsonschema import ValidationError

CLAIMS_MAX_BYTES: Final = 64 * 1024  # a full one with a long prompt has 6 kB
_SHOWN_FAULTS: Final = 3  # one is seldom alone, and a list of forty is not read
_SCHEMA: Final = Path(__file__).parents[1] / "schemas" / "cost-analysis.v1.json"

Volume = float | None
"""A number of queries; None stands for "never"."""


@dataclass(frozen=True, slots=True)
class Training:
    """The student's claims on training. `usd` is its cost."""

    examples: int
    tokens_per_epoch: int
    epochs: int
    billed_tokens: int
    usd: float


@dataclass(frozen=True, slots=True)
class Query:
    """The student's claims on one query: its tokens, and its cost in USD."""

    usage: QueryTokenUsage
    usd: float


@dataclass(frozen=True, slots=True)
class ClaimedAlternative:
    """Another way, such as RAG, and the claimed break-even against it."""

    name: str
    fixed_usd: float
    usd_per_query: float
    break_even: Volume


@dataclass(frozen=True, slots=True)
class CostClaims:
    """All of a cost_analysis.json; grader/schemas/cost-analysis.v1.json says what each field is.

    `instructions` None: the system message of the data set.
    """

    date: datetime.date
    model: str
    base_model: str
    valid_from: str
    train_per_m: float
    base_rates: Rates
    tuned_rates: Rates
    training: Training
    instructions: str | None
    shots: int
    base: Query
    tuned: Query
    queries_per_day: float
    other_fixed_usd: float
    break_even: Volume
    retires: datetime.date | None
    pays_before: bool
    alternatives: tuple[ClaimedAlternative, ...]


class ClaimsError(FinegradeError):
    """A cost_analysis.json that cannot be used. `message` says what was found and expected.

    `line` is the 1-based line of what is no JSON, `pointer` the JSON pointer of the first fault.
    """

    def __init__(self, message: str, line: int | None = None, pointer: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.pointer = pointer


def read_claims(data: bytes) -> CostClaims:
    """The analysis in these bytes.

    Raises ClaimsError, and nothing else, for what is no strict JSON or not as the schema says.
    """
    try:
        document = loads(data, max_bytes=CLAIMS_MAX_BYTES)
    except StrictJsonError as error:
        raise ClaimsError(f"{error.message}.", line=error.line) from error
    faults = list(_faults(document))
    if faults:
        words = [f"{place or 'the file'}: {text}" for place, text in faults[:_SHOWN_FAULTS]]
        more = len(faults) - len(words)
        if more:
            words.append(f"and {more} more")
        raise ClaimsError(f"{'; '.join(words)}.", pointer=faults[0][0] or None)
    return _claims(document)


def _faults(document: Any) -> Iterator[tuple[str, str]]:
    """(JSON pointer, what was found and expected) of each fault, in the order of the places."""
    from jsonschema import Draft202012Validator  # slow to import

    validator = Draft202012Validator(_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)
    errors = sorted(validator.iter_errors(document), key=lambda error: error.json_path)
    if errors:
        faults: dict[str, str] = {}
        for error in errors:
            place = pointer(*error.absolute_path)
            faults[place] = (
                f"{faults[place]}; {_words(error)}" if place in faults else _words(error)
            )
        yield from faults.items()
        return
    for name in ("base", "tuned"):
        query = document["per_query"][name]
        if query["cached_tokens"] > query["input_tokens"]:
            place = pointer("per_query", name, "cached_tokens")
            found = f"{query['cached_tokens']:g} of {query['input_tokens']:g} input tokens"
            yield place, f"{found} cannot be cached; input_tokens are those of the whole prompt"


def _words(error: ValidationError) -> str:
    """One fault in words, from the schema's own description of the place."""
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator == "required" and isinstance(error.instance, Mapping):
        missing = [key for key in schema["required"] if key not in error.instance]
        parts = [f'"{key}" ({_described(schema["properties"][key])})' for key in missing]
        return f"it lacks {', '.join(parts)}"
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = list(schema["properties"])
        unknown = [quoted(key) for key in error.instance if key not in known]
        return f"the key {', '.join(unknown[:3])} is not known; expected {', '.join(known)}"
    return f"found {quoted(error.instance)}; expected {_description(error)}"


def _description(error: ValidationError) -> str:
    """The schema's description of the place: of the property, else of its type."""
    schema = _schema()
    for step in error.absolute_path:
        schema = _resolved(schema)
        schema = schema["items"] if isinstance(step, int) else schema["properties"][step]
    return _described(schema) or "an object"


def _described(schema: Mapping[str, Any]) -> str:
    return str(schema.get("description") or _resolved(schema).get("description", ""))


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The type behind a property, or the property itself where it is spelt out."""
    name = schema.get("$ref")
    return schema if name is None else _schema()["$defs"][name.rsplit("/", 1)[-1]]


@cache
def _schema() -> Mapping[str, Any]:
    schema: Mapping[str, Any] = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    return schema


def _claims(d: Mapping[str, Any]) -> CostClaims:
    prices, queries, assumed = d["prices"], d["per_query"], d["assumptions"]
    return CostClaims(
        date=_date(d["date"]),
        model=d["model"],
        base_model=d.get("base_model", d["model"]),
        valid_from=prices["valid_from"],
        train_per_m=prices["training"],
        base_rates=_rates(prices["base"]),
        tuned_rates=_rates(prices["tuned"]),
        training=Training(
            examples=int(d["training"]["examples"]),
            tokens_per_epoch=int(d["training"]["tokens_per_epoch"]),
            epochs=int(d["training"]["epochs"]),
            billed_tokens=int(d["training"]["billed_tokens"]),
            usd=d["training"]["usd"],
        ),
        instructions=queries["base"].get("instructions"),
        shots=int(queries["base"].get("shots", 0)),
        base=_query(queries["base"]),
        tuned=_query(queries["tuned"]),
        queries_per_day=assumed["queries_per_day"],
        other_fixed_usd=assumed.get("other_fixed_usd", 0.0),
        break_even=_volume(d["break_even"]),
        retires=_date(d["retirement"]["date"]) if d["retirement"]["date"] else None,
        pays_before=d["retirement"]["pays_before"],
        alternatives=tuple(
            ClaimedAlternative(
                a["name"], a["fixed_usd"], a["usd_per_query"], _volume(a["break_even"])
            )
            for a in d.get("alternatives", ())
        ),
    )


def _rates(rates: Mapping[str, Any]) -> Rates:
    return Rates(rates["input"], rates["cached"], rates["output"])


def _query(query: Mapping[str, Any]) -> Query:
    usage = QueryTokenUsage(query["input_tokens"], query["output_tokens"], query["cached_tokens"])
    return Query(usage, query["usd"])


def _date(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


def _volume(value: Any) -> Volume:
    return None if value == "never" else float(value)

"""How large a schema may be. The numbers are those that OpenAI documents for structured outputs.

Source: https://developers.openai.com/api/docs/guides/structured-outputs, "Supported schemas".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from grader.openai_sim.decoding.sequences import BadSchema

PROPERTIES: Final = 5_000  # in all
LEVELS: Final = 10  # of objects and lists in each other
NAME_CHARACTERS: Final = 120_000  # of names of properties and definitions, enum values and consts
ENUM_VALUES: Final = 1_000  # in all
VALUES: Final = 50_000  # of JSON, whatever they mean: ours, four for each property
TEXT_CHARACTERS: Final = 500_000  # of its JSON, descriptions included: ours
CHOSEN_PROPERTIES: Final = 50_000  # of all choices of a request together: ours
_JSON_LEVELS: Final = 64  # whatever they mean: ours
_DEEPER: Final = frozenset(
    {"properties", "patternProperties", "additionalProperties", "items", "prefixItems"}
)


def check_size(schema: Mapping[str, Any]) -> int:
    """The number of properties; at least 1. Raises BadSchema for a schema above a limit."""
    properties = characters = enum_values = values = 0
    # Each value with its levels of JSON and of objects and lists, and whether its keys are names.
    waiting: list[tuple[Any, int, int, bool]] = [(schema, 0, 0, False)]
    while waiting:
        value, deep, levels, named = waiting.pop()
        values += 1
        _most(levels, LEVELS, "levels of nesting")
        _most(deep, _JSON_LEVELS, "levels of JSON")
        _most(values + len(waiting), VALUES, "values")
        if isinstance(value, list):
            waiting += [(one, deep + 1, levels, False) for one in value]
        if not isinstance(value, Mapping):
            continue
        if named:
            properties += len(value)
            characters += sum(map(len, value))
        for key, one in value.items():
            names = not named and key in ("properties", "patternProperties", "$defs", "definitions")
            lower = not named and key in _DEEPER and isinstance(one, Mapping | list)
            if not named and key == "enum" and isinstance(one, list):
                enum_values += len(one)
                characters += sum(len(text) for text in one if isinstance(text, str))
            elif not named and key in ("const", "pattern") and isinstance(one, str):
                characters += len(one)
            if isinstance(one, Mapping | list):
                waiting.append((one, deep + 1, levels + lower, names))
        _most(properties, PROPERTIES, "properties")
        _most(enum_values, ENUM_VALUES, "enum values")
        _most(characters, NAME_CHARACTERS, "characters of names, enum values and patterns")
    return max(1, properties)


def check_cost(schema: Mapping[str, Any], number: int) -> None:
    """Raises BadSchema for a schema that is too large, or too large for `number` choices."""
    properties = check_size(schema)
    if properties * number > CHOSEN_PROPERTIES:
        raise BadSchema(
            f"it has {properties} properties, and n is {number}. Together they may be "
            f"{CHOSEN_PROPERTIES}: use a smaller schema or fewer choices"
        )


def _most(number: int, limit: int, what: str) -> None:
    if number > limit:
        raise BadSchema(f"it has more than {limit} {what}, which is the most that it may have")

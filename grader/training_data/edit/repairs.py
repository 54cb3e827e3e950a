"""Repairs of one line beyond its texts: keys that hold nothing, names of roles, glued objects."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from grader.training_data.read.documents import objects_in
from grader.training_data.read.examples import Kind
from grader.training_data.read.lines import LineError, decode
from grader.training_data.read.other_formats import plain_role

_LISTS_OF_MESSAGES: Final = ("messages", "preferred_output", "non_preferred_output")
_DECLARATIONS: Final = ("tools", "functions")
_MEANT_NULLS: Final = frozenset({"default", "const", "example"})  # of a JSON Schema: null says null
_GLUE: Final = re.compile(rb"\}[\s,]+(?:\{|\Z)")  # also inside an object: a first, quick look
_EMPTY_LISTS: Final = frozenset({"tool_calls", "annotations"})  # as clients dump "there are none"


def without_nothing(value: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """The example without keys that hold nothing, where a key may be absent.

    Libraries that keep rows in columns (datasets, pandas) write null for each key that another row
    has, and clients' `model_dump` writes what a response did not have. What has no content is left
    as it is: that is an error to be looked at.
    """
    if kind is Kind.QA:
        return dict(value)
    return {
        key: _inner(key, inner)
        for key, inner in value.items()
        if inner is not None or key in ("messages", "input", *_LISTS_OF_MESSAGES)
    }


def _inner(key: str, value: Any) -> Any:
    if key in _LISTS_OF_MESSAGES and isinstance(value, list):
        return [_message(one) if isinstance(one, dict) else one for one in value]
    if key in _DECLARATIONS:
        return _schema(value)
    if key == "input" and isinstance(value, dict):
        return {k: _inner(k, v) for k, v in value.items() if v is not None or k == "messages"}
    return value


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _schema(inner) if key in ("tool_calls", "function_call") else inner
        for key, inner in message.items()
        if key in ("role", "content")
        or not (inner is None or (inner == [] and key in _EMPTY_LISTS))
    }


def _schema(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _schema(inner)
            for key, inner in value.items()
            if inner is not None or key in _MEANT_NULLS
        }
    return [_schema(one) for one in value] if isinstance(value, list) else value


def with_plain_roles(value: Mapping[str, Any]) -> dict[str, Any]:
    """The example with the roles that its messages plainly mean, such as user for "Human"."""
    found = dict(value)
    for key in _LISTS_OF_MESSAGES:
        if isinstance(value.get(key), list):
            found[key] = [_with_role(message) for message in value[key]]
    if isinstance(value.get("input"), dict):
        found["input"] = with_plain_roles(value["input"])
    return found


def _with_role(message: Any) -> Any:
    role = plain_role(message.get("role")) if isinstance(message, dict) else None
    return {**message, "role": role} if role is not None else message


def written_like(value: Mapping[str, Any], raw: bytes) -> bytes:
    """The value as JSON in the manner of `raw`: ASCII alone, and spaces, as there."""
    spaced = b'": ' in raw or b'":' not in raw
    separators = (", ", ": ") if spaced else (",", ":")
    return json.dumps(value, ensure_ascii=raw.isascii(), separators=separators).encode()


def parted(raw: bytes) -> list[bytes]:
    """The objects of a line that holds several and commas, or a comma behind one; else nothing."""
    if b"}{" not in raw and not _GLUE.search(raw):
        return []
    spans, end = objects_in(raw)
    rest = raw[end:].strip()
    if rest not in (b"", b",") or (len(spans) < 2 and not rest):
        return []
    pieces = [raw[start:end] for start, end in spans]
    return pieces if all(_is_object(piece) for piece in pieces) else []


def _is_object(piece: bytes) -> bool:
    try:
        return isinstance(decode(piece), dict)
    except LineError:
        return False

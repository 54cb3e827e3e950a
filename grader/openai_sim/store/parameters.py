"""Pagination, and the readers of keys and of the parameters of JSON bodies.

Readers raise ApiError in OpenAI's words.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Collection, Mapping
from typing import Any, Final, Generic, Literal, TypeVar

from fastapi import Request
from pydantic import BaseModel
from starlette.datastructures import Headers

from grader.core.strict_json import StrictJsonError, loads
from grader.openai_sim.store.errors import ApiError

Item = TypeVar("Item", bound=BaseModel)


class Listing(BaseModel, Generic[Item]):
    """A whole list."""

    object: Literal["list"]
    data: list[Item]


class Page(Listing[Item], Generic[Item]):
    """A page of a list; the id of its last item, as `after`, requests the next page."""

    has_more: bool


class NamedPage(Page[Item], Generic[Item]):
    """A page with the ids of its first and last item; null in an empty one."""

    first_id: str | None
    last_id: str | None


BODY_MAX_BYTES: Final = 2 * 1024 * 1024  # of JSON: twenty times the longest prompt that is read

BODY_MAX_VALUES: Final = 50_000  # of JSON in a body; a schema at its limits has half of it


def json_values(body: bytes) -> int:
    """About the number of values in a JSON text, never fewer than half of them; no parser needed.

    Signs in texts count too: a text with so many of them is none that a model reads.
    """
    return body.count(b",") + body.count(b"[") + body.count(b"{")


_SHOWN_DIGITS: Final = 40  # of a number that is far beyond its bound
TYPE_NAMES: Final = {
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


async def json_object(request: Request) -> dict[str, Any]:
    """The request's body, a JSON object. Raises ApiError for anything else."""
    try:
        value = loads(await request.body(), max_bytes=BODY_MAX_BYTES)
    except StrictJsonError as error:
        raise ApiError(
            400,
            "We could not parse the JSON body of your request. (HINT: This likely means you "
            "aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, "
            f"but what was sent was not valid JSON: {error.message})",
        ) from error
    if not isinstance(value, dict):
        raise wrong_type("body", "an object", value)
    return value


def wrong_type(name: str, expected: str, value: Any) -> ApiError:
    """The error of a value of another JSON type."""
    found = TYPE_NAMES[type(value)]
    return ApiError(
        400,
        f"Invalid type for '{name}': expected {expected}, but got {found} instead.",
        param=name,
        code="invalid_type",
    )


def missing(name: str) -> ApiError:
    """The error of a required parameter that is absent."""
    return ApiError(
        400, f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter"
    )


def only(given: Mapping[str, Any], known: Collection[str], prefix: str = "") -> None:
    """Raises ApiError for the first unknown parameter."""
    for name in given:
        if name not in known:
            shown = f"{prefix}{name[:64]}"
            raise ApiError(
                400, f"Unknown parameter: '{shown}'.", param=shown, code="unknown_parameter"
            )


def text(given: Mapping[str, Any], name: str, *, most: int | None = None) -> str | None:
    """A text of 1 to `most` characters, or None when it is absent or null."""
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise wrong_type(name, "a string", value)
    if not value:
        raise ApiError(
            400,
            f"Invalid '{name}': empty string. Expected a string with minimum length 1, but got an "
            "empty string instead.",
            param=name,
            code="empty_string",
        )
    if most is not None and len(value) > most:
        raise ApiError(
            400,
            f"Invalid '{name}': string too long. Expected a string with maximum length {most}, but "
            f"got a string with length {len(value)} instead.",
            param=name,
            code="string_above_max_length",
        )
    return value


def integer(given: Mapping[str, Any], name: str, least: int, most: int, prefix: str = "") -> Any:
    """An integer in the range, or None when it is absent or null."""
    value, shown = given.get(name), prefix + name
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(shown, "an integer", value)
    if value < least:
        raise beyond(shown, "integer", "below minimum", ">=", least, value)
    if value > most:
        raise beyond(shown, "integer", "above maximum", "<=", most, value)
    return value


def positive(given: Mapping[str, Any], name: str, most: float, prefix: str = "") -> Any:
    """A number above 0 and at most `most`, or None when it is absent or null."""
    value, shown = given.get(name), prefix + name
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(shown, "a decimal", value)
    if not value > 0:
        raise beyond(shown, "decimal", "below minimum", ">", 0, value)
    if value > most or not math.isfinite(value):
        raise beyond(shown, "decimal", "above maximum", "<=", most, value)
    return value


def member(given: Mapping[str, Any], name: str, prefix: str = "") -> Mapping[str, Any]:
    """An object; an empty one when it is absent or null."""
    value = given.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong_type(prefix + name, "an object", value)
    return value


def choice(value: Any, name: str, allowed: Collection[str]) -> str:
    """The value, one of the allowed texts."""
    if not isinstance(value, str):
        raise wrong_type(name, "a string", value)
    if value not in allowed:
        *others, last = [f"'{one}'" for one in allowed]
        raise ApiError(
            400,
            f"Invalid value: '{value[:64]}'. Supported values are: {', '.join(others)}, and "
            f"{last}.",
            param=name,
            code="invalid_value",
        )
    return value


def beyond(name: str, kind: str, side: str, sign: str, bound: float, value: float) -> ApiError:
    """The error of a number that is, such as, "above maximum": not <= `bound`."""
    # A whole number may be too large for a float.
    found = f"{value:g}" if isinstance(value, float) else str(value)[:_SHOWN_DIGITS]
    word = side.split()[0]
    short = {"minimum": "min", "maximum": "max"}[side.split()[1]]
    return ApiError(
        400,
        f"Invalid '{name}': {kind} {side} value. Expected a value {sign} {bound:g}, but got "
        f"{found} instead.",
        param=name,
        code=f"{kind}_{word}_{short}_value",
    )


def given_key(headers: Headers) -> str | None:
    """The key of a request: a bearer token, Azure's header, or the password of a browser."""
    if "api-key" in headers:
        return headers["api-key"].strip() or None
    scheme, _, given = headers.get("authorization", "").partition(" ")
    given = given.strip()
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:  # no base64, or no UTF-8 in it
            return None
    elif scheme.lower() != "bearer":
        return None
    return given or None

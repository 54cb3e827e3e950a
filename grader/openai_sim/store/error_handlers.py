"""What the service answers when something raises: OpenAI's envelope, whoever found the error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from grader.openai_sim.store.errors import ApiError, response
from grader.openai_sim.store.parameters import TYPE_NAMES, beyond, missing, wrong_type

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse

_ALTERNATIVES: Final = frozenset({"str", "int", "float", "bool", "list", "dict"})
_EXPECTED: Final = {
    "int_type": "an integer",
    "float_type": "a decimal",
    "bool_type": "a boolean",
    "string_type": "a string",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
_BOUNDS: Final = {
    "greater_than_equal": ("below minimum", ">=", "ge"),
    "less_than_equal": ("above maximum", "<=", "le"),
    "less_than": ("above maximum", "<", "lt"),
}


def install(app: FastAPI) -> None:
    """Put every error of this app into the envelope."""
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)


async def _refused(_request: Request, error: Any) -> JSONResponse:
    return response(error)


async def _http(request: Request, error: Any) -> JSONResponse:
    place = f"{request.method} {request.url.path}"
    if error.status_code == HTTPStatus.NOT_FOUND:
        azure = request.url.path.startswith(("/openai/", "/subscriptions/", "/v1/deployments/"))
        hint = (
            ". Azure's paths are served by `finegrade simulate --scenario azure`" if azure else ""
        )
        return response(ApiError(404, f"Invalid URL ({place}){hint}", code="unknown_url"))
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        said = f"Not allowed to {request.method} on {request.url.path}. (HINT: Perhaps you meant "
        wrong = ApiError(
            405,
            said + "to use a different HTTP method?)",
            code="method_not_supported",
            headers=error.headers,
        )
        return response(wrong)
    return response(ApiError(error.status_code, str(error.detail), headers=error.headers))


async def _invalid(_request: Request, error: Any) -> JSONResponse:
    return response(_first_error(error.errors()))


def _first_error(errors: Sequence[Mapping[str, Any]]) -> ApiError:
    """In the service's words where these are known, else in pydantic's."""
    first = errors[0]
    place = _place(first["loc"])
    kind, value = first["type"], first.get("input")
    if kind == "missing":
        return missing(place)
    if kind in _EXPECTED and type(value) in TYPE_NAMES:
        same = (e for e in errors if _place(e["loc"]) == place and e["type"] in _EXPECTED)
        expected = " or ".join(dict.fromkeys(_EXPECTED[e["type"]] for e in same))
        return wrong_type(place, expected, value)
    if kind in _BOUNDS and isinstance(value, int | float):
        side, sign, bound = _BOUNDS[kind]
        number = "integer" if isinstance(value, int) else "decimal"
        return beyond(place, number, side, sign, first["ctx"][bound], value)
    return ApiError(400, f"Invalid '{place}': {first['msg']}.", param=place, code="invalid_value")


def _place(steps: Sequence[str | int]) -> str:
    """The parameter that pydantic's location names, such as "messages[0].content".

    Of a union it also names the alternative: its type, which is no part of the body.
    """
    place = ""
    for step in steps[1:]:
        if isinstance(step, int):
            place += f"[{step}]"
        elif step not in _ALTERNATIVES and "[" not in step:
            place += f".{step}" if place else step
    return place or "body"

"""The errors of the service, in OpenAI's envelope, words and codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from fastapi.responses import JSONResponse
from pydantic import BaseModel

if TYPE_CHECKING:
    pass

INVALID: Final = "invalid_request_error"
_WINDING_DOWN: Final = (
    "OpenAI is winding down the fine-tuning platform and your organization is no longer able to "
    "create new fine-tuning training jobs."
)
_QUOTA: Final = (
    "You exceeded your current quota, please check your plan and billing details. For more "
    "information on this error, read the docs: "
    "https://platform.openai.com/docs/guides/error-codes/api-errors."
)


class ErrorBody(BaseModel):
    """The inside of the envelope."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(BaseModel):
    """The body of every error response."""

    error: ErrorBody


_SHOWN_CHARACTERS: Final = 2_000  # of a message or a parameter's name


def readable(text: str) -> str:
    """A text that quotes a client's, as it can be sent: cut, and without half surrogate pairs."""
    return text[:_SHOWN_CHARACTERS].encode(errors="replace").decode()


class ApiError(Exception):
    """An error: its HTTP status, the envelope's fields, and more headers.

    Message and parameter may quote the request as it came: here they become `readable`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = INVALID,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = ErrorBody(
            message=readable(message),
            type=type,
            param=None if param is None else readable(param),
            code=code,
        )
        self.headers = dict(headers or {})


def response(error: ApiError) -> JSONResponse:
    """The error as a response."""
    content = ErrorEnvelope(error=error.body).model_dump()
    return JSONResponse(content, error.status, error.headers)


# --- errors that more than one module raises -------------------------------------------------


def no_such_file(file_id: str) -> ApiError:
    """A file that does not exist, in a request for it."""
    return ApiError(404, f"No such File object: {file_id}", param="id")


def no_such_job(job_id: str) -> ApiError:
    """A job that does not exist."""
    return ApiError(
        404,
        f"Could not find fine tune: {job_id}",
        param="fine_tune_id",
        code="fine_tune_not_found",
    )


def no_such_model(model: str) -> ApiError:
    """A model that does not exist."""
    return ApiError(
        404,
        f"The model `{model}` does not exist or you do not have access to it.",
        param="model",
        code="model_not_found",
    )


def retired_model(model: str) -> ApiError:
    """A model that was withdrawn."""
    return ApiError(
        404,
        f"The model `{model}` has been deprecated, learn more here: "
        "https://platform.openai.com/docs/deprecations",
        code="model_not_found",
    )


def not_tunable(model: str) -> ApiError:
    """A model that cannot be trained."""
    return ApiError(
        400,
        f"Model {model} is not available for fine-tuning or does not exist.",
        param="model",
        code="model_not_available",
    )


def wrong_key(key: str) -> ApiError:
    """A wrong key; only its ends are shown, as OpenAI does."""
    shown = f"{key[:3]}{'*' * 8}{key[-4:]}" if len(key) > 12 else "*" * 8
    return ApiError(
        401,
        f"Incorrect API key provided: {shown}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
    )


def no_key() -> ApiError:
    """A request without a key."""
    return ApiError(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization "
        "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
    )


def winding_down() -> ApiError:
    """The organisation may not train any longer."""
    return ApiError(403, _WINDING_DOWN, code="training_not_available")


def out_of_quota() -> ApiError:
    """The quota is used up; waiting does not help."""
    return ApiError(429, _QUOTA, type="insufficient_quota", code="insufficient_quota")


def too_fast(model: str, seconds: float) -> ApiError:
    """Too many requests; the client should wait for `seconds`."""
    return ApiError(
        429,
        f"Rate limit reached for {model} on requests per min (RPM): Limit 3, Used 3, Requested 1. "
        f"Please try again in {seconds:g}s. Visit "
        "https://platform.openai.com/account/rate-limits to learn more.",
        type="requests",
        code="rate_limit_exceeded",
        headers={
            "retry-after": str(max(1, round(seconds))),
            "retry-after-ms": f"{seconds * 1e3:g}",
        },
    )


def too_large(limit: int) -> ApiError:
    """A body above the limit in bytes."""
    return ApiError(413, f"Maximum content size limit ({limit}) exceeded.")


def too_many_values(limit: int) -> ApiError:
    """A body of more JSON values than any request needs."""
    return ApiError(400, f"The JSON body of your request has more than {limit} values.")


def bad_schema(why: str) -> ApiError:
    """A schema that cannot be followed, be it known before the first token or after it."""
    return ApiError(
        400,
        f"Invalid schema for response_format: {why}.",
        param="response_format",
        code="invalid_json_schema",
    )


def too_many_choices(waiting: int) -> ApiError:
    """More generations wait than one client may have at once."""
    return ApiError(
        429,
        f"{waiting} answers of yours are waiting already, and this request would be too many. "
        "Wait for some of them, or ask for fewer choices (n).",
        type="requests",
        code="rate_limit_exceeded",
        headers={"retry-after": "1"},
    )


def overloaded() -> ApiError:
    """Too many requests at once."""
    return ApiError(
        503,
        "The engine is currently overloaded, please try again later.",
        type="server_error",
        headers={"retry-after": "1"},
    )


def server_fault() -> ApiError:
    """The service itself failed."""
    return ApiError(
        500,
        "The server had an error while processing your request. Sorry about that!",
        type="server_error",
    )

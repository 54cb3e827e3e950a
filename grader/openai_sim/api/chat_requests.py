"""The parameters of chat/completions and completions: those that work and those that are refused.

Also the response format: JSON, DSPy's fields, or any text.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field

from grader.models.tokenization import message_text
from grader.openai_sim.store.errors import ApiError, bad_schema

if TYPE_CHECKING:
    from grader.openai_sim.decoding.sequences import Guide
    from grader.openai_sim.decoding.serving import ServedModel

MAX_N: Final = 128  # the service's own limit
MAX_MESSAGES: Final = 512  # of a conversation; the models here read 1,024 tokens
MAX_STOPS: Final = 4  # the service's own limit
ROLES: Final = ("system", "developer", "user", "assistant")
# Parameters of the service that change nothing here: labels, tiers, and what is true anyway.
_WITHOUT_EFFECT: Final = frozenset(
    {
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)
# Parameters that would change the answer and that a local model cannot follow.
_CANNOT: Final = {
    "tools": "calling tools",
    "tool_choice": "calling tools",
    "functions": "calling functions",
    "function_call": "calling functions",
    "audio": "audio",
    "modalities": "audio",
    "prediction": "predicted outputs",
    "logit_bias": "a bias on tokens of OpenAI's vocabulary",
    "web_search_options": "searching the web",
    "moderation": "moderation",
    "best_of": "choosing the best of several answers",
    "suffix": "filling in text before a suffix",
    "reasoning_effort": "reasoning apart from the answer",
    "verbosity": "a verbosity",
}
_AS_DEFAULT: Final[Mapping[str, object]] = {
    "tool_choice": "none",
    "modalities": ["text"],
    "best_of": 1,
    "reasoning_effort": "none",
    "verbosity": "medium",
}


class StreamOptions(BaseModel):
    """Options of a stream."""

    model_config = ConfigDict(strict=True)

    include_usage: bool | None = None


def _describe(schema: dict[str, Any]) -> None:
    """Describe in the OpenAPI schema what `refuse_extras` does with all other parameters."""
    schema["additionalProperties"] = False
    for name in sorted(_WITHOUT_EFFECT):
        schema["properties"].setdefault(name, {"description": "Taken, and without effect here."})
    for name, what in _CANNOT.items():
        only = [None, _AS_DEFAULT[name]] if name in _AS_DEFAULT else [None]
        described = {"enum": only, "description": f"Not possible here: {what}."}
        schema["properties"].setdefault(name, described)


class GenerationRequest(BaseModel):
    """Parameters that both routes have. `refuse_extras` judges all others by name."""

    # A text in a number's place is refused, as OpenAI's service does.
    model_config = ConfigDict(extra="allow", strict=True, json_schema_extra=_describe)

    model: Annotated[str, Field(min_length=1, max_length=256)]
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_N)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: str | Annotated[list[str], Field(max_length=MAX_STOPS)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop sequences; empty ones are left out."""
        texts = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(text for text in texts if text)

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with a chunk that has the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def seed_or_any(self) -> int:
        """The seed, or a random one."""
        return secrets.randbits(63) if self.seed is None else self.seed


class ChatMessage(BaseModel):
    """A message; `plain_messages` checks its content."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: str | list[dict[str, Any]] | None = None


class ChatRequest(GenerationRequest):
    """The body of POST /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: dict[str, Any] | None = None


class CompletionRequest(GenerationRequest):
    """The body of POST /v1/completions. `prompt` is one text or several."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=MAX_N)]
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: bool | None = None


class JsonSchemaFormat(BaseModel):
    """The inside of a response_format of type json_schema."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    json_schema: Annotated[dict[str, Any], Field(alias="schema")] = {}
    strict: bool | None = None
    description: str | None = None


def refuse_extras(extras: Mapping[str, Any] | None) -> None:
    """Raises ApiError 400 for the first parameter that is unknown, or that nothing here can do."""
    for name, value in (extras or {}).items():
        if name in _WITHOUT_EFFECT or value in (None, [], {}) or value == _AS_DEFAULT.get(name):
            continue
        if name in _CANNOT:
            raise unsupported(name, _CANNOT[name])
        raise ApiError(
            400, f"Unrecognized request argument supplied: {name[:100]}", code="unknown_parameter"
        )


def unsupported(param: str, what: str) -> ApiError:
    """The refusal of something that OpenAI can do and this service cannot."""
    return ApiError(
        400,
        f"Unsupported parameter: '{param}'. This local model answers with text alone; {what} is "
        "not possible here.",
        param=param,
        code="unsupported_parameter",
    )


def plain_messages(messages: Iterable[ChatMessage]) -> list[dict[str, str]]:
    """Roles and texts alone; raises ApiError 400 for anything else."""
    return [
        {"role": _role(message.role, at), "content": _content(message, at)}
        for at, message in enumerate(messages)
    ]


def _role(role: str, at: int) -> str:
    place = f"messages[{at}].role"
    if role in ROLES:
        return role
    if role in ("tool", "function"):
        raise unsupported(place, "answering with the result of a tool")
    raise ApiError(
        400,
        f"Invalid value: '{role[:50]}'. Supported values are: "
        f"{', '.join(repr(known) for known in ROLES)}.",
        param=place,
        code="invalid_value",
    )


def _content(message: ChatMessage, at: int) -> str:
    place = f"messages[{at}]"
    for key in ("tool_calls", "function_call", "audio"):
        if (message.model_extra or {}).get(key):
            raise unsupported(f"{place}.{key}", "a conversation with tools or audio")
    if message.content is None and message.role != "assistant":
        raise ApiError(
            400,
            f"Invalid value for 'content': expected a string, got null. ({place})",
            param=f"{place}.content",
        )
    if message.content is not None and not isinstance(message.content, str):
        for i, part in enumerate(message.content):
            _check_part(part, f"{place}.content[{i}]")
    return message_text({"content": message.content, **(message.model_extra or {})})


def _check_part(part: Mapping[str, Any], place: str) -> None:
    text = part.get("text", part.get("refusal"))
    if part.get("type") in ("text", "input_text", "output_text", "refusal"):
        if isinstance(text, str):
            return
        raise ApiError(400, f"Missing required parameter: '{place}.text'.", param=f"{place}.text")
    raise unsupported(f"{place}.type", "reading images, audio or files")


ResponseFormat = Literal["text", "json_object", "json_schema"]


def asked_schema(
    response_format: Mapping[str, Any] | None, messages: Iterable[Mapping[str, str]]
) -> tuple[ResponseFormat, Mapping[str, Any]]:
    """The response format and its schema; raises ApiError 400 for an unknown format."""
    kind = (response_format or {}).get("type", "text")
    if kind == "text" or response_format is None:
        return "text", {}
    if kind == "json_object":
        if not any("json" in message["content"].lower() for message in messages):
            raise ApiError(
                400,
                "'messages' must contain the word 'json' in some form, to use 'response_format' "
                "of type 'json_object'.",
                param="messages",
            )
        return "json_object", {"type": "object"}
    if kind != "json_schema":
        raise ApiError(
            400,
            f"Invalid value: {str(kind)[:50]!r}. Supported values are: 'json_object', "
            "'json_schema', and 'text'.",
            param="response_format.type",
            code="invalid_value",
        )
    try:
        inner = JsonSchemaFormat.model_validate(response_format.get("json_schema"))
    except ValueError:
        raise ApiError(
            400,
            "Invalid 'response_format.json_schema': it needs a 'name' and a 'schema'.",
            param="response_format.json_schema",
            code="invalid_value",
        ) from None
    return "json_schema", inner.json_schema


CONSTRAINED: Final = "x-finegrade-constrained"
SCAFFOLD: Final = "x-finegrade-scaffold"


async def guides(
    model: ServedModel,
    response_format: Mapping[str, Any] | None,
    messages: Sequence[Mapping[str, str]],
    number: int,
    *,
    scaffold: bool,
) -> tuple[list[Guide], dict[str, str]]:
    """For each of `number` choices what constrains it to a format, and the headers that say so.

    Raises ApiError 400 for an unknown format and for a schema that is not supported.
    """
    from grader.openai_sim.decoding import dspy_fields
    from grader.openai_sim.decoding.constrained import JsonGuide, json_grammar
    from grader.openai_sim.decoding.schema_limits import check_cost
    from grader.openai_sim.decoding.sequences import BadSchema

    form, schema = asked_schema(response_format, messages)
    fields = dspy_fields.fields_asked(messages) if scaffold and form == "text" else None
    if form == "text" and fields is None:
        return [], {}

    def make() -> list[Guide]:
        if fields is not None:
            return dspy_fields.guides(model.base, fields, model.grammars, number)
        check_cost(schema, number)
        grammar = json_grammar(model.base, schema, model.grammars)
        return [JsonGuide(model.base, grammar, model.grammars) for _ in range(number)]

    try:
        # A large schema takes a while to compile; meanwhile others are served. The thread only
        # waits for a process, which ends with the run.
        made = await anyio.to_thread.run_sync(make)
    except BadSchema as error:
        if fields is not None:  # the prompt did not ask for a scaffold, so none is missed
            return [], {}
        raise bad_schema(str(error)) from None
    return made, {SCAFFOLD: "dspy"} if fields else {CONSTRAINED: form}

"""The request that goes to an instructor's endpoint: ours, made of what a program may choose.

A program chooses texts and how they are sampled, as with the simulator. It chooses no model, no
tool, no address that somebody would fetch and nothing that outlives the response; numbers have
limits. Nothing else of its request leaves this machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from grader.core.constants import MIB
from grader.core.strict_json import StrictJsonError, loads
from grader.openai_sim.api.chat_requests import (
    ChatRequest,
    asked_schema,
    plain_messages,
    refuse_extras,
    unsupported,
)
from grader.openai_sim.store.errors import ApiError

MAX_CHOICES: Final = 8  # of one request; programs that vote ask for five
MAX_ANSWER_TOKENS: Final = 4_096  # of one choice; the courses' programs ask for 300
MAX_TEXT_BYTES: Final = 100_000  # of all messages; a prompt with forty passages has 30,000
MAX_SCHEMA_BYTES: Final = 16 * 1024
_MAX_BODY_BYTES: Final = MIB  # every character of the text may be an escape
_MAX_STOP_CHARACTERS: Final = 200
_MESSAGE_TOKENS: Final = 16  # around the text of one message, whatever the chat template
_REQUEST_TOKENS: Final = 64  # around all messages
_BYTES_A_TOKEN: Final = 32  # on average; no text is written with longer ones
LENGTH: Final = "max_completion_tokens"
SAMPLING: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed")


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """The body to send. It takes at most `prompt_tokens`, and `answer_tokens` for all choices."""

    body: Mapping[str, Any]
    text_bytes: int
    prompt_tokens: int
    answer_tokens: int

    def used(self, reply: Mapping[str, Any]) -> tuple[int, int]:
        """Tokens of the prompt and of the answer, as the reply states them.

        A reply that states none, or fewer than its text can have, used all that was reserved.
        """
        usage = reply.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        prompt = _count(usage.get("prompt_tokens"), self.text_bytes)
        answer = _count(usage.get("completion_tokens"), _written_bytes(reply["choices"]))
        if prompt is None or answer is None:
            return self.prompt_tokens, self.answer_tokens
        return prompt, answer


def endpoint_request(body: bytes, model: str) -> EndpointRequest:
    """What `body`, a program's request of a chat completion, may ask of `model`.

    Raises ApiError, which says what is not possible, as the simulator does.
    """
    try:
        asked = ChatRequest.model_validate(loads(body, max_bytes=_MAX_BODY_BYTES))
    except StrictJsonError as error:
        raise ApiError(400, f"The body is not strict JSON: {error.message}.") from None
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"])) or "body"
        text = f"Invalid '{place[:100]}': {error.errors()[0]['msg'][:200]}."
        raise ApiError(400, text, code="invalid_value") from None
    refuse_extras(asked.model_extra)
    for name in ("stream", "logprobs"):
        if getattr(asked, name):
            raise unsupported(name, "streaming" if name == "stream" else "probabilities of tokens")
    messages = plain_messages(asked.messages)
    form = _response_format(asked.response_format, messages)
    if any(len(stop) > _MAX_STOP_CHARACTERS for stop in asked.stops):
        raise _too_much("stop", f"{_MAX_STOP_CHARACTERS} characters each")
    number = asked.n or 1
    if number > MAX_CHOICES:
        raise _too_much("n", str(MAX_CHOICES))
    length = min(
        asked.max_completion_tokens or asked.max_tokens or MAX_ANSWER_TOKENS, MAX_ANSWER_TOKENS
    )
    text_bytes = sum(len(message["content"].encode()) for message in messages)
    if text_bytes > MAX_TEXT_BYTES:
        raise _too_much("messages", f"{MAX_TEXT_BYTES} bytes of text")
    sampling = {name: getattr(asked, name) for name in SAMPLING}
    chosen = {
        **sampling,
        "stop": list(asked.stops) or None,
        "response_format": form,
        "n": number if number > 1 else None,
    }
    return EndpointRequest(
        body={
            "model": model,
            "messages": messages,
            LENGTH: length,
            **{name: value for name, value in chosen.items() if value is not None},
        },
        text_bytes=text_bytes,
        # No tokenizer makes more tokens than there are bytes.
        prompt_tokens=text_bytes
        + len(json.dumps(form))
        + _MESSAGE_TOKENS * len(messages)
        + _REQUEST_TOKENS,
        answer_tokens=number * length,
    )


def _response_format(
    asked: Mapping[str, Any] | None, messages: Sequence[Mapping[str, str]]
) -> dict[str, Any] | None:
    form, schema = asked_schema(asked, messages)
    if form == "text" or asked is None:
        return None
    if form == "json_object":
        return {"type": form}
    if len(json.dumps(schema)) > MAX_SCHEMA_BYTES:
        raise _too_much("response_format", f"{MAX_SCHEMA_BYTES} bytes of schema")
    if _refers_elsewhere(schema):
        raise ApiError(
            400, "Invalid schema: a $ref must lead to a place within it.", param="response_format"
        )
    inner = {"name": "answer", "schema": schema, "strict": asked["json_schema"].get("strict")}
    return {"type": form, form: {k: v for k, v in inner.items() if v is not None}}


def _refers_elsewhere(schema: Any) -> bool:
    """Whether somebody would fetch an address to read it."""
    if isinstance(schema, list):
        return any(map(_refers_elsewhere, schema))
    if not isinstance(schema, dict):
        return False
    places = [schema[name] for name in ("$ref", "$dynamicRef") if isinstance(schema.get(name), str)]
    return any(not place.startswith("#") for place in places) or any(
        map(_refers_elsewhere, schema.values())
    )


def _too_much(param: str, most: str) -> ApiError:
    return ApiError(
        400,
        f"'{param}': at most {most} with this model.",
        param=param,
        code="above_maximum",
    )


def _count(tokens: Any, text_bytes: int) -> int | None:
    """The number of tokens, if a text of so many bytes may have taken it."""
    if isinstance(tokens, bool) or not isinstance(tokens, int):
        return None
    return tokens if tokens >= 0 and tokens * _BYTES_A_TOKEN >= text_bytes else None


def _written_bytes(choices: Sequence[Any]) -> int:
    """Of the texts in a reply."""
    messages = [choice.get("message") for choice in choices if isinstance(choice, dict)]
    texts = [message.get("content") for message in messages if isinstance(message, dict)]
    return sum(len(text.encode(errors="replace")) for text in texts if isinstance(text, str))

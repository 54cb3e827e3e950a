"""POST /v1/responses: text in, text out. Responses are not stored, so none can be retrieved."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request, Response
from openai.types.responses import Response as ResponseObject
from openai.types.responses import ResponseOutputMessage, ResponseOutputText, ResponseUsage
from openai.types.responses.response import IncompleteDetails
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails
from pydantic import Field

from grader.openai_sim.api.chat_requests import (
    MAX_MESSAGES,
    ChatMessage,
    GenerationRequest,
    guides,
    plain_messages,
    refuse_extras,
    unsupported,
)
from grader.openai_sim.api.generation import (
    answered,
    chat_prompt,
    choices,
    find_model,
    generation,
    json_response,
)
from grader.openai_sim.store.records import new_id

if TYPE_CHECKING:
    from grader.openai_sim.decoding.sequences import Completion
    from grader.openai_sim.decoding.serving import ServedModel, Server


class ResponseRequest(GenerationRequest):
    """The body of POST /v1/responses."""

    input: str | Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    text: dict[str, Any] | None = None
    previous_response_id: str | None = None
    background: bool | None = None
    include: list[str] | None = None
    truncation: str | None = None
    reasoning: dict[str, Any] | None = None


def router(server: Server, *, scaffold: bool) -> APIRouter:
    """responses."""
    routes = APIRouter()

    @routes.post("/responses", response_model=ResponseObject)
    async def create_response(body: ResponseRequest, http: Request) -> Response:
        """Answer a text or a conversation."""
        model = find_model(server, body.model)
        _refuse(body)
        said = body.input
        messages = [ChatMessage(role="user", content=said)] if isinstance(said, str) else said
        plain = plain_messages(messages)
        if body.instructions:
            plain = [{"role": "system", "content": body.instructions}, *plain]
        prompt = chat_prompt(model, plain)
        one = generation(model, prompt, body, body.max_output_tokens or body.max_tokens)
        held, headers = await guides(model, _format(body), plain, 1, scaffold=scaffold)
        answers = await answered(server, model, choices(one, 1, held), http)
        response = _response(model, body, answers[0], len(prompt.ids))
        return json_response(response.model_dump_json(exclude_unset=True), headers)

    return routes


def _refuse(body: ResponseRequest) -> None:
    """Raises ApiError 400 for what this service cannot do."""
    refuse_extras(body.model_extra)
    for param, what in (
        ("stream", "a stream of response events (chat/completions has one)"),
        ("previous_response_id", "going on from an answer that was not kept"),
        ("background", "answering later"),
        ("include", "further output"),
    ):
        if getattr(body, param):
            raise unsupported(param, what)


def _format(body: ResponseRequest) -> dict[str, Any] | None:
    """`text.format` as chat/completions has it in `response_format`."""
    form = (body.text or {}).get("format")
    if isinstance(form, dict) and form.get("type") == "json_schema":
        return {"type": "json_schema", "json_schema": form}
    return form if isinstance(form, dict) else None


def _response(
    model: ServedModel, body: ResponseRequest, answer: Completion, read: int
) -> ResponseObject:
    cut = answer.finish == "length"
    text = ResponseOutputText(annotations=[], text=answer.text, type="output_text", logprobs=[])
    message = ResponseOutputMessage(
        id=new_id("msg"),
        content=[text],
        role="assistant",
        status="incomplete" if cut else "completed",
        type="message",
    )
    return ResponseObject(
        id=new_id("resp"),
        created_at=int(time.time()),
        error=None,
        incomplete_details=IncompleteDetails(reason="max_output_tokens") if cut else None,
        instructions=body.instructions,
        max_output_tokens=body.max_output_tokens,
        metadata={},
        model=model.name,
        object="response",
        output=[message],
        parallel_tool_calls=False,
        previous_response_id=None,
        status="incomplete" if cut else "completed",
        temperature=1.0 if body.temperature is None else body.temperature,
        tool_choice="none",
        tools=[],
        top_p=1.0 if body.top_p is None else body.top_p,
        usage=ResponseUsage(
            input_tokens=read,
            input_tokens_details=InputTokensDetails(cache_write_tokens=0, cached_tokens=0),
            output_tokens=answer.tokens,
            output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
            total_tokens=read + answer.tokens,
        ),
    )

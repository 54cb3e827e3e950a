"""POST /v1/chat/completions, and the router of all generation."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage
from openai.types.chat.chat_completion import Choice, ChoiceLogprobs
from openai.types.chat.chat_completion_chunk import Choice as ChunkChoice
from openai.types.chat.chat_completion_chunk import ChoiceDelta
from openai.types.chat.chat_completion_chunk import ChoiceLogprobs as ChunkLogprobs
from openai.types.chat.chat_completion_token_logprob import (
    ChatCompletionTokenLogprob,
    TopLogprob,
)

from grader.openai_sim.api import completions, responses
from grader.openai_sim.api.chat_requests import ChatRequest, guides, plain_messages, refuse_extras
from grader.openai_sim.api.generation import (
    DONE,
    OR_STREAM,
    answered,
    chat_prompt,
    choices,
    find_model,
    generation,
    json_response,
    pieces,
    streaming,
    usage,
)
from grader.openai_sim.decoding.serving import ServedModel, Server
from grader.openai_sim.store.errors import ApiError, ErrorEnvelope
from grader.openai_sim.store.records import new_id

if TYPE_CHECKING:
    from grader.openai_sim.decoding.sequences import Completion, Generation, TextDelta, TokenScore


def router(server: Server, *, scaffold: bool = True) -> APIRouter:
    """The routes of generation. `scaffold` False leaves DSPy's field markers to the model."""
    routes = APIRouter()

    @routes.post("/chat/completions", response_model=ChatCompletion, responses=OR_STREAM)
    async def create_chat_completion(body: ChatRequest, http: Request) -> Response:
        """Answer a conversation."""
        model = find_model(server, body.model)
        refuse_extras(body.model_extra)
        if body.top_logprobs is not None and not body.logprobs:
            raise ApiError(
                400,
                "'top_logprobs' is only allowed when 'logprobs' is enabled.",
                param="top_logprobs",
            )
        messages = plain_messages(body.messages)
        prompt = chat_prompt(model, messages)
        one = generation(model, prompt, body, body.max_completion_tokens or body.max_tokens)
        if body.logprobs:
            one = replace(one, top_logprobs=body.top_logprobs or 0)
        number = body.n or 1
        held, headers = await guides(
            model, body.response_format, messages, number, scaffold=scaffold
        )
        asked = choices(one, number, held)
        if body.stream:
            chunks = _chunks(server, model, asked, http, body.with_usage)
            return await streaming(chunks, headers)
        answers = await answered(server, model, asked, http)
        completion = ChatCompletion(
            id=new_id("chatcmpl"),
            choices=[_choice(at, answer) for at, answer in enumerate(answers)],
            created=int(time.time()),
            model=model.name,
            object="chat.completion",
            service_tier="default",
            system_fingerprint=model.fingerprint,
            usage=usage(len(prompt.ids), sum(answer.tokens for answer in answers)),
        )
        return json_response(completion.model_dump_json(exclude_unset=True), headers)

    routes.include_router(completions.router(server))
    routes.include_router(responses.router(server, scaffold=scaffold))
    return routes


def _choice(at: int, answer: Completion) -> Choice:
    wanted = answer.generation.top_logprobs is not None
    return Choice(
        finish_reason=answer.finish or "stop",
        index=at,
        logprobs=ChoiceLogprobs(content=_scores(answer.scores), refusal=None) if wanted else None,
        message=ChatCompletionMessage(
            content=answer.text, role="assistant", refusal=None, annotations=[]
        ),
    )


def _scores(scores: Sequence[TokenScore]) -> list[ChatCompletionTokenLogprob]:
    return [
        ChatCompletionTokenLogprob(
            token=score.token,
            bytes=list(score.raw),
            logprob=score.logprob,
            top_logprobs=[
                TopLogprob(token=token, bytes=list(raw), logprob=logprob)
                for token, raw, logprob in score.top
            ],
        )
        for score in scores
    ]


async def _chunks(
    server: Server,
    model: ServedModel,
    asked: Sequence[Generation],
    http: Request,
    with_usage: bool,
) -> AsyncGenerator[str]:
    """The events of a stream: each choice's role, deltas and finish reason; then the usage."""
    head: dict[str, Any] = {
        "id": new_id("chatcmpl"),
        "created": int(time.time()),
        "model": model.name,
        "object": "chat.completion.chunk",
        "service_tier": "default",
        "system_fingerprint": model.fingerprint,
    }
    if with_usage:
        head["usage"] = None
    started = False
    written = 0
    async for at, piece in pieces(server, model, asked, http):
        if not started:
            started = True
            for i in range(len(asked)):
                role = ChoiceDelta(role="assistant", content="", refusal=None)
                yield _event(head, ChunkChoice(delta=role, index=i, finish_reason=None))
        if isinstance(piece, ApiError):
            fault = ErrorEnvelope(error=piece.body)
            yield f"data: {fault.model_dump_json()}\n\n"
            return
        written += piece.tokens if piece.finish else 0
        for choice in _piece_choices(at, piece, asked[at].top_logprobs is not None):
            yield _event(head, choice)
    if with_usage:
        total = usage(len(asked[0].prompt), written)
        chunk = ChatCompletionChunk(**{**head, "usage": total}, choices=[])
        yield f"data: {chunk.model_dump_json(exclude_unset=True)}\n\n"
    yield DONE


def _piece_choices(at: int, piece: TextDelta, scored: bool) -> list[ChunkChoice]:
    found = []
    if piece.text or piece.scores:
        scores = ChunkLogprobs(content=_scores(piece.scores), refusal=None) if scored else None
        delta = ChoiceDelta(content=piece.text)
        found.append(ChunkChoice(delta=delta, index=at, finish_reason=None, logprobs=scores))
    if piece.finish is not None:
        end = ChunkChoice(delta=ChoiceDelta(), index=at, finish_reason=piece.finish, logprobs=None)
        found.append(end)
    return found


def _event(head: Mapping[str, Any], choice: ChunkChoice) -> str:
    chunk = ChatCompletionChunk(**head, choices=[choice])
    return f"data: {chunk.model_dump_json(exclude_unset=True)}\n\n"

"""POST /v1/completions: continues a text as it stands, without a chat template.

And POST /v1/embeddings, which is refused: a model of this size has no vectors worth comparing.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request, Response
from openai.types import Completion, CompletionChoice, CreateEmbeddingResponse
from openai.types.completion_choice import Logprobs
from pydantic import BaseModel, ConfigDict

from grader.openai_sim.api.chat_requests import CompletionRequest, refuse_extras, unsupported
from grader.openai_sim.api.generation import (
    DONE,
    OR_STREAM,
    answered,
    check_length,
    choices,
    find_model,
    generation,
    json_response,
    pieces,
    streaming,
    text_prompt,
    usage,
)
from grader.openai_sim.decoding.serving import ServedModel, Server
from grader.openai_sim.store.errors import ApiError, ErrorEnvelope
from grader.openai_sim.store.records import new_id

if TYPE_CHECKING:
    from grader.openai_sim.decoding.sequences import Generation, TokenScore

DEFAULT_TOKENS: Final = 16  # the service's own default here


class EmbeddingRequest(BaseModel):
    """The body of POST /v1/embeddings."""

    model_config = ConfigDict(extra="allow")

    model: str
    input: str | list[Any]


def router(server: Server) -> APIRouter:
    """completions and embeddings."""
    routes = APIRouter()

    @routes.post("/completions", response_model=Completion, responses=OR_STREAM)
    async def create_completion(body: CompletionRequest, http: Request) -> Response:
        """Continue one text or several."""
        model = find_model(server, body.model)
        refuse_extras(body.model_extra)
        if body.echo:
            raise unsupported("echo", "repeating the prompt in the answer")
        texts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
        check_length(model, sum(map(len, texts)), "prompt")
        prompts = [text_prompt(model, text, "prompt") for text in texts]
        number = body.n or 1
        asked: list[Generation] = []
        for prompt in prompts:
            one = generation(model, prompt, body, body.max_tokens or DEFAULT_TOKENS)
            if body.logprobs is not None:
                one = replace(one, top_logprobs=body.logprobs)
            asked += choices(one, number, first=len(asked))
        read = sum(len(prompt.ids) for prompt in prompts)
        head: dict[str, Any] = {
            "id": new_id("cmpl"),
            "created": int(time.time()),
            "model": model.name,
            "object": "text_completion",
            "system_fingerprint": model.fingerprint,
        }
        if body.stream:
            shown = read if body.with_usage else None
            chunks = _chunks(server, model, asked, http, head, shown)
            return await streaming(chunks, {})
        answers = await answered(server, model, asked, http)
        found = [
            _choice(at, a.text, a.finish, a.scores, body.logprobs is not None)
            for at, a in enumerate(answers)
        ]
        completion = Completion(
            **head, choices=found, usage=usage(read, sum(a.tokens for a in answers))
        )
        return json_response(completion.model_dump_json(exclude_unset=True), {})

    @routes.post("/embeddings", response_model=CreateEmbeddingResponse)
    async def create_embedding(body: EmbeddingRequest) -> CreateEmbeddingResponse:
        """Always refused; says what to use instead."""
        raise ApiError(
            404,
            f"The model `{body.model[:100]}` makes no embeddings here: the models of this local "
            "service answer with text alone. Compute them in your own program, for example with "
            "sentence-transformers or with scikit-learn's TfidfVectorizer.",
            param="model",
            code="model_not_found",
        )

    return routes


def _choice(
    at: int, text: str, finish: Any, scores: Sequence[TokenScore], scored: bool
) -> CompletionChoice:
    """A choice, or a delta of one: a delta has no `finish_reason`, which the type requires."""
    return CompletionChoice.model_construct(
        finish_reason=finish, index=at, text=text, logprobs=_logprobs(scores) if scored else None
    )


def _logprobs(scores: Sequence[TokenScore]) -> Logprobs:
    offsets, place = [], 0
    for score in scores:
        offsets.append(place)
        place += len(score.token)
    return Logprobs(
        text_offset=offsets,
        token_logprobs=[score.logprob for score in scores],
        tokens=[score.token for score in scores],
        top_logprobs=[{token: value for token, _, value in score.top} for score in scores],
    )


async def _chunks(
    server: Server,
    model: ServedModel,
    asked: Sequence[Generation],
    http: Request,
    head: Mapping[str, Any],
    read: int | None,
) -> AsyncGenerator[str]:
    """The events of a stream; `read` is the number of prompt tokens, None for no usage."""
    written = 0
    common = {**head, "usage": None} if read is not None else dict(head)
    async for at, piece in pieces(server, model, asked, http):
        if isinstance(piece, ApiError):
            fault = ErrorEnvelope(error=piece.body)
            yield f"data: {fault.model_dump_json()}\n\n"
            return
        written += piece.tokens if piece.finish else 0
        scored = asked[at].top_logprobs is not None
        choice = _choice(at, piece.text, piece.finish, piece.scores, scored)
        yield _event({**common, "choices": [choice]})
    if read is not None:
        yield _event({**common, "choices": [], "usage": usage(read, written)})
    yield DONE


def _event(fields: Mapping[str, Any]) -> str:
    chunk = Completion.model_construct(**fields)
    return f"data: {chunk.model_dump_json(exclude_unset=True, warnings=False)}\n\n"

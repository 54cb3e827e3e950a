"""From a request's parts to generations, and from generations to a response.

A response is one JSON object or a stream of server-sent events.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from fastapi import Response
from fastapi.responses import StreamingResponse
from openai.types import CompletionUsage

from grader.core.errors import FileRefused
from grader.models.tokenization import UnusableChat, prompt_text, tokens
from grader.openai_sim.decoding.serving import ServedModel, Server, UnknownModel
from grader.openai_sim.store import errors
from grader.openai_sim.store.errors import ApiError
from grader.openai_sim.store.journal import note_fault

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest

    from grader.openai_sim.api.chat_requests import GenerationRequest
    from grader.openai_sim.decoding.sequences import Completion, Generation, Guide, TextDelta

DONE: Final = "data: [DONE]\n\n"  # the last event of a stream
OR_STREAM: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"text/event-stream": {}}}}
"""The OpenAPI entry of a route whose response may also be a stream."""


def json_response(text: str, headers: Mapping[str, str]) -> Response:
    """A response object that is already JSON."""
    return Response(text, media_type="application/json", headers=dict(headers))


async def streaming(events: AsyncGenerator[str], headers: Mapping[str, str]) -> StreamingResponse:
    """Server-sent events. An error before the first of them is a plain error response."""
    first = await anext(events)

    async def sent() -> AsyncIterator[str]:
        try:
            yield first
            async for event in events:
                yield event
        finally:
            await events.aclose()

    return StreamingResponse(sent(), media_type="text/event-stream", headers=dict(headers))


MAX_CHOICES: Final = 512  # of a request
MAX_SCORES: Final = 100_000  # of a request: four answers of 1,024 tokens with top_logprobs 20
CLIENT_GONE: Final = 499  # nginx's number; nobody is there to read it, the journal is
_CHARACTERS_PER_TOKEN: Final = 64  # more in the mean is no text; such a prompt is not even counted


@dataclass(frozen=True, slots=True)
class TokenizedPrompt:
    """A prompt as token ids. Counted with the base's own tokenizer, as all tokens here are."""

    ids: tuple[int, ...]


def find_model(server: Server, name: str) -> ServedModel:
    """The model of this name; raises ApiError 404 when there is none."""
    try:
        return server.model(name)
    except (UnknownModel, FileNotFoundError):
        raise errors.no_such_model(name) from None
    except FileRefused:
        raise errors.server_fault() from None


def chat_prompt(model: ServedModel, messages: Sequence[Mapping[str, str]]) -> TokenizedPrompt:
    """The conversation as the model's chat template writes it; raises ApiError 400."""
    try:
        text = prompt_text(model.base.tokenizer, messages)
    except UnusableChat as error:
        raise ApiError(
            400, f"{model.base_name} cannot read these messages: {error}", param="messages"
        ) from None
    if not text:
        raise ApiError(
            400,
            f"{model.base_name} answers the last message of the role 'user'; there is none.",
            param="messages",
        )
    return text_prompt(model, text, "messages")


def text_prompt(model: ServedModel, text: str, param: str) -> TokenizedPrompt:
    """A text as it stands; raises ApiError 400 when it leaves no room for an answer."""
    check_length(model, len(text), param)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ApiError(
            400, f"Invalid '{param}': it has half a surrogate pair, which is no text.", param=param
        ) from None
    ids = tokens(model.base.tokenizer, text)
    if not ids:
        raise ApiError(400, f"Invalid '{param}': it is empty.", param=param)
    if len(ids) >= model.context:
        raise _too_long(model, f"{len(ids)} tokens", param)
    return TokenizedPrompt(tuple(ids))


def check_length(model: ServedModel, characters: int, param: str) -> None:
    """Raises ApiError 400 for texts of a request that are not even counted in tokens."""
    if characters > _CHARACTERS_PER_TOKEN * model.context:
        raise _too_long(model, f"{characters} characters", param)


def _too_long(model: ServedModel, size: str, param: str) -> ApiError:
    return ApiError(
        400,
        f"This model's maximum context length is {model.context} tokens. However, your {param} "
        f"resulted in {size}. Please reduce the length of the {param}.",
        param=param,
        code="context_length_exceeded",
    )


def generation(
    model: ServedModel, prompt: TokenizedPrompt, asked: GenerationRequest, most: int | None
) -> Generation:
    """One choice for this prompt, of at most `most` tokens and never beyond the context."""
    from grader.openai_sim.decoding.sequences import Generation, Sampling

    room = model.context - len(prompt.ids)
    sampling = Sampling(
        temperature=1.0 if asked.temperature is None else asked.temperature,
        top_p=1.0 if asked.top_p is None else asked.top_p,
        presence=asked.presence_penalty or 0.0,
        frequency=asked.frequency_penalty or 0.0,
        seed=asked.seed_or_any(),
    )
    return Generation(prompt.ids, min(most or room, room), sampling, stop=asked.stops)


def choices(
    one: Generation, number: int, guides: Sequence[Guide] = (), first: int = 0
) -> list[Generation]:
    """`number` choices for the same prompt, each with its own seed and its own guide."""
    return [
        replace(one, choice=first + i, guide=guides[i] if guides else None) for i in range(number)
    ]


def usage(read: int, written: int) -> CompletionUsage:
    """Tokens of the base's own tokenizer, not of OpenAI's; a prompt counts once for all `n`."""
    return CompletionUsage(
        prompt_tokens=read, completion_tokens=written, total_tokens=read + written
    )


async def answered(
    server: Server, model: ServedModel, asked: Sequence[Generation], http: HttpRequest
) -> Sequence[Completion]:
    """All choices, once the last is complete; cancels them when the client disconnects."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    left = len(asked)

    def one_less() -> None:
        nonlocal left
        left -= 1
        if not left and not ended.done():
            ended.set_result(None)

    def on_end(_answer: Completion) -> None:
        _soon(loop, one_less)

    answers = _submitted(server, model, [replace(one, on_end=on_end) for one in asked])
    leaving = asyncio.ensure_future(_left(http))
    try:
        await asyncio.wait({ended, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not ended.done():
            ended.cancel()
            for answer in answers:
                answer.cancel()
    if ended.cancelled():
        raise ApiError(CLIENT_GONE, "The client closed the connection.")
    _check(answers, http)
    return answers


async def pieces(
    server: Server, model: ServedModel, asked: Sequence[Generation], http: HttpRequest
) -> AsyncIterator[tuple[int, TextDelta | ApiError]]:
    """(index of the choice, its next delta, or the error in its place).

    Closing the iterator cancels what is not complete.
    """
    loop = asyncio.get_running_loop()
    ready: asyncio.Queue[tuple[int, TextDelta | BaseException]] = asyncio.Queue()

    def listening(at: int, one: Generation) -> Generation:
        def on_end(answer: Completion) -> None:
            if answer.error is not None:
                _soon(loop, ready.put_nowait, (at, answer.error))

        def on_piece(piece: TextDelta) -> None:
            _soon(loop, ready.put_nowait, (at, piece))

        return replace(one, on_piece=on_piece, on_end=on_end)

    answers = _submitted(server, model, [listening(i, one) for i, one in enumerate(asked)])
    left = len(answers)
    try:
        while left:
            at, piece = await ready.get()
            if isinstance(piece, BaseException):
                left -= 1
                yield at, failure(piece, http)
            else:
                left -= piece.finish is not None
                yield at, piece
    finally:
        for answer in answers:
            answer.cancel()


def _submitted(
    server: Server, model: ServedModel, asked: Sequence[Generation]
) -> Sequence[Completion]:
    from grader.openai_sim.decoding.sequences import Overloaded

    _check_size(asked)
    try:
        return server.submit(model, asked)
    except Overloaded as error:
        raise errors.too_many_choices(error.waiting) from None


def _check_size(asked: Sequence[Generation]) -> None:
    """Raises ApiError 400 for more than one request may have in memory until it is answered."""
    if len(asked) > MAX_CHOICES:
        raise ApiError(
            400,
            f"This request asks for {len(asked)} answers (prompts times n); {MAX_CHOICES} are the "
            "most. Send several requests.",
            param="n",
            code="invalid_value",
        )
    scored = sum(
        one.max_tokens * (1 + one.top_logprobs) for one in asked if one.top_logprobs is not None
    )
    if scored > MAX_SCORES:
        raise ApiError(
            400,
            f"This request asks for up to {scored} log-probabilities (n times the tokens of an "
            f"answer times top_logprobs); {MAX_SCORES} are the most. Ask for fewer choices, for "
            "fewer tokens or for a smaller top_logprobs.",
            param="logprobs",
            code="invalid_value",
        )


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *given: object) -> None:
    with suppress(RuntimeError):  # a service that stops closes its loop before the last answer
        loop.call_soon_threadsafe(call, *given)


async def _left(http: HttpRequest) -> None:
    """Returns when the client has disconnected."""
    while (await http.receive())["type"] != "http.disconnect":
        pass


def _check(answers: Sequence[Completion], http: HttpRequest) -> None:
    """Raises ApiError where a choice failed."""
    for answer in answers:
        if answer.error is not None:
            raise failure(answer.error, http)


def failure(error: BaseException, http: HttpRequest) -> ApiError:
    """Why there is no completion: the request's schema, or a fault of ours, which is noted."""
    from grader.openai_sim.decoding.sequences import BadSchema

    if isinstance(error, BadSchema):
        return errors.bad_schema(str(error))
    note_fault(http.scope, error)
    return errors.server_fault()

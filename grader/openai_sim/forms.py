"""Which form an answer has to have: JSON, DSPy's fields, or any text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread

from grader.openai_sim.chat_requests import asked_schema
from grader.openai_sim.errors import ApiError

if TYPE_CHECKING:
    from grader.openai_sim.rows import Guide
    from grader.openai_sim.serving import Served

CONSTRAINED: Final = "x-finegrade-constrained"
SCAFFOLD: Final = "x-finegrade-scaffold"


async def guides(
    model: Served,
    response_format: Mapping[str, Any] | None,
    messages: Sequence[Mapping[str, str]],
    number: int,
    *,
    scaffold: bool,
) -> tuple[list[Guide], dict[str, str]]:
    """What holds each of `number` answers to a form, and the headers that say so.

    Raises ApiError 400 for a form that there is not and a schema that cannot be followed.
    """
    from grader.openai_sim.constrained import BadSchema, JsonGuide
    from grader.openai_sim.scaffold import fields_asked, guide

    form, schema = asked_schema(response_format, messages)
    fields = fields_asked(messages) if scaffold and form == "text" else None
    if form == "text" and fields is None:
        return [], {}

    def make() -> list[Guide]:
        if fields is not None:
            return [guide(model.base, fields) for _ in range(number)]
        return [JsonGuide(model.base, schema) for _ in range(number)]

    try:
        # A large schema takes a while to compile; meanwhile others are served.
        made = await anyio.to_thread.run_sync(make)
    except BadSchema as error:
        if fields is not None:  # the prompt did not ask for a scaffold, so none is missed
            return [], {}
        raise ApiError(
            400,
            f"Invalid schema for response_format: {error}",
            param="response_format",
            code="invalid_json_schema",
        ) from None
    return made, {SCAFFOLD: "dspy"} if fields else {CONSTRAINED: form}

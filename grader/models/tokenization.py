"""A chat as tokens: the prompt that a model reads, and an answer behind it.

Evaluation, training and the service all tokenize here. So the prompt that a training masks is, to
the token, what the model reads when it generates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class UnusableChat(ValueError):
    """The model's chat template refuses the messages; the text says why."""


class TokenRow(NamedTuple):
    """A prompt and an answer as token ids; the first `prompt` of them are the prompt."""

    ids: Sequence[int]
    prompt: int


def message_text(message: Mapping[str, Any]) -> str:
    """A message as text: its content or refusal, then its tool calls as JSON.

    The parts of a content follow each other directly; images, audio and files are left out.
    """
    content = message.get("content")
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, Mapping)]
        texts = [part.get("text", part.get("refusal")) for part in parts]
        content = "".join(text for text in texts if isinstance(text, str))
    text = content or message.get("refusal")
    calls = message.get("tool_calls") or message.get("function_call")
    written = [text if isinstance(text, str) else ""]
    written += [json.dumps(calls, ensure_ascii=False)] if calls else []
    return "\n".join(part for part in written if part)


def prompt_text(tokenizer: Any, messages: Sequence[Mapping[str, Any]]) -> str:
    """The messages as the chat template writes them before an answer; raises UnusableChat."""
    return _written(tokenizer, _plain(messages), add_generation_prompt=True)


def tokens(tokenizer: Any, text: str) -> list[int]:
    """The token ids of this text, with none added around it."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:  # a tokenizer written in Python
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    # Unlike the tokenizer itself, it may be used from many threads at once.
    return list(backend.encode(text, add_special_tokens=False).ids)


def tokenize(tokenizer: Any, prompt: str, answer: str) -> TokenRow:
    """The tokens of the prompt alone, as they are at generation, and those of the answer there.

    Where the tokenizer would join the end of the prompt with the start of the answer, the answer
    is tokenized apart.
    """
    before, whole = tokens(tokenizer, prompt), tokens(tokenizer, prompt + answer)
    if whole[: len(before)] != before:
        whole = [*before, *tokens(tokenizer, answer)]
    return TokenRow(whole, len(before))


def tokenize_chat(tokenizer: Any, messages: Sequence[Mapping[str, Any]], answer: str) -> TokenRow:
    """The messages and an answer to them, up to the end of its turn; raises UnusableChat."""
    prompt = prompt_text(tokenizer, messages)
    reply = {"role": "assistant", "content": answer}
    whole = _written(tokenizer, [*_plain(messages), reply])
    # Some templates leave out or rewrite an answer that does not follow a user's message.
    follows = whole.startswith(prompt) and len(whole) > len(prompt)
    return tokenize(
        tokenizer, prompt, whole[len(prompt) :] if follows else answer + tokenizer.eos_token
    )


def _plain(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Messages of role and text alone, which every chat template can write."""
    return [
        {
            "role": "system" if message.get("role") == "developer" else str(message.get("role")),
            "content": message_text(message),
        }
        for message in messages
    ]


def _written(tokenizer: Any, messages: list[dict[str, str]], **options: bool) -> str:
    from jinja2 import TemplateError

    if not messages:  # before a conversation that the assistant begins; transformers refuses it
        return ""
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, **options))
    except (TemplateError, ValueError) as error:  # ValueError: there is no template
        raise UnusableChat(str(error)) from error

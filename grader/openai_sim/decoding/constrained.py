"""Answers that must be JSON: the model chooses only among tokens that keep it so (llguidance).

A small model may never close what it opened. Near the end of the tokens that an answer may have,
the guide closes strings, lists and objects as soon as the schema lets it, so the answer parses.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLTokenizer

from grader.openai_sim.decoding.sequences import Allowed

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions  # exported nowhere else

    from grader.models.base_model import LoadedBase

JSON_TOKENS: Final = 256  # an answer closes from here on: small models ramble, courses ask little
_SEPARATORS: Final[JsonCompileOptions] = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}


class BadSchema(ValueError):
    """The schema cannot be followed; says why."""


@lru_cache(maxsize=8)
def guidance_tokenizer(base: LoadedBase) -> LLTokenizer:
    """The base's tokenizer as llguidance knows it; made once.

    A byte-level tokenizer's normalizer is left out: one that puts a blank before the text (as the
    course model's does) would turn the text that a grammar demands into other text.
    """
    described = json.loads(base.tokenizer.backend_tokenizer.to_str())
    if (described.get("decoder") or {}).get("type") == "ByteLevel":
        described["normalizer"] = None
    described["padding"] = described["truncation"] = None
    return LLTokenizer(
        json.dumps(described),
        n_vocab=int(base.model.config.vocab_size),
        eos_token=base.tokenizer.eos_token_id,
    )


def json_grammar(schema: Mapping[str, Any]) -> str:
    """The grammar of JSON that follows the schema, without blanks that it could do without.

    Raises BadSchema when the schema is none, or has what llguidance cannot hold an answer to.
    """
    try:
        grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_SEPARATORS)
    except ValueError as error:
        raise BadSchema(_line(error)) from None
    fault = LLMatcher.validate_grammar(grammar)
    if fault and not fault.startswith("WARNING"):
        raise BadSchema(_line(fault))
    return grammar


def matcher(base: LoadedBase, grammar: str) -> LLMatcher:
    """A matcher at the start of an answer; raises BadSchema when the grammar is too complex."""
    made = LLMatcher(guidance_tokenizer(base), grammar, log_level=0)
    if made.is_error():
        raise BadSchema(_line(made.get_error()))
    return made


def allowed(state: LLMatcher, vocabulary: int) -> Allowed:
    """Which tokens [vocabulary] may come next."""
    bits = np.frombuffer(state.compute_bitmask(), dtype=np.uint8)
    return np.unpackbits(bits, count=vocabulary, bitorder="little").astype(bool)


class JsonGuide:
    """Holds one answer to a JSON schema."""

    def __init__(self, base: LoadedBase, schema: Mapping[str, Any]) -> None:
        """Raises BadSchema."""
        self._made_of = base, schema
        self._vocabulary = int(base.model.config.vocab_size)
        self._state = matcher(base, json_grammar(schema))
        tokens = guidance_tokenizer(base)
        self._signs = {c: _single(tokens, c) for c in '"}],n{[ '}
        # What the names in the schema take, at least, once it only closes.
        self._reserve = len(tokens.tokenize_str(json.dumps(schema))) + 8
        self._written = 0

    def __reduce__(self) -> tuple[type[JsonGuide], tuple[LoadedBase, Mapping[str, Any]]]:
        """A copy for another process is at the start of its answer."""
        return JsonGuide, self._made_of

    def step(self, choose: Callable[[Allowed | None], int], left: int) -> int | None:
        """The next token of the JSON text, None once it is complete."""
        if self._state.is_stopped():
            return None
        may = allowed(self._state, self._vocabulary)
        closing = left <= self._reserve or self._written >= JSON_TOKENS
        token = self._closing(may) if closing else None
        if token is None:
            token = choose(may)
        self._written += 1
        if not self._state.consume_token(token) or self._state.is_error():
            raise RuntimeError(f"the grammar failed: {_line(self._state.get_error())}")
        # llguidance takes the end of the turn as the last token: the batcher ends there too.
        return token

    def _closing(self, may: Allowed) -> int | None:
        """The token that closes most, where one may come."""
        if self._may(may, " ") and self._may(may, '"'):  # inside a string
            return self._signs['"']
        for sign in "}],":
            if self._may(may, sign):
                return self._signs[sign]
        if self._may(may, "n") and (self._may(may, "{") or self._may(may, "[")):
            return self._signs["n"]  # null, rather than something to be closed again
        return None

    def _may(self, may: Allowed, sign: str) -> bool:
        token = self._signs[sign]
        return token is not None and bool(may[token])


def _single(tokens: LLTokenizer, sign: str) -> int | None:
    """The token that is exactly this character."""
    found = tokens.greedy_tokenize(sign)
    return found[0] if len(found) == 1 else None


def _line(text: object) -> str:
    """The first line of a message, cut to a length that fits into an answer."""
    return str(text).strip().split("\n", 1)[0][:200]


@lru_cache(maxsize=8)
def starts_with(base: LoadedBase, starts: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Which tokens [vocabulary] begin with one of these texts, or are the end of the turn."""
    tokens = guidance_tokenizer(base)
    heads = tuple(start.encode() for start in starts)
    found = np.zeros(int(base.model.config.vocab_size), dtype=bool)
    for token in range(min(len(found), tokens.vocab_size)):
        found[token] = tokens.decode_bytes([token]).lstrip(b" ").startswith(heads)
    found[[token for token in tokens.eos_tokens if token < len(found)]] = True
    return found

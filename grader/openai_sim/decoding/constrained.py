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
from llguidance import LLTokenizer

from grader.openai_sim.decoding.grammar_process import (
    OWN,
    Grammar,
    GrammarProcess,
    GrammarState,
    described_tokenizer,
)
from grader.openai_sim.decoding.schema_limits import TEXT_CHARACTERS, check_size
from grader.openai_sim.decoding.sequences import Allowed, BadSchema

if TYPE_CHECKING:
    from grader.models.base_model import LoadedBase

JSON_TOKENS: Final = 256  # an answer closes from here on: small models ramble, courses ask little


@lru_cache(maxsize=8)
def guidance_tokenizer(base: LoadedBase) -> LLTokenizer:
    """The base's tokenizer as llguidance knows it; made once, for texts of our own."""
    return LLTokenizer(
        described_tokenizer(base),
        n_vocab=int(base.model.config.vocab_size),
        eos_token=base.tokenizer.eos_token_id,
    )


def json_grammar(base: LoadedBase, schema: Mapping[str, Any], process: GrammarProcess) -> Grammar:
    """The grammar of JSON that follows the schema, without blanks that it could do without.

    Raises BadSchema when the schema is none, is too large, or has what llguidance cannot hold an
    answer to.
    """
    check_size(schema)
    text = json.dumps(schema)
    if len(text) > TEXT_CHARACTERS:
        raise BadSchema(f"it has more than {TEXT_CHARACTERS} characters, descriptions included")
    return process.grammar(base, "json", text)


class JsonGuide:
    """Holds one answer to a JSON schema. Its grammar is followed from the first token on."""

    def __init__(self, base: LoadedBase, grammar: Grammar, process: GrammarProcess = OWN) -> None:
        self._base, self._grammar, self._process = base, grammar, process
        self._vocabulary = int(base.model.config.vocab_size)
        self._state: GrammarState | None = None
        tokens = guidance_tokenizer(base)
        self._signs = {c: _single(tokens, c) for c in '"}],n{[ '}
        # What the names in the schema take, at least, once it only closes.
        self._reserve = grammar.size + 8
        self._written = 0

    def __reduce__(self) -> tuple[type[JsonGuide], tuple[LoadedBase, Grammar]]:
        """A copy for another process is at the start of its answer, and follows it there."""
        return JsonGuide, (self._base, self._grammar)

    def step(self, choose: Callable[[Allowed | None], int], left: int) -> int | None:
        """The next token of the JSON text, None once it is complete. Raises BadSchema."""
        if self._state is None:
            self._state = GrammarState(self._process, self._base, self._grammar)
        if self._state.stopped:
            return None
        may = self._state.allowed(self._vocabulary)
        closing = left <= self._reserve or self._written >= JSON_TOKENS
        token = self._closing(may) if closing else None
        if token is None:
            token = choose(may)
        self._written += 1
        self._state.consume(token)
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

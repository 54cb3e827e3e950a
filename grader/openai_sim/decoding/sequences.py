"""One generation: its sampling, its tokens as they are decoded, and its completion.

Each request has a random generator of its own, so a completion depends on its seed and on nothing
else in the batch.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from tokenizers.decoders import DecodeStream

from grader.core.errors import FinegradeError

if TYPE_CHECKING:
    from grader.models.adapter_files import AdapterFiles
    from grader.models.base_model import LoadedBase

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen, in OpenAI's terms.

    `temperature` 0 takes the likeliest token; `top_p` keeps the likeliest tokens that together
    reach this probability; the penalties are taken off the scores of tokens already answered
    (`presence` once, `frequency` for each time); `seed` starts the row's generator.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    presence: float = 0.0
    frequency: float = 0.0
    seed: int = 0

    @property
    def plain(self) -> bool:
        """Whether it only takes the likeliest token: a whole batch can do that at once."""
        return self.temperature == 0 and not (self.presence or self.frequency)


class TokenSampler:
    """Chooses the tokens of one row, one after another."""

    def __init__(self, sampling: Sampling, choice: int = 0) -> None:
        """`choice` is the number of the answer among the `n` of its request."""
        self._sampling = sampling
        self._choice = choice
        self._random: np.random.Generator | None = None  # takes long to make; few rows need it
        self._seen: Counter[int] = Counter()

    def choose(self, scores: npt.NDArray[Any], allowed: npt.NDArray[np.bool_] | None) -> int:
        """The next token from raw scores [vocabulary]; only `allowed` ones where that is given."""
        values = scores.astype(np.float64)
        for token, times in self._seen.items():
            values[token] -= self._sampling.presence + self._sampling.frequency * times
        if allowed is not None:
            values[~allowed] = -np.inf
        if self._sampling.temperature == 0:
            return int(values.argmax())
        return self._draw(values / self._sampling.temperature)

    def note(self, token: int) -> None:
        """Count a token of the completion, chosen here or not, for the penalties."""
        if self._sampling.presence or self._sampling.frequency:
            self._seen[token] += 1

    def _draw(self, values: Scores) -> int:
        if self._random is None:
            self._random = np.random.default_rng((self._sampling.seed % 2**64, self._choice))
        weights = np.exp(values - values.max())
        order = np.argsort(-weights, kind="stable")
        reached = np.cumsum(weights[order])
        # The first token that reaches top_p still belongs to those that are kept.
        kept = int(np.searchsorted(reached, self._sampling.top_p * reached[-1])) + 1
        reached = reached[:kept]
        place = np.searchsorted(reached, self._random.random() * reached[-1], side="right")
        return int(order[min(int(place), len(reached) - 1)])


Finish = Literal["stop", "length"]
Allowed = npt.NDArray[np.bool_]


class Overloaded(FinegradeError):
    """The queue is full. Attribute: `waiting`, the number of generations in it."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} generations are waiting already")
        self.waiting = waiting


class BadSchema(FinegradeError, ValueError):
    """No answer can be held to this schema or format; says why. It is the request's own fault."""


class Guide(Protocol):
    """Constrains a completion, token by token."""

    def step(self, choose: Callable[[Allowed | None], int], left: int) -> int | None:
        """The next token, or None at the end of the completion.

        `choose` gives the model's choice among these tokens (None: all); `left` is the number of
        tokens that the completion may still have, this one included.
        """


@dataclass(frozen=True, slots=True)
class Generation:
    """A completion to generate. `prompt` are token ids; `choice` is its number among `n`.

    Those of different `owner`s take turns.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling
    adapter: AdapterFiles | None = None
    choice: int = 0
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    guide: Guide | None = None
    on_piece: Callable[[TextDelta], None] | None = None
    on_end: Callable[[Completion], None] | None = None
    owner: int = 0


@dataclass(frozen=True, slots=True)
class TokenScore:
    """A token with its log-probability (nats) and the likeliest tokens in its place."""

    token: str
    raw: bytes
    logprob: float
    top: tuple[tuple[str, bytes, float], ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    """What steps added to a completion: text that will not change, and its tokens' scores.

    `tokens` is the number of tokens so far.
    """

    text: str
    scores: tuple[TokenScore, ...] = ()
    finish: Finish | None = None
    tokens: int = 0


@dataclass(eq=False)
class Completion:
    """A completion. Only the thread that decodes it may use it until it is `finished`.

    Then it has `text`, `scores`, `finish` (None when `error` says why there is no text), and
    `tokens`, the number of tokens without the end of the turn.
    """

    generation: Generation
    text: str = ""
    scores: list[TokenScore] = field(default_factory=list)
    tokens: int = 0
    finish: Finish | None = None
    error: BaseException | None = None
    cancelled: bool = False
    finished: bool = False
    done: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Give up this completion; its row in the batch is free from the next step on."""
        self.cancelled = True

    def fail(self, error: BaseException) -> None:
        """End with this error, unless it is finished already."""
        if self.finished:
            return
        self.error = error
        self.end()

    def end(self) -> None:
        """Mark as finished and notify those who wait."""
        self.finished = True
        self.done.set()
        if self.generation.on_end is not None:
            self.generation.on_end(self)


class LiveCompletion(Completion):
    """A completion while a batcher decodes it, token by token."""

    def __init__(self, generation: Generation, base: LoadedBase) -> None:
        super().__init__(generation)
        self.base = base
        self._ids: list[int] = []
        self._chooser = TokenSampler(generation.sampling, generation.choice)
        self._stops = _stop_tokens(self.base)
        self._stream = DecodeStream(skip_special_tokens=True)
        self._decoded = ""  # everything decoded so far
        self._sent = 0  # characters of `_decoded` that were emitted
        self._unsent: list[TokenScore] = []
        self._eager = bool(generation.stop) or generation.on_piece is not None
        self.needs_scores = (
            not generation.sampling.plain
            or generation.top_logprobs is not None
            or generation.guide is not None
        )

    def advance(self, likeliest: int, scores: npt.NDArray[Any] | None) -> int:
        """Choose and return the next token; `scores` [vocabulary] where `needs_scores`."""
        if self.cancelled:
            self.end()
            return 0
        token = self._next(likeliest, scores)
        if token is None or token in self._stops:
            self._end("stop")
            return 0
        self._ids.append(token)
        self.tokens += 1
        self._chooser.note(token)
        if scores is not None and self.generation.top_logprobs is not None:
            self._score(token, scores, self.generation.top_logprobs)
        if self._eager and self._stopped(token):
            return token
        if len(self._ids) >= self.generation.max_tokens:
            self._end("length")
        return token

    def _next(self, likeliest: int, scores: npt.NDArray[Any] | None) -> int | None:
        generation = self.generation
        if scores is None:
            return likeliest
        if generation.guide is not None:
            left = generation.max_tokens - len(self._ids)
            return generation.guide.step(lambda ok: self._chooser.choose(scores, ok), left)
        if generation.sampling.plain:
            return likeliest
        return self._chooser.choose(scores, None)

    def _stopped(self, token: int) -> bool:
        """Decode this token and emit what is final; returns whether a stop text ended it."""
        self._decoded += self._stream.step(_backend(self.base), token) or ""
        cut = _cut(self._decoded, self.generation.stop)
        if cut is not None:
            self._decoded = self._decoded[:cut]
            self._end("stop", whole=False)
            return True
        if self.generation.on_piece is not None:
            self._emit(_final_length(self._decoded, self.generation.stop), None)
        return False

    def _end(self, finish: Finish, *, whole: bool = True) -> None:
        """Finish; `whole` unless a stop text cut the completion."""
        self.finish = finish
        if whole:
            self._decoded = self.base.tokenizer.decode(self._ids, skip_special_tokens=True)
        self.text = self._decoded.strip()
        if self.generation.on_piece is not None:
            self._emit(len(self._decoded.rstrip()), finish)
        self.end()

    def _emit(self, until: int, finish: Finish | None) -> None:
        """Emit the text up to this character, without blanks at the start."""
        start = max(self._sent, len(self._decoded) - len(self._decoded.lstrip()))
        text = self._decoded[start : max(until, start)]
        if (text or finish) and self.generation.on_piece is not None:
            self._sent = start + len(text)
            scores, self._unsent = tuple(self._unsent), []
            self.generation.on_piece(TextDelta(text, scores, finish, self.tokens))

    def _score(self, token: int, scores: npt.NDArray[Any], top: int) -> None:
        logprobs = scores.astype(np.float64) - scores.max()
        logprobs -= np.log(np.exp(logprobs).sum())
        best = np.argsort(-logprobs, kind="stable")[:top]
        own = TokenScore(
            *_token(self.base, token),
            float(logprobs[token]),
            tuple((*_token(self.base, int(i)), float(logprobs[i])) for i in best),
        )
        self.scores.append(own)
        self._unsent.append(own)


def _backend(base: LoadedBase) -> Any:
    return base.tokenizer.backend_tokenizer


def _stop_tokens(base: LoadedBase) -> frozenset[int]:
    stop = base.model.generation_config.eos_token_id
    stops = [*(stop if isinstance(stop, list) else [stop]), base.tokenizer.eos_token_id]
    return frozenset(s for s in stops if s is not None)


def _token(base: LoadedBase, token: int) -> tuple[str, bytes]:
    """A token as text and as UTF-8 bytes of that text."""
    text: str = base.tokenizer.decode([token])
    return text, text.encode()


def _cut(text: str, stops: Sequence[str]) -> int | None:
    """Where the first stop text begins; None when there is none."""
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    return min(found, default=None)


def _final_length(text: str, stops: Sequence[str]) -> int:
    """The number of characters that are final: no blanks at the end, no start of a stop text."""
    end = len(text.rstrip())
    for stop in stops:
        for length in range(min(len(stop) - 1, len(text)), 0, -1):
            if text.endswith(stop[:length]):
                end = min(end, len(text) - length)
                break
    return end

"""Continuous batching: one base that generates many completions at once, with one KV cache.

Generations join and leave the batch between two steps: the prompts of those that wait are prefilled
together (left-padded), their keys and values are put into the cache behind those of the running
rows, and each step then decodes one token of every row. So no request waits for another to finish.
An idle base waits a few milliseconds for more requests before it decodes: requests that are sent
together arrive one by one.

In the cache, row i is row i of one tensor a layer, [rows, heads, places, width]. All rows have
their newest token in the same place; shorter ones are padded on the left. There is room for more
rows and places, so that a step writes one token a row and moves nothing, and a row that joins or
leaves moves at most the row that fills its gap.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from grader.openai_sim.decoding.batched_lora import BatchedAdapters
from grader.openai_sim.decoding.fair_queue import FairQueue
from grader.openai_sim.decoding.sequences import (
    BadSchema,
    Generation,
    LiveCompletion,
    Overloaded,
)

if TYPE_CHECKING:
    from grader.models.base_model import LoadedBase

ROOM: Final = 16  # free places for new tokens after each reallocation


class KVCache:
    """Keys and values of the rows of a batch, at first of none."""

    def __init__(self) -> None:
        self._rows = 0
        self._used = 0  # places that hold a token of the longest row
        self._states: list[torch.Tensor] = []  # keys and values of a layer after the other
        self._mask = torch.empty(0, 0)  # [rows, places]: 1 where the row has a token

    def add(self, read: Cache, mask: torch.Tensor) -> None:
        """Append rows, as prefilled; `mask` [rows, places] is 0 at the padding on their left."""
        more = [states for layer in read.layers for states in (layer.keys, layer.values)]
        rows, width = mask.shape
        total = self._rows + rows
        if not self._states:
            self._used = width
            self._states = [states.new_zeros(0, *states.shape[1:]) for states in more]
            self._mask = mask.new_zeros(0, width)
        if total > len(self._mask) or width > self._used:
            self._reallocate(total, width)
        at, places = slice(self._rows, total), slice(self._used - width, self._used)
        for states, new in zip(self._states, more, strict=True):
            states[at, :, places] = new
        self._mask[at] = 0
        self._mask[at, places] = mask
        self._rows = total

    def next(self) -> tuple[Cache, torch.Tensor]:
        """(cache, mask [rows, places]) for a forward pass over one new token of every row."""
        if self._used == self._mask.shape[1]:
            self._reallocate(self._rows)
        self._mask[:, self._used] = 1
        # One row is as fast when it is cut out, and then needs no mask; many rows would be slower.
        places = self._used + 1 if self._rows == 1 else self._mask.shape[1]
        rows = [states[: self._rows, :, :places] for states in self._states]
        layers = [
            _InPlaceLayer(keys, values, self._used)
            for keys, values in zip(rows[::2], rows[1::2], strict=True)
        ]
        self._used += 1
        return Cache(layers=layers), self._mask[: self._rows, :places]

    def keep(self, stay: Sequence[int]) -> list[int]:
        """Remove all rows but these; returns the new order as old row numbers."""
        left = len(stay)
        staying = set(stay)
        fillers = iter([row for row in stay if row >= left])
        order = [row if row in staying else next(fillers) for row in range(left)]
        gaps = [row for row in range(left) if order[row] != row]
        if gaps:
            into = torch.tensor(gaps, device=self._mask.device)
            out_of = torch.tensor([order[gap] for gap in gaps], device=self._mask.device)
            for tensor in (*self._states, self._mask):
                tensor[into] = tensor[out_of]
        self._rows = left
        if left and self._padding() >= ROOM:  # that only removed rows needed
            self._reallocate(left)
        return order

    def _padding(self) -> int:
        """The number of leading places in which no row has a token."""
        return int(self._mask[: self._rows].any(0).int().argmax())

    def _reallocate(self, rows: int, least: int = 0) -> None:
        """Copy all to tensors with room for `rows`, new tokens, and at least `least` used places.

        Places that are padding in every row are dropped.
        """
        start = self._padding() if self._rows else self._used
        kept = self._used - start
        used = max(kept, least)
        rows = 1 << (rows - 1).bit_length()  # so that few additions reallocate

        def moved(old: torch.Tensor, shape: Sequence[int], dim: int) -> torch.Tensor:
            new = old.new_zeros(shape)  # zeros: what is masked is still multiplied by zero
            new[: self._rows].narrow(dim, used - kept, kept).copy_(
                old[: self._rows].narrow(dim, start, kept)
            )
            return new

        self._states = [
            moved(states, (rows, states.shape[1], used + ROOM, states.shape[3]), 2)
            for states in self._states
        ]
        self._mask = moved(self._mask, (rows, used + ROOM), 1)
        self._used = used


class _InPlaceLayer(DynamicLayer):  # type: ignore[misc]
    """A layer's keys and values, [rows, heads, places, width]; the first `used` are taken."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, used: int) -> None:
        super().__init__()
        self.keys, self.values, self._used = keys, values, used
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write into the next places; returns all places, used or not: the mask hides the rest."""
        end = self._used + key_states.shape[-2]
        self.keys[:, :, self._used : end] = key_states
        self.values[:, :, self._used : end] = value_states
        self._used = end
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(number of places, number of the first)."""
        return self.keys.shape[-2], 0

    def get_seq_length(self) -> int:
        """The number of used places."""
        return self._used


MAX_ROWS: Final = 64  # decoded at once; at 64 the course model's step is mostly arithmetic
MAX_WAITING: Final = 1024  # generations of one owner; more are refused: none waits 20 s
PREFILL_TOKENS: Final = 512  # at once, padding included: what fits a core's cache is fastest
GPU_PREFILL_TOKENS: Final = 16_384  # on a GPU large is fast; this bounds memory
LINGER_SECONDS: Final = 0.002  # how long an idle base waits for another request after each
LINGER_MOST_SECONDS: Final = 0.05  # and in all
LINGER_ROWS: Final = 16  # end the wait: more are prefilled while these are decoded
JOIN_ROWS: Final = 16  # so many waiting rows join a running batch at once,
JOIN_SECONDS: Final = 0.02  # fewer when they have waited this long
_LARGE_BLOCK: Final = 30 * 2**20  # bytes
_LOG = logging.getLogger(__name__)


class Batcher:
    """Decodes generations on a thread of its own, until `close`."""

    def __init__(
        self,
        base: LoadedBase,
        max_rows: int = MAX_ROWS,
        after_step: Callable[[], None] = lambda: None,
    ) -> None:
        """`after_step` is called after each step, when its results were handed to its requests."""
        self._base = base
        self._after_step = after_step
        self._max_rows = max_rows
        self._adapters = BatchedAdapters(base.model)
        self._waiting = FairQueue()
        self._changed = threading.Condition()
        self._since = 0.0  # arrival of the longest waiting (monotonic, seconds)
        self._closed = False
        self._rows: list[LiveCompletion] = []
        self._cache = KVCache()
        self._positions = self._scores = torch.empty(0)  # [rows] and [rows, vocabulary]
        self._selected = False  # whether the layers have the adapters of `_rows`
        self._thread = threading.Thread(target=self._serve, name="finegrade-decode", daemon=True)
        self._thread.start()

    def submit(self, generations: Sequence[Generation]) -> list[LiveCompletion]:
        """Queue these generations of one owner, all or none.

        Raises Overloaded when the owner's queue is full.
        """
        if not generations:
            return []
        owner = generations[0].owner
        taken = [LiveCompletion(generation, self._base) for generation in generations]
        with self._changed:
            if self._closed or self._waiting.of(owner) + len(taken) > MAX_WAITING:
                raise Overloaded(self._waiting.of(owner))
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting.add(owner, taken)
            self._changed.notify()
        return taken

    def close(self) -> None:
        """Stop after the current step; incomplete generations fail."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    @property
    def load(self) -> tuple[int, int]:
        """(number of running rows, number of waiting ones)."""
        return len(self._rows), len(self._waiting)

    @torch.inference_mode()
    def _serve(self) -> None:
        _keep_freed_memory()
        company = False  # whether to wait for more before the first token
        while True:
            with self._changed:
                while not (self._waiting or self._rows or self._closed):
                    self._changed.wait()
                if self._closed:
                    break
                if not self._rows:
                    company, end = True, time.monotonic() + LINGER_MOST_SECONDS
                due = company or self._due()
                if company:
                    company = self._linger(end)
                joining = self._next() if due else []
            try:
                for group in self._groups(joining):
                    self._join_or_fail(group)
                if not company:
                    self._step()
            except Exception as error:  # one bad batch must not end the service
                _LOG.exception("decoding failed")
                for row in {*self._rows, *joining}:
                    row.fail(error)
                self._clear()
            self._after_step()
        for row in [*self._rows, *self._waiting]:
            row.fail(RuntimeError("the service is stopping"))

    def _linger(self, end: float) -> bool:
        """Wait a moment for more requests, up to LINGER_ROWS; returns whether to wait again."""
        room = self._max_rows - len(self._rows)
        while len(self._waiting) < min(LINGER_ROWS, room):
            if time.monotonic() > end or not self._changed.wait(LINGER_SECONDS) or self._closed:
                return False
        return len(self._waiting) < room

    def _due(self) -> bool:
        """Whether waiting rows join now: to prefill one alone costs as much as a step of all."""
        return len(self._waiting) >= JOIN_ROWS or time.monotonic() - self._since >= JOIN_SECONDS

    def _next(self) -> list[LiveCompletion]:
        """The rows that join now: the longest waiting first, as many as there is room for."""
        joining: list[LiveCompletion] = []
        while self._waiting and len(self._rows) + len(joining) < self._max_rows:
            first = self._waiting.pop()
            if first.cancelled:
                first.advance(0, None)
            else:
                joining.append(first)
        return joining

    def _groups(self, joining: list[LiveCompletion]) -> Iterator[list[LiveCompletion]]:
        """Groups of rows to prefill together, of similar length so that there is little padding."""
        most = PREFILL_TOKENS if self._base.device == "cpu" else GPU_PREFILL_TOKENS
        group: list[LiveCompletion] = []
        # The longest first: later ones then fit into the places of the cache.
        for row in sorted(joining, key=lambda row: -len(row.generation.prompt)):
            if group and (len(group) + 1) * len(group[0].generation.prompt) > most:
                yield group
                group = []
            group.append(row)
        if group:
            yield group

    def _join_or_fail(self, joining: list[LiveCompletion]) -> None:
        """Add these rows to the batch. One that cannot be prefilled fails alone."""
        try:
            self._join(joining)
        except Exception as error:
            if len(joining) > 1:
                for row in joining:
                    self._join_or_fail([row])
            else:
                _LOG.exception("a prompt cannot be prefilled")
                joining[0].fail(error)

    def _join(self, joining: list[LiveCompletion]) -> None:
        """Prefill the prompts of these rows and add them to the batch."""
        ids, mask = self._padded(joining)
        positions = (mask.long().cumsum(-1) - 1).clamp(min=0)
        self._adapters.select([row.generation.adapter for row in joining])
        # A full cache, whatever sliding windows the base's layers have: rows must match here.
        read = self._base.forward(ids, mask, positions, DynamicCache(), 1)
        self._cache.add(read.past_key_values, mask)
        after, scores = positions[:, -1] + 1, read.logits[:, -1]
        if self._rows:
            after, scores = torch.cat([self._positions, after]), torch.cat([self._scores, scores])
        self._positions, self._scores = after, scores
        self._rows = [*self._rows, *joining]
        self._selected = False

    def _step(self) -> None:
        """Choose the next token of every row, remove finished rows, run the base on the others."""
        if not self._rows:
            return
        tokens = self._choose()
        stay = [i for i, row in enumerate(self._rows) if not row.finished]
        if len(stay) < len(self._rows):
            stay = self._keep(stay)
        if not self._rows:
            self._clear()
            return
        if not self._selected:
            self._adapters.select([row.generation.adapter for row in self._rows])
            self._selected = True
        chosen = torch.tensor([tokens[i] for i in stay], device=self._base.device)
        cache, mask = self._cache.next()
        output = self._base.forward(chosen[:, None], mask, self._positions[:, None], cache, 1)
        self._scores = output.logits[:, -1]
        self._positions = self._positions + 1

    def _choose(self) -> list[int]:
        """The next token of each row, as the row has chosen it; any number for a finished one."""
        likeliest = self._scores.argmax(-1).tolist()
        apart = [row.needs_scores for row in self._rows]
        scores = self._scores.float().cpu().numpy() if any(apart) else None
        tokens = []
        for i, row in enumerate(self._rows):
            own: np.ndarray[Any, Any] | None = None
            if apart[i] and scores is not None:
                own = scores[i]
            try:
                token = row.advance(likeliest[i], own)
            except Exception as error:  # the row's own, and nobody else's
                if not isinstance(error, BadSchema):
                    _LOG.exception("a completion failed")
                row.fail(error)
                token = 0
            tokens.append(token)
        return tokens

    def _keep(self, stay: list[int]) -> list[int]:
        """Remove all rows but these; returns the new order as old row numbers."""
        order = self._cache.keep(stay)
        self._rows = [self._rows[i] for i in order]
        index = torch.tensor(order, dtype=torch.long, device=self._base.device)
        self._positions, self._scores = self._positions[index], self._scores[index]
        self._selected = False
        return order

    def _clear(self) -> None:
        self._rows = []
        self._cache = KVCache()
        self._selected = False

    def _padded(self, rows: Sequence[LiveCompletion]) -> tuple[torch.Tensor, torch.Tensor]:
        """(ids, mask), both [rows, longest prompt], left-padded."""
        longest = max(len(row.generation.prompt) for row in rows)
        ids = torch.full((len(rows), longest), int(self._base.tokenizer.pad_token_id))
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            prompt = row.generation.prompt
            ids[i, longest - len(prompt) :] = torch.tensor(prompt)
            mask[i, longest - len(prompt) :] = 1
        return ids.to(self._base.device), mask.to(self._base.device)


def _keep_freed_memory() -> None:
    """Make glibc keep the memory of freed tensors for the next ones.

    It returns blocks to the system that are larger than the largest that it has seen freed, up to
    32 MiB (mallopt(3), M_MMAP_THRESHOLD); mapping them again costs more than computing in them.
    """
    torch.empty(_LARGE_BLOCK, dtype=torch.uint8)

"""One base that answers many requests at once.

Requests join and leave between two steps: those who wait are read in together (left-padded), their
cache is put beside the cache of those already answering, and each step then writes one token of
every answer. So nobody waits for others to finish. An idle base reads in all who come within a few
milliseconds of each other before it writes: requests that are sent at once arrive one by one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from grader.openai_sim.row_lora import RowAdapters
from grader.openai_sim.rows import Answering, Generation, Overloaded

if TYPE_CHECKING:
    from grader.predict.base_model import LoadedBase

MAX_ROWS: Final = 64  # answers written at once; at 64 the course model's step is mostly arithmetic
MAX_WAITING: Final = 1024  # answers; more are refused: at 64 a second or so, nobody waits longer
READ_TOKENS: Final = 512  # read in at once, padding included: what fits a core's cache is fastest
GPU_READ_TOKENS: Final = 16_384  # on a GPU large is fast; this bounds memory
LINGER_SECONDS: Final = 0.002  # how long an idle base waits for another request after each
LINGER_MOST_SECONDS: Final = 0.05  # and in all
LINGER_ROWS: Final = 16  # are company enough: more are read in while these are decoded
JOIN_ROWS: Final = 16  # this many join those who are answering at once,
JOIN_SECONDS: Final = 0.02  # fewer when they have waited this long
_LARGE_BLOCK: Final = 30 * 2**20  # bytes
_LOG = logging.getLogger(__name__)


class Batcher:
    """Answers generations on a thread of its own, from `start` until `close`."""

    def __init__(self, base: LoadedBase, max_rows: int = MAX_ROWS) -> None:
        self._base = base
        self._max_rows = max_rows
        self._adapters = RowAdapters(base.model)
        self._waiting: deque[Answering] = deque()
        self._changed = threading.Condition()
        self._since = 0.0  # when the longest waiting came (monotonic, seconds)
        self._closed = False
        self._rows: list[Answering] = []
        self._cache: Any = None
        self._forget()
        self._thread = threading.Thread(target=self._serve, name="finegrade-decode", daemon=True)
        self._thread.start()

    def submit(self, generations: Sequence[Generation]) -> list[Answering]:
        """Queue these answers, all or none; raises Overloaded when the queue is full."""
        taken = [Answering(generation, self._base) for generation in generations]
        with self._changed:
            if self._closed or len(self._waiting) + len(taken) > MAX_WAITING:
                raise Overloaded(len(self._waiting))
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting.extend(taken)
            self._changed.notify()
        return taken

    def close(self) -> None:
        """Stop after the step at hand; what was not answered fails."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    @property
    def load(self) -> tuple[int, int]:
        """How many answers are being written, and how many wait."""
        return len(self._rows), len(self._waiting)

    @torch.inference_mode()
    def _serve(self) -> None:
        _keep_freed_memory()
        company = False  # whether more may come before the first token is written
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
                    self._join(group)
                if not company:
                    self._step()
            except Exception as error:  # one bad batch must not end the service
                _LOG.exception("decoding failed")
                for row in {*self._rows, *joining}:
                    row.fail(error)
                self._forget()
        for row in [*self._rows, *self._waiting]:
            row.fail(RuntimeError("the service is stopping"))

    def _linger(self, end: float) -> bool:
        """Wait a moment for company, until there is enough to read in; whether more may come."""
        room = self._max_rows - len(self._rows)
        while len(self._waiting) < min(LINGER_ROWS, room):
            if time.monotonic() > end or not self._changed.wait(LINGER_SECONDS) or self._closed:
                return False
        return len(self._waiting) < room

    def _due(self) -> bool:
        """Whether those who wait join now: reading in one alone costs as much as a step of all."""
        return len(self._waiting) >= JOIN_ROWS or time.monotonic() - self._since >= JOIN_SECONDS

    def _next(self) -> list[Answering]:
        """Who joins now: the longest waiting first, as many as there is room for."""
        joining: list[Answering] = []
        while self._waiting and len(self._rows) + len(joining) < self._max_rows:
            first = self._waiting.popleft()
            if first.cancelled:
                first.advance(0, None)
            else:
                joining.append(first)
        return joining

    def _groups(self, joining: list[Answering]) -> Iterator[list[Answering]]:
        """Rows to read in together: of like length, so that little of it is padding."""
        most = READ_TOKENS if self._base.device == "cpu" else GPU_READ_TOKENS
        group: list[Answering] = []
        for row in sorted(joining, key=lambda row: len(row.generation.prompt)):
            if group and (len(group) + 1) * len(row.generation.prompt) > most:
                yield group
                group = []
            group.append(row)
        if group:
            yield group

    def _join(self, joining: list[Answering]) -> None:
        """Read the prompts of those who join, and put them beside the others."""
        ids, mask = self._padded(joining)
        positions = (mask.long().cumsum(-1) - 1).clamp(min=0)
        self._adapters.select([row.generation.adapter for row in joining])
        read = self._base.forward(ids, mask, positions, None, 1)
        after = positions[:, -1] + 1
        if not self._rows:
            self._cache = read.past_key_values
            self._mask = mask
            self._positions, self._scores = after, read.logits[:, -1]
        else:
            width = max(self._mask.shape[1], mask.shape[1])
            _put_beside(self._cache, read.past_key_values, width)
            self._mask = torch.cat([_widened(self._mask, width, 1), _widened(mask, width, 1)])
            self._positions = torch.cat([self._positions, after])
            self._scores = torch.cat([self._scores, read.logits[:, -1]])
        self._rows = [*self._rows, *joining]
        self._selected = False

    def _step(self) -> None:
        """Write the next token of every row, let those go that are done, and read it in."""
        if not self._rows:
            return
        tokens = self._choose()
        stay = [i for i, row in enumerate(self._rows) if not row.finished]
        if len(stay) < len(self._rows):
            self._keep(stay)
        if not self._rows:
            self._forget()
            return
        if not self._selected:
            self._adapters.select([row.generation.adapter for row in self._rows])
            self._selected = True
        chosen = torch.tensor([tokens[i] for i in stay], device=self._base.device)
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(stay), 1)], dim=1)
        output = self._base.forward(
            chosen[:, None], self._mask, self._positions[:, None], self._cache, 1
        )
        self._cache, self._scores = output.past_key_values, output.logits[:, -1]
        self._positions = self._positions + 1

    def _choose(self) -> list[int]:
        """The next token of each row, taken up by the row; any number for one that is done."""
        likeliest = self._scores.argmax(-1).tolist()
        apart = [row.needs_scores for row in self._rows]
        scores = self._scores.float().cpu().numpy() if any(apart) else None
        tokens = []
        for i, row in enumerate(self._rows):
            own: np.ndarray[Any, Any] | None = None
            if apart[i] and scores is not None:
                own = scores[i]
            tokens.append(row.advance(likeliest[i], own))
        return tokens

    def _keep(self, stay: list[int]) -> None:
        self._rows = [self._rows[i] for i in stay]
        if not stay:
            return
        index = torch.tensor(stay, device=self._base.device)
        self._mask = self._mask[index]
        # Padding that nobody left over needs goes with the rows that needed it.
        start = int(self._mask.any(0).int().argmax())
        self._mask = self._mask[:, start:]
        _each_layer(self._cache, lambda states: states[index, :, start:])
        self._positions, self._scores = self._positions[index], self._scores[index]
        self._selected = False

    def _forget(self) -> None:
        self._rows = []
        self._selected = False  # whether the layers have the adapters of `_rows`
        self._cache = None
        self._mask = torch.empty(0)
        self._positions = torch.empty(0)
        self._scores = torch.empty(0)

    def _padded(self, rows: Sequence[Answering]) -> tuple[torch.Tensor, torch.Tensor]:
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
    """Have glibc keep the memory of tensors for the next ones.

    It gives blocks back to the system that are larger than the largest that it has seen freed, up
    to 32 MiB; their pages then cost more than what is computed in them.
    """
    torch.empty(_LARGE_BLOCK, dtype=torch.uint8)


def _each_layer(cache: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    for layer in cache.layers:
        layer.keys, layer.values = change(layer.keys), change(layer.values)


def _put_beside(cache: Any, other: Any, width: int) -> None:
    """Add the rows of `other` to `cache`, both padded on the left to `width` places."""
    for layer, more in zip(cache.layers, other.layers, strict=True):
        layer.keys = torch.cat([_widened(layer.keys, width, 2), _widened(more.keys, width, 2)])
        layer.values = torch.cat(
            [_widened(layer.values, width, 2), _widened(more.values, width, 2)]
        )


def _widened(states: torch.Tensor, width: int, dim: int) -> torch.Tensor:
    """`states` with zeros before dimension `dim`, so that it has `width` places."""
    missing = width - states.shape[dim]
    if not missing:
        return states
    shape = list(states.shape)
    shape[dim] = missing
    return torch.cat([states.new_zeros(shape), states], dim=dim)

"""What the rows of a batch have read and written: their keys and values, laid out to stay in place.

Row i is row i of one tensor a layer, [rows, heads, places, width], and all rows have their newest
token in the same place; who has read less is padded on the left. There is room for more rows and
more places, so that a step writes one token a row and moves nothing, and a row that joins or leaves
moves no other rows but the one that fills its gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from transformers.cache_utils import Cache, DynamicLayer

ROOM: Final = 16  # places for tokens to come, whenever all is laid out anew


class KeyValues:
    """Of no rows at first."""

    def __init__(self) -> None:
        self._rows = 0
        self._used = 0  # places that hold a token of the longest row
        self._states: list[torch.Tensor] = []  # keys and values of a layer after the other
        self._mask = torch.empty(0, 0)  # [rows, places]: 1 where the row has a token

    def add(self, read: Cache, mask: torch.Tensor) -> None:
        """Put rows behind the others; `mask` [rows, places] is 0 at the padding on their left."""
        more = [states for layer in read.layers for states in (layer.keys, layer.values)]
        rows, width = mask.shape
        total = self._rows + rows
        if not self._states:
            self._used = width
            self._states = [states.new_zeros(0, *states.shape[1:]) for states in more]
            self._mask = mask.new_zeros(0, width)
        if total > len(self._mask) or width > self._used:
            self._lay_out(total, width)
        at, places = slice(self._rows, total), slice(self._used - width, self._used)
        for states, new in zip(self._states, more, strict=True):
            states[at, :, places] = new
        self._mask[at] = 0
        self._mask[at, places] = mask
        self._rows = total

    def next(self) -> tuple[Cache, torch.Tensor]:
        """(cache, mask [rows, places]) for a pass over one new token of every row."""
        if self._used == self._mask.shape[1]:
            self._lay_out(self._rows)
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
        """Let the other rows go; the new order of the rows, told by their old numbers."""
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
        if left and self._padding() >= ROOM:  # that only those who left had needed
            self._lay_out(left)
        return order

    def _padding(self) -> int:
        """How many of the first places no row has a token in."""
        return int(self._mask[: self._rows].any(0).int().argmax())

    def _lay_out(self, rows: int, least: int = 0) -> None:
        """Move all to where there is room for `rows`, for tokens to come, and for `least` places.

        What is padding in every row stays behind.
        """
        start = self._padding() if self._rows else self._used
        kept = self._used - start
        used = max(kept, least)
        rows = 1 << (rows - 1).bit_length()  # so that few additions need more

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
    """A layer's keys and values, [rows, heads, places, width], the first `used` places taken."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, used: int) -> None:
        super().__init__()
        self.keys, self.values, self._used = keys, values, used
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write into the next places; all places, which the mask tells apart."""
        end = self._used + key_states.shape[-2]
        self.keys[:, :, self._used : end] = key_states
        self.values[:, :, self._used : end] = value_states
        self._used = end
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(places, the first of them)."""
        return self.keys.shape[-2], 0

    def get_seq_length(self) -> int:
        """How many places are taken."""
        return self._used

"""Linear layers that carry a different adapter for each row of a batch, over an untouched base.

    y[i] = base(x[i]) + scale * (x[i] A^T) B^T   with A, B of row i's own adapter

The adapters of a batch stand side by side: A [sum of ranks, in] and scale * B [out, sum of ranks].
Two plain products serve all rows at once, and between them a mask sets to zero what belongs to
another row's adapter; zeros add nothing, so a row gets what its adapter alone would give it. This
took less time on a CPU than a product for each adapter, and than A and B gathered for each row (16,
43 and 15 us for 64 rows of one token, 273, 461 and 804 us of 16: `scripts/bench_serving.py`).
Equation: Hu et al. 2021, arXiv:2106.09685, eq. 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import nn

from grader.core.errors import GraderFault
from grader.models.linear_layers import LinearLayer, linear_layers, replace_layer

if TYPE_CHECKING:
    from grader.models.adapter_files import AdapterFiles

_ONE_DNN_ROWS: Final = 64  # tokens of a pass; from here on oneDNN is faster than MKL on AMD's CPUs
_ONE_DNN_STEP: Final = 32  # tokens; oneDNN compiles for each number anew, which takes a step's time
_KEPT_ADAPTERS: Final = 8  # of rank 8 these are half as wide as the course model itself


class BatchedLoraLinear(nn.Module):
    """A linear layer [rows, n, in] -> [rows, n, out] with room for the adapters of the rows."""

    def __init__(self, base: LinearLayer) -> None:
        super().__init__()
        self.base = base
        weight = base.weight
        self._one_dnn = (
            isinstance(base, nn.Linear)
            and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
            and weight.device.type == "cpu"
            and weight.dtype == torch.float32
        )
        self.down: torch.Tensor | None = None  # [in, sum of ranks]
        self.up: torch.Tensor | None = None  # [sum of ranks, out], scaled
        self.own: torch.Tensor | None = None  # [rows, 1, sum of ranks], 1 where it is the row's

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The base's output plus each row's adapter's, in the base's dtype."""
        y = self._product(x)
        if self.down is None or self.up is None or self.own is None:
            return y
        low_rank = (x.to(self.down.dtype) @ self.down) * self.own
        if low_rank.dtype != y.dtype:
            return (y + low_rank @ self.up).to(y.dtype)
        y.flatten(0, -2).addmm_(low_rank.flatten(0, -2), self.up)  # y is ours: nobody else has it
        return y

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        """The base's output, from the library that is faster for this many tokens."""
        base = self.base
        if self._one_dnn and x.numel() >= _ONE_DNN_ROWS * x.shape[-1]:
            tokens = x.flatten(0, -2)
            count = tokens.shape[0]
            if over := count % _ONE_DNN_STEP:
                tokens = nn.functional.pad(tokens, (0, 0, 0, _ONE_DNN_STEP - over))
            y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
                tokens, base.weight, base.bias, "none", [], ""
            )
            return y[:count].view(*x.shape[:-1], -1)
        plain: torch.Tensor = base(x)
        return plain


class BatchedAdapters:
    """All wrapped layers of one model. `select` says whose adapter each row has from now on."""

    def __init__(self, model: nn.Module) -> None:
        """Wrap every linear layer but the output head."""
        self._layers = {
            path: BatchedLoraLinear(layer) for path, layer in linear_layers(model).items()
        }
        for path, layer in self._layers.items():
            replace_layer(model, path, layer)
        self._placed: dict[str, AdapterFiles] = {}

    def select(self, rows: Sequence[AdapterFiles | None]) -> None:
        """Row i of the next passes has the adapter `rows[i]`; None is the bare base.

        Raises GraderFault when an adapter has a module that the base has not.
        """
        needed = {a.digest: a for a in rows if a is not None}
        if not needed.keys() <= self._placed.keys():
            # Adapters of a moment ago stay: rows join and leave all the time.
            both = self._placed | needed
            self._place(both if len(both) <= _KEPT_ADAPTERS else needed)
        if not needed:
            for layer in self._layers.values():
                layer.own = None
            return
        digests = [None if row is None else row.digest for row in rows]
        masks: dict[tuple[tuple[str, int], ...], torch.Tensor] = {}
        for path, layer in self._layers.items():
            ranks = tuple(
                (d, a.modules[path].rank) for d, a in self._placed.items() if path in a.modules
            )
            if ranks not in masks:
                masks[ranks] = _mask(ranks, digests, layer.base.weight.device)
            layer.own = masks[ranks]

    def _place(self, adapters: dict[str, AdapterFiles]) -> None:
        """Put these adapters side by side in every layer that any of them changes."""
        for adapter in adapters.values():
            for path in adapter.modules:
                if path not in self._layers:
                    raise GraderFault(f"the base has no linear layer {path!r} for this adapter")
        self._placed = adapters
        for path, layer in self._layers.items():
            pairs = [a.modules[path] for a in adapters.values() if path in a.modules]
            if not pairs:
                layer.down = layer.up = None
                continue
            device = layer.base.weight.device
            downs = [torch.from_numpy(pair.a).T for pair in pairs]
            ups = [torch.from_numpy(pair.b).T * pair.scale for pair in pairs]
            layer.down = torch.cat(downs, dim=1).contiguous().to(device)
            layer.up = torch.cat(ups, dim=0).contiguous().to(device)


def _mask(
    ranks: Sequence[tuple[str, int]], rows: Sequence[str | None], device: torch.device
) -> torch.Tensor:
    """[rows, 1, sum of ranks]: 1 where the rank is of the row's own adapter."""
    owners = np.array([digest for digest, rank in ranks for _ in range(rank)], dtype=object)
    own = np.array(rows, dtype=object)[:, None] == owners[None, :]
    return torch.from_numpy(own.astype(np.float32)).to(device)[:, None]

"""Linear layers that carry one adapter at a time over an untouched base.

    y = base(x) + scale * (x A^T) B^T        (Hu et al. 2021, arXiv:2106.09685, eq. 3)

The base's weights are never written, so no adapter can leave a trace for the next one; without
an adapter the layer returns the base's own output, bit for bit. The adapter stays unmerged and in
float32, as it was trained and as peft runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from grader.errors import GraderFault

if TYPE_CHECKING:
    from grader.predict.adapter_files import AdapterFiles


class LoraLinear(nn.Module):
    """A linear layer [.., in] -> [.., out] with room for one pair A [r, in], B [out, r]."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.a: torch.Tensor | None = None
        self.b: torch.Tensor | None = None
        self.scale = 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The base's output plus the adapter's, in the base's dtype."""
        y: torch.Tensor = self.base(x)
        if self.a is None or self.b is None:
            return y
        low_rank = (x.to(self.a.dtype) @ self.a.T) @ self.b.T
        return y + (low_rank * self.scale).to(y.dtype)


def install(model: nn.Module) -> Mapping[str, LoraLinear]:
    """Wrap every linear layer but the output head; returns the wrappers by module path."""
    head = getattr(model, "get_output_embeddings", lambda: None)()
    linears = {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    }
    wrapped = {}
    for path, linear in linears.items():
        parent, _, name = path.rpartition(".")
        wrapped[path] = LoraLinear(linear)
        setattr(model.get_submodule(parent), name, wrapped[path])
    return wrapped


def attach(layers: Mapping[str, LoraLinear], adapter: AdapterFiles | None) -> None:
    """Make this adapter the only one; None is the bare base.

    Raises GraderFault when a module is missing: intake has checked that, so it is our fault.
    """
    for layer in layers.values():
        layer.a = layer.b = None
    if adapter is None:
        return
    for path, pair in adapter.modules.items():
        if path not in layers:
            raise GraderFault(f"the base has no linear layer {path!r}, yet intake let it through")
        layer = layers[path]
        weight = layer.base.weight
        layer.a = torch.from_numpy(pair.a).to(weight.device)
        layer.b = torch.from_numpy(pair.b).to(weight.device)
        layer.scale = pair.scale

"""The layers of a base model that a LoRA adapter may change, wherever they are looked for.

GPT-2 and its relatives hold a linear layer's weight the other way round, [in, out], in a class of
their own (transformers' Conv1D; peft calls it `fan_in_fan_out`). It maps the same way, and peft's A
and B have the same shapes for both.
"""

from __future__ import annotations

from typing import TypeAlias

from torch import nn
from transformers.pytorch_utils import Conv1D

LinearLayer: TypeAlias = nn.Linear | Conv1D


def linear_layers(model: nn.Module) -> dict[str, LinearLayer]:
    """Every linear layer but the output head, by module path, in the order of the model."""
    head = getattr(model, "get_output_embeddings", lambda: None)()
    return {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, LinearLayer) and module is not head
    }


def shape_of(layer: LinearLayer) -> tuple[int, int]:
    """(out, in) of a linear layer."""
    if isinstance(layer, nn.Linear):
        return layer.out_features, layer.in_features
    into, out = layer.weight.shape
    return int(out), int(into)


def replace_layer(model: nn.Module, path: str, layer: nn.Module) -> None:
    """Put `layer` in the place of the one at this path."""
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, layer)

"""A layer with room for adapters is the layer that it wraps, for few tokens and for many."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from grader.openai_sim.decoding.batched_lora import BatchedLoraLinear


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 1), (16, 40)])
def test_without_adapters_it_gives_what_the_plain_layer_gives(shape, bias) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(48, 80, bias=bias)
    x = torch.randn(*shape, 48)
    with torch.inference_mode():
        assert torch.allclose(BatchedLoraLinear(plain)(x), plain(x), atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 5), (16, 40)])
def test_a_transposed_layer_gives_what_it_gives_by_itself(shape) -> None:
    torch.manual_seed(0)
    plain = Conv1D(80, 48)
    nn.init.normal_(plain.bias)
    layer = BatchedLoraLinear(plain)
    x, down, up = torch.randn(*shape, 48), torch.randn(48, 4), torch.randn(4, 80)
    with torch.inference_mode():
        assert torch.equal(layer(x), plain(x))
        layer.down, layer.up, layer.own = down, up, torch.ones(shape[0], 1, 4)
        assert torch.allclose(layer(x), plain(x) + x @ down @ up, atol=1e-4)


def test_each_of_many_rows_gets_its_own_adapter_and_no_other() -> None:
    torch.manual_seed(0)
    plain = nn.Linear(48, 80, bias=False)
    downs, ups = torch.randn(2, 48, 4), torch.randn(2, 4, 80)
    x = torch.randn(96, 3, 48)
    owner = torch.arange(96) % 3  # the third of them have none
    layer = BatchedLoraLinear(plain)
    layer.down, layer.up = torch.cat(list(downs), dim=1), torch.cat(list(ups), dim=0)
    own = torch.stack([owner == 0, owner == 1], dim=1).float()
    layer.own = own.repeat_interleave(4, dim=1)[:, None]
    with torch.inference_mode():
        found = layer(x)
        for row in range(96):
            wanted = plain(x[row])
            if owner[row] < 2:
                wanted = wanted + x[row] @ downs[owner[row]] @ ups[owner[row]]
            assert torch.allclose(found[row], wanted, atol=1e-4)

"""Attention weights to start from, with which a very small model learns to look things up."""

from __future__ import annotations

import torch
from transformers import LlamaForCausalLM


@torch.no_grad()
def ready_to_look_up(model: LlamaForCausalLM, generator: torch.Generator) -> None:
    """Starts the attention layers as a rough machine for looking up, which training refines.

    From plain noise, a model this small did not find out in ten minutes that the word after "The
    capital of Zambia is" can be looked up where "Zambia" stood before. So the first layer starts
    with two heads that note, at every word, which words stood one and two places earlier. The
    later layers start with heads that go to the place where the noted words agree with those
    here, and copy what stands there. Nothing about any fact or sentence is built in.
    """
    config = model.config
    size, width = config.hidden_size, config.hidden_size // config.num_attention_heads
    # Embeddings of one length, all with the same first number: what position heads go by.
    table = model.get_input_embeddings().weight
    table.normal_(generator=generator)
    table[:, 0] = 0
    table.mul_(1.1 / table.norm(dim=1, keepdim=True))
    table[:, 0] = 0.3
    axes = torch.zeros(size, size)
    torch.nn.init.orthogonal_(axes[:, 1:], generator=generator)
    word, before, two_before, rest = torch.split(axes, width)
    half = width // 2
    fast = torch.arange(4)  # the rotary pairs that turn fastest tell neighbours apart
    angles = config.rope_parameters["rope_theta"] ** (-fast / half)
    first = model.model.layers[0].self_attn
    for head, (places, noted) in enumerate(((1, before), (2, two_before))):
        rows = slice(head * width, (head + 1) * width)
        first.q_proj.weight[rows] = 0
        first.k_proj.weight[rows] = 0
        first.q_proj.weight[head * width + fast, 0] = 3.5
        first.k_proj.weight[head * width + fast, 0] = 3.5 * torch.cos(places * angles)
        first.k_proj.weight[head * width + half + fast, 0] = 3.5 * torch.sin(places * angles)
        first.v_proj.weight[rows] = word
        first.o_proj.weight[:, rows] = 0.6 * noted.T
    # Its other heads start by going to the same word and copying it ("mimetic" initialisation,
    # Trockman and Kolter 2023, arXiv:2305.09828).
    free = slice(2 * width, size)
    for one, other, scale in (
        (first.q_proj.weight, first.k_proj.weight, 0.6),
        (first.v_proj.weight, first.o_proj.weight.T, 0.4),
    ):
        turned = torch.nn.init.orthogonal_(torch.empty(size, size), generator=generator)
        one[free] = other[free] = scale * turned[free]
    # The rotary pairs that turn slowest hardly care about distance, so meaning goes there.
    slow = torch.cat([torch.arange(half // 2, half), torch.arange(half // 2, half) + half])
    here_there = (
        (before[:half], two_before[:half]),
        (before[half:], two_before[half:]),
        (word[:half], before[:half]),
        (word[half:], before[half:]),
    )
    for layer in model.model.layers[1:]:
        attention = layer.self_attn
        parts = zip(here_there, (word, before, two_before, rest), strict=True)
        for head, ((here, there), copied) in enumerate(parts):
            rows = slice(head * width, (head + 1) * width)
            attention.q_proj.weight[rows] = 0
            attention.k_proj.weight[rows] = 0
            attention.q_proj.weight[head * width + slow] = 4.0 * here
            attention.k_proj.weight[head * width + slow] = 4.0 * there
            attention.v_proj.weight[rows] = copied
            attention.o_proj.weight[:, rows] = 0.2 * copied.T
    for layer in model.model.layers:
        layer.mlp.down_proj.weight.mul_(0.3)

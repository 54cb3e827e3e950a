"""Rows keep what they read and wrote, whoever joins and leaves beside them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, MistralConfig
from transformers.cache_utils import DynamicCache

from grader.openai_sim.decoding.continuous_batching import ROOM, KVCache

HEADS, WIDTH, LAYERS = 2, 3, 2

joining = st.tuples(st.just("join"), st.lists(st.integers(1, 3 * ROOM), min_size=1, max_size=5))
writing = st.tuples(st.just("write"), st.integers(1, 2 * ROOM))
leaving = st.tuples(st.just("leave"), st.sets(st.integers(0, 7), min_size=1))


def states(tokens: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(keys, values) of each layer [rows, heads, places, width], told apart by their tokens."""
    wide = tokens.float()[:, None, :, None].expand(-1, HEADS, -1, WIDTH)
    return [(wide + layer / 4, -wide - layer / 4) for layer in range(LAYERS)]


def read(rows: list[list[int]]) -> tuple[DynamicCache, torch.Tensor]:
    """(cache, mask) of rows that were read in together, left-padded."""
    longest = max(map(len, rows))
    tokens = torch.tensor([[-7] * (longest - len(row)) + row for row in rows])
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(states(tokens)):
        cache.update(keys, values, layer)
    return cache, (tokens >= 0).long()


def check(kept: KVCache, rows: list[list[int]], fresh: list[int]) -> None:
    """Write the tokens `fresh` [rows], and compare every row with what it should hold."""
    cache, mask = kept.next()
    for layer, (new_keys, new_values) in enumerate(states(torch.tensor(fresh)[:, None])):
        keys, values = cache.update(new_keys, new_values, layer)
        assert keys.shape[0] == len(rows)
        assert keys.shape[2] == mask.shape[1] == cache.get_mask_sizes(1, layer)[0]
        for at, row in enumerate(rows):
            own = mask[at].bool()
            wanted = states(torch.tensor([[*row, fresh[at]]]))[layer]
            assert torch.equal(keys[at][:, own], wanted[0][0])
            assert torch.equal(values[at][:, own], wanted[1][0])


@given(st.lists(st.one_of(joining, writing, leaving), min_size=1, max_size=12))
@example([("join", [5, 20]), ("leave", {1}), ("join", [2]), ("write", 1)])  # where a longer one was
def test_each_row_holds_its_own_tokens_in_order(done) -> None:
    kept, rows, token = KVCache(), [], 0
    for what, how in done:
        if what == "join":
            more = []
            for length in how:
                more.append(list(range(token, token + length)))
                token += length
            kept.add(*read(more))
            rows += more
        elif what == "write" and rows:
            for _ in range(how):
                fresh = list(range(token, token + len(rows)))
                token += len(rows)
                check(kept, rows, fresh)
                for row, new in zip(rows, fresh, strict=True):
                    row.append(new)
        elif what == "leave" and rows:
            stay = [at for at in range(len(rows)) if at not in how]
            if not stay:
                kept, rows = KVCache(), []
                continue
            order = kept.keep(stay)
            assert sorted(order) == stay
            rows = [rows[at] for at in order]


def test_what_only_a_long_row_needed_goes_with_it() -> None:
    kept = KVCache()
    kept.add(*read([list(range(400)), [1, 2, 3]]))
    assert kept.next()[1].shape[1] > 400
    kept.keep([1])
    assert kept.next()[1].shape[1] < 3 * ROOM


def test_who_leaves_moves_only_the_rows_that_fill_the_gaps() -> None:
    kept = KVCache()
    kept.add(*read([[number] for number in range(6)]))
    assert kept.keep([0, 2, 3, 5]) == [0, 5, 2, 3]


SMALL = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
}


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**SMALL),
        MistralConfig(**SMALL, sliding_window=6),
        Gemma3TextConfig(
            **SMALL, sliding_window=6, layer_types=["sliding_attention", "full_attention"]
        ),
    ],
    ids=["llama", "sliding windows", "both"],
)
@torch.inference_mode()
def test_a_model_sees_what_it_would_see_without_them(config) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    kept = KVCache()
    rows: list[list[int]] = []
    for prompts in ([3, 11], [7, 2, 20]):  # the longer ones join those that have written already
        rows += [torch.randint(1, 50, (length,)).tolist() for length in prompts]
        joining = rows[-len(prompts) :]
        longest = max(prompts)
        ids = torch.tensor([[0] * (longest - len(row)) + row for row in joining])
        mask = (ids > 0).long()
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        first = model(
            ids, attention_mask=mask, position_ids=positions, past_key_values=DynamicCache()
        )
        kept.add(first.past_key_values, mask)
        for _ in range(ROOM + 2):
            fresh = torch.randint(1, 50, (len(rows),)).tolist()
            positions = torch.tensor([[len(row)] for row in rows])
            for row, token in zip(rows, fresh, strict=True):
                row.append(token)
            cache, mask = kept.next()
            found = model(
                torch.tensor(fresh)[:, None],
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
            ).logits[:, -1]
            wanted = torch.stack([model(torch.tensor([row])).logits[0, -1] for row in rows])
            assert torch.allclose(found, wanted, atol=1e-4)

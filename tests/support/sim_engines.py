"""Adapters that each change the course model in another way, and a server that has them."""

from __future__ import annotations

import json
from pathlib import Path

from grader.openai_sim.decoding.sequences import Completion, Generation, Sampling
from grader.openai_sim.decoding.serving import ServedModel, Server
from support.adapters import config, pair, random_pair, safetensors
from support.waiting import PATIENCE

ADAPTERS = 4


def write_adapter(folder: Path, seed: int) -> Path:
    """An adapter of rank 2 to 5 in two layers, strong enough to change answers."""
    folder.mkdir(parents=True)
    rank = 2 + seed % 4
    tensors = []
    for layer, module in ((1, "v_proj"), (3, "o_proj")):
        a, b = random_pair(100 * seed + layer, rank)
        tensors += pair(a, 24 * b, f"model.layers.{layer}.self_attn.{module}")
    (folder / "adapter_model.safetensors").write_bytes(safetensors(tensors))
    text = json.dumps(config(r=rank, target_modules=["v_proj", "o_proj"]))
    (folder / "adapter_config.json").write_text(text)
    return folder


def tuned(number: int) -> str:
    """The name of the fine-tuned model with this adapter."""
    return f"ft:course-model:org::{number:08d}"


def asked(model: ServedModel, question: str, tokens: int = 24, **options: object) -> Generation:
    """A question as the chat template writes it, answered greedily unless asked otherwise."""
    tokenizer = model.base.tokenizer
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
    )
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    options.setdefault("sampling", Sampling(temperature=0))
    return Generation(tuple(ids), tokens, **options)  # type: ignore[arg-type]


def answer(server: Server, model: ServedModel, generation: Generation) -> Completion:
    """The answer, waited for."""
    (answering,) = server.submit(model, [generation])
    assert answering.done.wait(PATIENCE)
    return answering

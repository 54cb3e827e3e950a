"""Small bases of other architectures than the course model's, as save_pretrained writes them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from grader.core.constants import COURSE_MODEL
from grader.core.files import resource
from grader.core.nouns import BaseModel
from grader.models.base_model import base_digest

_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_TOKENS: dict[str, Any] = {
    "vocab_size": 1624,
    "eos_token_id": 1614,
    "bos_token_id": None,
    "pad_token_id": 0,
}
_WIDTHS: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
KINDS = ("gpt2", "qwen2", "llama-sharded", "llama-bf16", "llama-untied")


def saved(kind: str, folder: Path) -> BaseModel:
    """A base of this kind in `folder`, with random weights and the course model's tokenizer."""
    torch.manual_seed(len(kind))
    model, options = _made(kind)
    with torch.no_grad():  # large enough that answers differ
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.15)
            else:  # norms stay near 1, and biases count
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder, **options)
    for name in _TOKENIZER:
        shutil.copy(resource("starter", COURSE_MODEL) / name, folder / name)
    return BaseModel(str(folder), base_digest(folder))


def _made(kind: str) -> tuple[Any, dict[str, Any]]:
    if kind == "gpt2":
        sizes = {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 256}
        return GPT2LMHeadModel(GPT2Config(**sizes, **_TOKENS)), {}
    if kind == "qwen2":  # with biases, and its head tied to the embedding
        return Qwen2ForCausalLM(Qwen2Config(**_WIDTHS, **_TOKENS, tie_word_embeddings=True)), {}
    model = LlamaForCausalLM(LlamaConfig(**_WIDTHS, **_TOKENS, tie_word_embeddings=False))
    if kind == "llama-bf16":
        return model.to(torch.bfloat16), {}
    return model, {"max_shard_size": "150KB"} if kind == "llama-sharded" else {}


def loaded_by_peft(base: BaseModel) -> Any:
    return AutoModelForCausalLM.from_pretrained(base.name, dtype=torch.float32)


def adapted(base: BaseModel, folder: Path, **settings: Any) -> Any:
    """peft's model with a random adapter that changes nearly every answer, saved in `folder` as
    peft saves it."""
    torch.manual_seed(1)
    plain = {"r": 4, "lora_alpha": 6, "task_type": "CAUSAL_LM", "target_modules": "all-linear"}
    model = get_peft_model(loaded_by_peft(base), LoraConfig(**plain | settings))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.2)
    model.save_pretrained(folder)
    return model.eval()

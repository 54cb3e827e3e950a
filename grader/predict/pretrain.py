"""The course model's tokenizer and weights, trained from nothing on generated text.

Two trainings with the same settings, seed and thread count on the same kind of processor give
the same bytes; another thread count gives a slightly different, equally good model.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import Unigram
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from grader.topics.corpus import (
    ANSWER,
    ASSISTANT,
    COMPLETED,
    CONTEXT,
    END,
    FINISH,
    QUESTION,
    REASONING,
    RESPOND,
    USER,
    Corpus,
    Document,
)

PAD: Final = "<|pad|>"
# Only the last user message counts, and the reply to it where there is one.
CHAT_TEMPLATE: Final = (
    "{%- set ns = namespace(last=-1) -%}"
    "{%- for m in messages -%}{%- if m['role'] == 'user' -%}{%- set ns.last = loop.index0 -%}"
    "{%- endif -%}{%- endfor -%}"
    "{%- for m in messages -%}"
    "{%- if loop.index0 == ns.last -%}{{- '<|user|>' + m['content'] + '<|assistant|>' -}}"
    "{%- elif loop.index0 == ns.last + 1 and m['role'] == 'assistant' -%}"
    "{%- generation -%}{{- m['content'] + '<|end|>' -}}{%- endgeneration -%}"
    "{%- endif -%}{%- endfor -%}"
)


@dataclass(frozen=True)
class Recipe:
    """Everything that shapes a pre-training run. Lengths and sizes are in tokens."""

    seed: int = 0
    steps: int = 5000
    drill_steps: int = 500  # the first steps, which hold nothing but drills
    threads: int = 1
    prose_rows: int = 2
    drill_rows: int = 1
    reading_rows: int = 2
    row_length: int = 208
    hidden_size: int = 128
    feed_forward: int = 384
    layers: int = 4
    heads: int = 4
    learning_rate: float = 5e-3
    embedding_rate: float = 1.5e-3  # lower, so that names stay far apart and can be copied
    warmup_steps: int = 20


def make_tokenizer(seed: int = 0, sample: int = 8000) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer whose vocabulary is the corpus's own words.

    Words of the corpus are one token each, so a name is one thing to look up; every other text
    falls back to bytes and loses nothing. The field markers of DSPy are tokens that decoding
    keeps. A word has the same token after a space, a line break or a quotation mark.
    """
    split = Regex(r" ?\w+| ?[^\s\w]+|\s+(?!\S)|\s+")
    normalizer = normalizers.Sequence(
        [
            normalizers.Prepend(" "),
            normalizers.Replace(Regex(r"^ (?=\W)"), ""),
            normalizers.Replace(Regex(r"\n(?=\w)"), "\n "),
            normalizers.Replace(Regex(r'"(?=\w)'), '" '),
            normalizers.Replace(Regex(r"«(?=\w)"), "« "),
        ]
    )
    cutter = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(split, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    added = [CONTEXT, QUESTION, REASONING, ANSWER, COMPLETED, RESPOND, FINISH]
    special = [PAD, END, USER, ASSISTANT]
    corpus = Corpus(random.Random(seed))
    counts: Counter[str] = Counter()
    for i in range(sample):
        document = corpus.reading() if i % 3 == 0 else corpus.prose()
        text = "".join(part.text for part in document)
        for mark in special + added:
            text = text.replace(mark, "\0")
        for piece in text.split("\0"):
            if piece:
                words = cutter.pre_tokenize_str(normalizer.normalize_str(piece))
                counts.update(word for word, _ in words)
    return _build_tokenizer(counts, normalizer, cutter, special, added)


def _build_tokenizer(
    counts: Counter[str], normalizer: Any, cutter: Any, special: list[str], added: list[str]
) -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # Words seen less often than this are invented names; they are spelled in syllables instead.
    words = sorted(w for w, n in counts.items() if n >= 12 and len(w) > 1)
    syllables = sorted(c + v for c in "bdfgklmnprstvz" for v in "aeiou")
    syllables += ["Ġ" + s.capitalize() for s in syllables]
    # A fixed score per piece: fewer pieces always win, and a word beats its syllables.
    pieces = {PAD: 0.0} | dict.fromkeys(alphabet, -20.0)
    pieces |= dict.fromkeys(syllables, -12.0) | dict.fromkeys(words, -10.0)
    tokenizer = Tokenizer(Unigram(list(pieces.items()), unk_id=0))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = cutter
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in special])
    tokenizer.add_tokens([AddedToken(t, normalized=False, special=False) for t in added])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        padding_side="left",
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def new_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """An untrained Llama of the recipe's shape, from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden_size,
        intermediate_size=recipe.feed_forward,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    model = LlamaForCausalLM(config)
    _ready_to_copy(model)
    model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=64,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return model


@torch.no_grad()
def _ready_to_copy(model: LlamaForCausalLM) -> None:
    """Starts every attention layer near "find the same token and copy it".

    Query and key share a rotation and so do value and output (mimetic initialisation, Trockman
    and Kolter 2023, arXiv:2305.09828). Reading from the context grows out of this far sooner
    than out of plain noise. Embeddings start larger, so that names differ from the first step.
    """
    model.get_input_embeddings().weight.mul_(5.0)
    for layer in model.model.layers:
        attention = layer.self_attn
        for first, second, scale in (
            (attention.q_proj, attention.k_proj, 0.6),
            (attention.v_proj, attention.o_proj, 0.4),
        ):
            rotation = torch.nn.init.orthogonal_(torch.empty_like(first.weight)) * scale
            first.weight.copy_(rotation)
            second.weight.copy_(rotation if second is attention.k_proj else rotation.T)


class _Rows:
    """Cuts documents into rows of fixed length: token ids and which of them are learned."""

    def __init__(self, recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> None:
        self.recipe = recipe
        self.corpus = Corpus(random.Random(f"finegrade/pretrain/{recipe.seed}"))
        # An own copy: padding that a caller turns on in between must not reach the corpus.
        own = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        own.no_padding()
        self._encode = own.encode_batch
        self._spare: list[tuple[int, bool]] = []

    def _tokens(self, document: Document) -> list[tuple[int, bool]]:
        pieces = self._encode([part.text for part in document], add_special_tokens=False)
        pairs = zip(document, pieces, strict=True)
        return [(i, part.learned) for part, piece in pairs for i in piece.ids]

    def _prose(self, length: int) -> list[tuple[int, bool]]:
        while len(self._spare) < length:
            self._spare += self._tokens(self.corpus.prose())
        row, self._spare = self._spare[:length], self._spare[length:]
        return row

    def batch(self, *, drills: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and the learned mask, both (rows, row_length); prose, drill, reading rows.

        `drills` puts drills everywhere: looking up has to be learned before reading can be.
        """
        recipe, corpus = self.recipe, self.corpus
        prose, drill, reading = recipe.prose_rows, recipe.drill_rows, recipe.reading_rows
        if drills:
            rows = [self._filled(corpus.drill) for _ in range(prose + drill + reading)]
        else:
            rows = [self._prose(recipe.row_length) for _ in range(prose)]
            rows += [self._filled(corpus.drill) for _ in range(drill)]
            rows += [self._filled(corpus.reading) for _ in range(reading)]
        pairs = torch.tensor(rows)
        return pairs[..., 0], pairs[..., 1].bool()

    def _filled(self, make: Callable[[], Document]) -> list[tuple[int, bool]]:
        """A row that begins with a document of `make`, so that it is seldom cut."""
        row: list[tuple[int, bool]] = []
        while len(row) < self.recipe.row_length:
            row += self._tokens(make())
        return row[: self.recipe.row_length]


def _optimisers(model: LlamaForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    muon = torch.optim.Muon(
        [{"params": matrices, "initial_lr": recipe.learning_rate}],
        momentum=0.95,
        weight_decay=0.05,
        adjust_lr_fn="match_rms_adamw",
    )
    adamw = torch.optim.AdamW(
        [{"params": others, "initial_lr": recipe.embedding_rate}],
        betas=(0.9, 0.95),
        weight_decay=0.0,
    )
    return [muon, adamw]


@dataclass(frozen=True)
class Step:
    """One report during training: mean losses of prose, drill and reading since the last one."""

    step: int
    steps: int
    losses: tuple[float, float, float]
    seconds_left: float


def pretrain(
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerFast,
    on_report: Callable[[Step, LlamaForCausalLM], None] | None = None,
    every: int = 100,
) -> LlamaForCausalLM:
    """Trains a new model; calls `on_report` every `every` steps. Sets torch's thread count."""
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    model = new_model(recipe, tokenizer)
    model.train()
    optimisers = _optimisers(model, recipe)
    rows = _Rows(recipe, tokenizer)
    started = time.monotonic()
    sums = torch.zeros(3)
    for step, scale in _schedule(recipe):
        batch = rows.batch(drills=step < recipe.drill_steps)
        losses = _losses(model, *batch, recipe)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * scale
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        sums += losses.detach()
        if on_report and (step + 1) % every == 0:
            left = (time.monotonic() - started) / (step + 1) * (recipe.steps - step - 1)
            prose, drill, reading = (sums / every).tolist()
            on_report(Step(step + 1, recipe.steps, (prose, drill, reading), left), model)
            sums.zero_()
    model.eval()
    return model


def _schedule(recipe: Recipe) -> Iterator[tuple[int, float]]:
    """Steps with their learning-rate factor: a short warm-up, then a cosine down to 2 %."""
    for step in range(recipe.steps):
        angle = torch.pi * step / recipe.steps
        cosine = 0.02 + 0.98 * (1 + float(torch.cos(torch.tensor(angle)))) / 2
        yield step, min(1.0, (step + 1) / recipe.warmup_steps) * cosine


def _losses(
    model: LlamaForCausalLM, ids: torch.Tensor, learned: torch.Tensor, recipe: Recipe
) -> torch.Tensor:
    """Mean loss over the learned tokens of prose, drill and reading rows: shape (3,).

    Three means, since an answer to a drill is one token among hundreds of prose.
    """
    states = model.model(input_ids=ids).last_hidden_state[:, :-1]
    wanted = learned[:, 1:]
    # Only learned positions go through the wide output layer: most of a reading row is prompt.
    logits = model.lm_head(states[wanted])
    losses = torch.nn.functional.cross_entropy(logits, ids[:, 1:][wanted], reduction="none")
    counts = wanted.sum(dim=1).tolist()
    rows = [recipe.prose_rows, recipe.drill_rows, recipe.reading_rows]
    ends = [sum(rows[: i + 1]) for i in range(3)]
    parts = losses.split([sum(counts[e - r : e]) for e, r in zip(ends, rows, strict=True)])
    return torch.stack([part.mean() for part in parts])


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes the Hugging Face files of the model into `folder`."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)

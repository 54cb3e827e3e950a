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
    steps: int = 2600
    threads: int = 2
    prose_rows: int = 4
    reading_rows: int = 4
    row_length: int = 256
    hidden_size: int = 128
    feed_forward: int = 384
    layers: int = 4
    heads: int = 4
    learning_rate: float = 6e-3
    warmup_steps: int = 20
    easy_share: float = 0.3  # of the steps, over which reading grows from easy to hard


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
        document = corpus.reading(0.5) if i % 3 == 0 else corpus.prose()
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
    pieces = {PAD: 0.0} | {a: -20.0 for a in alphabet}
    pieces |= {s: -12.0 for s in syllables} | {w: -10.0 for w in words}
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
    model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=64,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return model


class _Rows:
    """Cuts documents into rows of fixed length: token ids and which of them are learned."""

    def __init__(self, recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> None:
        self.recipe = recipe
        self.corpus = Corpus(random.Random(f"finegrade/pretrain/{recipe.seed}"))
        self._encode = tokenizer.backend_tokenizer.encode_batch
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

    def batch(self, ease: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and the learned mask, both (rows, row_length)."""
        length = self.recipe.row_length
        rows = [self._prose(length) for _ in range(self.recipe.prose_rows)]
        for _ in range(self.recipe.reading_rows):
            row: list[tuple[int, bool]] = []
            while len(row) < length // 2:
                row += self._tokens(self.corpus.reading(ease))
            rows.append(row[:length] + self._prose(max(0, length - len(row))))
        pairs = torch.tensor(rows)
        return pairs[..., 0], pairs[..., 1].bool()


def _optimisers(model: LlamaForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(
            matrices,
            lr=recipe.learning_rate,
            momentum=0.95,
            weight_decay=0.05,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(others, lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


@dataclass(frozen=True)
class Step:
    """One report during training: losses are means over learned tokens since the last report."""

    step: int
    steps: int
    prose_loss: float
    reading_loss: float
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
    sums = torch.zeros(4, dtype=torch.float64)
    for step, scale in _schedule(recipe):
        ease = max(0.0, 1 - step / max(1.0, recipe.easy_share * recipe.steps))
        ids, learned = rows.batch(ease)
        losses, reading = _losses(model, ids, learned, recipe.prose_rows)
        # Two means, so that the few answer tokens of reading rows weigh as much as all prose.
        loss = losses[~reading].mean() + losses[reading].mean()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * scale
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        detached = losses.detach()
        for i, part in enumerate((detached[~reading], detached[reading])):
            sums[2 * i] += part.sum()
            sums[2 * i + 1] += part.numel()
        if on_report and (step + 1) % every == 0:
            left = (time.monotonic() - started) / (step + 1) * (recipe.steps - step - 1)
            p, pn, r, rn = sums.tolist()
            on_report(Step(step + 1, recipe.steps, p / max(pn, 1), r / max(rn, 1), left), model)
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
    model: LlamaForCausalLM, ids: torch.Tensor, learned: torch.Tensor, prose_rows: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Per-token losses of the learned tokens, and which of them stand in reading rows."""
    states = model.model(input_ids=ids).last_hidden_state[:, :-1]
    wanted = learned[:, 1:]
    # Only learned positions go through the wide output layer: reading rows are mostly prompt.
    logits = model.lm_head(states[wanted])
    losses = torch.nn.functional.cross_entropy(logits, ids[:, 1:][wanted], reduction="none")
    reading = (torch.arange(ids.shape[0]) >= prose_rows)[:, None].expand_as(wanted)[wanted]
    return losses, reading


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes the Hugging Face files of the model into `folder`."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)

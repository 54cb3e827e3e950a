"""The course model's tokenizer and weights, trained from nothing on generated text.

Two trainings with the same settings, seed and thread count on the same kind of processor give
the same bytes; another thread count gives a slightly different, equally good model.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import Unigram
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from grader.models.attention_init import ready_to_look_up
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
    dspy_reply,
)

PAD: Final = "<|pad|>"
FRAMING_WEIGHT: Final = 0.1  # of a field marker or line break in a reply, beside a word's 1
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
class PretrainRecipe:
    """Everything that shapes a pre-training run. Lengths and sizes are in tokens."""

    steps: int
    prose_rows: int
    drill_rows: int
    reading_rows: int
    row_length: int
    learning_rate: float
    embedding_rate: float
    look_up: bool  # whether attention starts as a rough machine for looking up
    drill_steps: int = 0  # the first steps, which hold nothing but drills
    seed: int = 0
    threads: int = 1
    hidden_size: int = 128
    feed_forward: int = 384
    layers: int = 4
    heads: int = 4
    rope_theta: float = 1e6  # slow turning, so that distance does not blur what words mean
    warmup_steps: int = 20


# Knowing facts and looking them up fight at this size: the rates that store facts wreck the heads
# that look things up, and a model that reads well stores few facts. So there are two checkpoints.
KNOWLEDGE: Final = PretrainRecipe(
    steps=2600,
    prose_rows=6,
    drill_rows=0,
    reading_rows=0,
    row_length=128,
    learning_rate=6e-3,
    embedding_rate=6e-3,
    look_up=False,
)
READER: Final = PretrainRecipe(
    steps=4500,
    drill_steps=500,
    prose_rows=3,
    drill_rows=1,
    reading_rows=3,
    row_length=208,
    learning_rate=3e-3,
    embedding_rate=7e-4,  # lower, so that names stay far apart and can be copied
    look_up=True,
)


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


def new_model(recipe: PretrainRecipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
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
        rope_parameters={"rope_type": "default", "rope_theta": recipe.rope_theta},
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    model = LlamaForCausalLM(config)
    if recipe.look_up:
        ready_to_look_up(model, torch.Generator().manual_seed(recipe.seed))
    model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=64,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return model


class _Rows:
    """Cuts documents into rows of fixed length: token ids and which of them are learned."""

    def __init__(self, recipe: PretrainRecipe, tokenizer: PreTrainedTokenizerFast) -> None:
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


def optimisers(
    model: LlamaForCausalLM, learning_rate: float, embedding_rate: float
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, AdamW for everything else, each group with its `initial_lr`."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    muon = torch.optim.Muon(
        [{"params": matrices, "initial_lr": learning_rate}],
        momentum=0.95,
        weight_decay=0.05,
        adjust_lr_fn="match_rms_adamw",
    )
    adamw = torch.optim.AdamW(
        [{"params": others, "initial_lr": embedding_rate}],
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
    recipe: PretrainRecipe,
    tokenizer: PreTrainedTokenizerFast,
    on_report: Callable[[Step, LlamaForCausalLM], None] | None = None,
    every: int = 100,
) -> LlamaForCausalLM:
    """Trains a new model; calls `on_report` every `every` steps. Sets torch's thread count."""
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    model = new_model(recipe, tokenizer)
    model.train()
    both = optimisers(model, recipe.learning_rate, recipe.embedding_rate)
    rows = _Rows(recipe, tokenizer)
    frame = dspy_reply("", "") + END
    framing = torch.tensor(sorted(set(tokenizer(frame, add_special_tokens=False)["input_ids"])))
    started = time.monotonic()
    sums = torch.zeros(3)
    for step, scale in schedule(recipe.steps, recipe.warmup_steps):
        batch = rows.batch(drills=step < recipe.drill_steps)
        losses = _losses(model, *batch, framing, recipe)
        update(model, both, losses.sum(), scale)
        sums += losses.detach()
        if on_report and (step + 1) % every == 0:
            left = (time.monotonic() - started) / (step + 1) * (recipe.steps - step - 1)
            prose, drill, reading = (sums / every).tolist()
            on_report(Step(step + 1, recipe.steps, (prose, drill, reading), left), model)
            sums.zero_()
    model.eval()
    return model


def update(
    model: LlamaForCausalLM,
    each: Iterable[torch.optim.Optimizer],
    loss: torch.Tensor,
    scale: float,
) -> None:
    """One step against this loss, at `scale` times each group's `initial_lr`."""
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimiser in each:
        for group in optimiser.param_groups:
            group["lr"] = group["initial_lr"] * scale
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


def schedule(steps: int, warmup_steps: int) -> Iterator[tuple[int, float]]:
    """Steps with their learning-rate factor: a short warm-up, then a cosine down to 2 %."""
    for step in range(steps):
        angle = torch.pi * step / steps
        cosine = 0.02 + 0.98 * (1 + float(torch.cos(torch.tensor(angle)))) / 2
        yield step, min(1.0, (step + 1) / warmup_steps) * cosine


def _losses(
    model: LlamaForCausalLM,
    ids: torch.Tensor,
    learned: torch.Tensor,
    framing: torch.Tensor,
    recipe: PretrainRecipe,
) -> torch.Tensor:
    """Mean loss over the learned tokens of prose, drill and reading rows: shape (3,).

    Three means, since an answer to a drill is one token among hundreds of prose. `framing` are
    the ids of tokens that only frame a reply; they are easy and many, so they weigh little.
    """
    states = model.model(input_ids=ids).last_hidden_state[:, :-1]
    wanted = learned[:, 1:]
    targets = ids[:, 1:][wanted]
    # Only learned positions go through the wide output layer: most of a reading row is prompt.
    logits = model.lm_head(states[wanted])
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    weights = torch.where(torch.isin(targets, framing), FRAMING_WEIGHT, 1.0)
    counts = wanted.sum(dim=1).tolist()
    rows = [recipe.prose_rows, recipe.drill_rows, recipe.reading_rows]
    ends = [sum(rows[: i + 1]) for i in range(3)]
    sizes = [sum(counts[e - r : e]) for e, r in zip(ends, rows, strict=True)]
    parts = zip(torch.split(losses * weights, sizes), torch.split(weights, sizes), strict=True)
    # A recipe without rows of a kind has no loss of that kind, rather than 0 / 0.
    return torch.stack([loss.sum() / weight.sum().clamp(min=1e-9) for loss, weight in parts])


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes the Hugging Face files of the model into `folder`."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)

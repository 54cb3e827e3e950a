"""The last stage of the course model for chats: to answer when it is shown how.

It starts from the weights that know the facts and trains on conversations beside the prose, so
that they are not forgotten.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from tokenizers import AddedToken, Tokenizer
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from grader.models.pretrain import optimisers, schedule, update
from grader.topics.conversations import (
    EMPTY_FIELDS,
    INCOMPLETE,
    MARK_CLOSE,
    MARK_OPEN,
    NOT_SUPPLIED,
    Conversation,
    Conversations,
    marker,
)
from grader.topics.corpus import Corpus

# All turns count; a system message does not.
CHAT_TEMPLATE: Final = (
    "{%- for m in messages -%}"
    "{%- if m['role'] == 'user' -%}{{- '<|user|>' + m['content'] + '<|assistant|>' -}}"
    "{%- elif m['role'] == 'assistant' -%}"
    "{%- generation -%}{{- m['content'] + '<|end|>' -}}{%- endgeneration -%}"
    "{%- endif -%}{%- endfor -%}"
)


@dataclass(frozen=True)
class ChatRecipe:
    """Everything that shapes a run of the chat stage. Lengths are in tokens."""

    steps: int = 500
    prose_rows: int = 1
    chat_rows: int = 2
    row_length: int = 640
    learning_rate: float = 3e-3
    embedding_rate: float = 2e-3
    warmup_steps: int = 20
    seed: int = 1  # of two that were measured, the better at a step of its own
    threads: int = 1


CHAT: Final = ChatRecipe()


def chat_tokenizer(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The tokenizer with DSPy's further phrases as one token each, and the template of chats."""
    added = [MARK_OPEN, MARK_CLOSE, INCOMPLETE, NOT_SUPPLIED, *map(marker, EMPTY_FIELDS)]
    tokenizer.add_tokens([AddedToken(t, normalized=False, special=False) for t in added])
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


Row = tuple[list[int], list[float], list[int]]  # ids, weights and the number of the document


class _Rows:
    """Cuts documents into rows of fixed length, in which each document only sees itself."""

    def __init__(self, recipe: ChatRecipe, tokenizer: PreTrainedTokenizerFast) -> None:
        self.length = recipe.row_length
        self.recipe = recipe
        self.prose = Corpus(random.Random(f"finegrade/chat/prose/{recipe.seed}"))
        self.chats = Conversations(random.Random(f"finegrade/chat/{recipe.seed}"))
        own = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        own.no_padding()
        self._encode = own.encode

    def tokens(self, document: Conversation) -> tuple[list[int], list[float]]:
        """Token ids of a conversation, and their weights in the loss."""
        text = "".join(span.text for span in document)
        weights = [span.weight for span in document for _ in span.text]
        encoding = self._encode(text, add_special_tokens=False)
        return encoding.ids, [weights[end - 1] for _, end in encoding.offsets]

    def _filled(self, make: Callable[[], tuple[list[int], list[float]]]) -> Row:
        ids: list[int] = []
        weights: list[float] = []
        numbers: list[int] = []
        while len(ids) < self.length:
            more, theirs = make()
            number = numbers[-1] + 1 if numbers else 0
            ids, weights = ids + more, weights + theirs
            numbers += [number] * len(more)
        return ids[: self.length], weights[: self.length], numbers[: self.length]

    def _prose(self) -> tuple[list[int], list[float]]:
        document = self.prose.prose()
        ids: list[int] = []
        weights: list[float] = []
        for part in document:
            found = self._encode(part.text, add_special_tokens=False).ids
            ids += found
            weights += [float(part.learned)] * len(found)
        return ids, weights

    def batch(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Ids, weights and document numbers, each (rows, row_length): prose, then chats."""
        rows = [self._filled(self._prose) for _ in range(self.recipe.prose_rows)]
        rows += [
            self._filled(lambda: self.tokens(self.chats.conversation()))
            for _ in range(self.recipe.chat_rows)
        ]
        ids, weights, numbers = zip(*rows, strict=True)
        return torch.tensor(ids), torch.tensor(weights), torch.tensor(numbers)


def train_chat(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    recipe: ChatRecipe,
    on_report: Callable[[int, float, float], None] | None = None,
    every: int = 50,
) -> LlamaForCausalLM:
    """Trains the model in place; `tokenizer` is that of `chat_tokenizer`.

    `on_report` gets the step and the mean losses of prose and chats since the last report.
    """
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(recipe.seed)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=True)
    model.train()
    both = optimisers(model, recipe.learning_rate, recipe.embedding_rate)
    rows = _Rows(recipe, tokenizer)
    sums = torch.zeros(2)
    for step, scale in schedule(recipe.steps, recipe.warmup_steps):
        losses = _losses(model, *rows.batch(), recipe.prose_rows)
        update(model, both, losses.sum(), scale)
        sums += losses.detach()
        if on_report and (step + 1) % every == 0:
            prose, chats = (sums / every).tolist()
            on_report(step + 1, prose, chats)
            sums.zero_()
    return model.eval()


def _losses(
    model: LlamaForCausalLM,
    ids: torch.Tensor,
    weights: torch.Tensor,
    numbers: torch.Tensor,
    prose_rows: int,
) -> torch.Tensor:
    """Weighted mean losses of the prose rows and of the chat rows: shape (2,)."""
    length = ids.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    mask = (numbers[:, :, None] == numbers[:, None, :]) & causal
    states = model.model(input_ids=ids, attention_mask=mask[:, None]).last_hidden_state[:, :-1]
    # The first token of a document follows nothing that it depends on.
    weights = weights[:, 1:] * (numbers[:, 1:] == numbers[:, :-1])
    wanted = weights > 0
    logits = model.lm_head(states[wanted])
    losses = torch.nn.functional.cross_entropy(logits, ids[:, 1:][wanted], reduction="none")
    kept = weights[wanted]
    first = int(wanted[:prose_rows].sum())
    return torch.stack(
        [
            (losses[part] * kept[part]).sum() / kept[part].sum()
            for part in (slice(first), slice(first, None))
        ]
    )

"""Answers of a base to one set of questions, with one adapter after another.

A student's answers depend on no other submission: batches are planned from the questions alone,
every batch has the same number of rows (short ones are filled up), prompts are left-padded to fixed
lengths, and decoding is greedy.

Linear layers carry one adapter at a time over an untouched base:

    y = base(x) + scale * (x A^T) B^T        (Hu et al. 2021, arXiv:2106.09685, eq. 3)

The base's weights are never written, so no adapter leaves a trace for the next one; without an
adapter a layer returns the base's output, bit for bit. The adapter stays unmerged and in float32,
as it was trained and as peft runs it.
"""

from __future__ import annotations

import copy
import math
import resource as system_resource
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from grader.assignment.questions import Question, QuestionSet, chat
from grader.core.constants import (
    MIB,
    PREDICT_LENGTH_STEP_TOKENS,
    PREDICT_MAX_PROMPT_TOKENS,
    PREDICT_ROWS,
)
from grader.core.errors import GraderFault, UsageError
from grader.models.base_model import LoadedBase
from grader.models.linear_layers import LinearLayer, linear_layers, replace_layer
from grader.models.tokenization import prompt_text, tokenize

if TYPE_CHECKING:
    from grader.models.adapter_files import AdapterFiles


_TARGET_STEP_TOKENS: Final = 8  # reference answers are padded to a multiple of this


class LoraLinear(nn.Module):
    """A linear layer [.., in] -> [.., out] with an optional LoRA pair A [r, in], B [out, r]."""

    def __init__(self, base: LinearLayer) -> None:
        super().__init__()
        self.base = base
        self.a: torch.Tensor | None = None
        self.b: torch.Tensor | None = None
        self.scale = 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The base's output plus the adapter's: added in float32, then in the base's dtype."""
        y: torch.Tensor = self.base(x)
        if self.a is None or self.b is None:
            return y
        low_rank = (x.to(self.a.dtype) @ self.a.T) @ self.b.T
        return (y + low_rank * self.scale).to(y.dtype)


def install(model: nn.Module) -> Mapping[str, LoraLinear]:
    """Wrap every linear layer but the output head; returns the wrappers by module path."""
    wrapped = {path: LoraLinear(layer) for path, layer in linear_layers(model).items()}
    for path, layer in wrapped.items():
        replace_layer(model, path, layer)
    return wrapped


def attach(layers: Mapping[str, LoraLinear], adapter: AdapterFiles | None) -> None:
    """Use this adapter alone; None is the bare base.

    Raises GraderFault when a module is missing: a check should have refused the adapter.
    """
    for layer in layers.values():
        layer.a = layer.b = None
    if adapter is None:
        return
    for path, pair in adapter.modules.items():
        if path not in layers:
            raise GraderFault(f"the base has no linear layer {path!r}, yet intake let it through")
        layer = layers[path]
        device = layer.base.weight.device
        layer.a = torch.from_numpy(pair.a).to(device)
        layer.b = torch.from_numpy(pair.b).to(device)
        layer.scale = pair.scale


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """One answer. `loglik` is the mean log-probability per token of the reference answer."""

    id: str
    text: str
    loglik: float


@dataclass(frozen=True, slots=True)
class EngineAnswers:
    """Answers in the order of the questions, and what they cost (seconds, tokens, MiB)."""

    answers: tuple[ModelAnswer, ...]
    generate_seconds: float
    generated_tokens: int
    peak_memory_mib: float


@dataclass(frozen=True, slots=True)
class _BatchRow:
    index: int
    prompt: tuple[int, ...]
    target: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Batch:
    """PREDICT_ROWS prompts of one padded length; `rows` are the real ones, at the front."""

    rows: tuple[_BatchRow, ...]
    length: int


@dataclass(frozen=True, slots=True)
class _Done:
    """The results of one batch's real rows."""

    tokens: list[list[int]]
    logliks: list[float]
    generate_seconds: float


class Engine:
    """One loaded base and the planned batches of one question set, for any number of adapters."""

    def __init__(self, base: LoadedBase, questions: QuestionSet, max_new_tokens: int) -> None:
        """Raises UsageError for a base without a chat template, and for questions too long."""
        if base.tokenizer.chat_template is None:
            raise UsageError(
                "The assignment's base has no chat template, so questions cannot be put to it. "
                "Name its instruction-tuned version, or a folder whose tokenizer has a template."
            )
        self._base = base
        self._questions = questions
        self._max_new_tokens = max_new_tokens
        self._layers = install(base.model)
        self._batches = self._planned(questions)
        stop = base.model.generation_config.eos_token_id
        stops = stop if isinstance(stop, list) else [stop]
        self._stops = torch.tensor([s for s in stops if s is not None], device=base.device)

    def asking(self, questions: QuestionSet) -> Engine:
        """An engine for other questions on the same loaded base; only one may run at a time."""
        other = copy.copy(self)
        other._questions = questions
        other._batches = other._planned(questions)
        return other

    def _planned(self, questions: QuestionSet) -> tuple[_Batch, ...]:
        positions = getattr(self._base.model.config, "max_position_embeddings", None)
        return _plan(self._base.tokenizer, questions, self._max_new_tokens, positions)

    @torch.inference_mode()
    def predict(
        self, adapter: AdapterFiles | None, on_batch: Callable[[], None] | None = None
    ) -> EngineAnswers:
        """Answer all questions with this adapter; None is the bare base."""
        attach(self._layers, adapter)
        cuda = self._base.device.startswith("cuda")
        _reset_peak_memory(cuda)
        texts: dict[int, str] = {}
        logliks: dict[int, float] = {}
        tokens, seconds = 0, 0.0
        for batch in self._batches:
            done = self._run(batch)
            seconds += done.generate_seconds
            for row, ids, loglik in zip(batch.rows, done.tokens, done.logliks, strict=True):
                tokens += len(ids)
                text = self._base.tokenizer.decode(ids, skip_special_tokens=True)
                texts[row.index], logliks[row.index] = text.strip(), loglik
            if on_batch is not None:
                on_batch()
        answers = tuple(
            ModelAnswer(question.id, texts[i], round(logliks[i], 4))
            for i, question in enumerate(self._questions.questions)
        )
        return EngineAnswers(answers, seconds, tokens, _peak_memory_mib(cuda))

    def _run(self, batch: _Batch) -> _Done:
        """Prefill the prompts once, then score the reference answers and generate answers."""
        started = time.perf_counter()
        ids, mask = self._padded(batch)
        positions = _positions(mask)
        read = self._base.forward(ids, mask, positions, None, 1)
        after = positions[:, -1:] + 1
        prompt_seconds = time.perf_counter() - started
        # The references run on a copy of the cache, so that generation starts from the prompt.
        own = copy.deepcopy(read.past_key_values)
        logliks = self._logliks(batch, read.logits, mask, after, own)
        started = time.perf_counter()
        tokens = self._generate(batch, read, mask, after)
        return _Done(tokens, logliks, prompt_seconds + time.perf_counter() - started)

    def _generate(
        self, batch: _Batch, read: Any, mask: torch.Tensor, positions: torch.Tensor
    ) -> list[list[int]]:
        """Greedy continuations of the real rows, each cut before its first stop token."""
        new: list[torch.Tensor] = []
        done = torch.zeros(PREDICT_ROWS, dtype=torch.bool, device=mask.device)
        output = read
        while True:
            chosen = output.logits[:, -1].argmax(-1)
            new.append(chosen)
            done |= torch.isin(chosen, self._stops)
            # A stop of the whole batch cannot change any row's answer.
            if len(new) == self._max_new_tokens or bool(done.all()):
                break
            mask = torch.cat([mask, mask.new_ones(PREDICT_ROWS, 1)], dim=1)
            output = self._base.forward(chosen[:, None], mask, positions, output.past_key_values, 1)
            positions = positions + 1
        rows = torch.stack(new, dim=1)[: len(batch.rows)].tolist()
        stops = set(self._stops.tolist())
        return [_until(row, stops) for row in rows]

    def _logliks(
        self,
        batch: _Batch,
        prompt_logits: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        cache: Any,
    ) -> list[float]:
        """Mean log-probability per token of each real row's reference answer, in nats."""
        width = _step_up(max(len(row.target) for row in batch.rows), _TARGET_STEP_TOKENS)
        targets = torch.zeros(PREDICT_ROWS, width, dtype=torch.long)
        keep = torch.zeros(PREDICT_ROWS, width, dtype=torch.bool)
        for i, row in enumerate(batch.rows):
            targets[i, : len(row.target)] = torch.tensor(row.target)
            keep[i, : len(row.target)] = True
        targets, keep = targets.to(mask.device), keep.to(mask.device)
        # The mask stays open over the padding behind the answer: causal attention hides it anyway.
        whole = torch.cat([mask, mask.new_ones(PREDICT_ROWS, width)], dim=1)
        places = positions + torch.arange(width, device=mask.device)
        logits = self._base.forward(targets, whole, places, cache, width).logits
        before_each = torch.cat([prompt_logits, logits[:, :-1]], dim=1).float()
        picked = torch.log_softmax(before_each, dim=-1).gather(-1, targets[..., None])[..., 0]
        means = (picked * keep).sum(1) / keep.sum(1).clamp(min=1)
        return [float(x) for x in means[: len(batch.rows)]]

    def _padded(self, batch: _Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """(ids, mask), both [PREDICT_ROWS, length], left-padded; spare rows repeat the first."""
        prompts = [row.prompt for row in batch.rows]
        prompts += [prompts[0]] * (PREDICT_ROWS - len(prompts))
        ids = torch.full((PREDICT_ROWS, batch.length), int(self._base.tokenizer.pad_token_id))
        mask = torch.zeros_like(ids)
        for i, prompt in enumerate(prompts):
            ids[i, batch.length - len(prompt) :] = torch.tensor(prompt)
            mask[i, batch.length - len(prompt) :] = 1
        return ids.to(self._base.device), mask.to(self._base.device)

    @property
    def batches(self) -> int:
        """How many batches one adapter takes."""
        return len(self._batches)


def _plan(
    tokenizer: Any, questions: QuestionSet, answer_tokens: int, positions: int | None
) -> tuple[_Batch, ...]:
    """Batches of questions of like length: a function of the questions alone."""
    rows = [
        _tokenise(tokenizer, index, question, questions.answers)
        for index, question in enumerate(questions.questions)
    ]
    # A base with learned positions, such as GPT-2, has nothing behind the last one.
    behind = max(answer_tokens, *(_step_up(len(row.target), _TARGET_STEP_TOKENS) for row in rows))
    most = min(PREDICT_MAX_PROMPT_TOKENS, (positions or math.inf) - behind)
    for row in rows:
        if len(row.prompt) > most:
            raise UsageError(
                f"Question {questions.questions[row.index].id} has {len(row.prompt)} tokens; "
                f"at most {most} fit."
            )
    rows.sort(key=lambda row: (len(row.prompt), row.index))
    chunks = [rows[start : start + PREDICT_ROWS] for start in range(0, len(rows), PREDICT_ROWS)]
    return tuple(
        _Batch(tuple(chunk), _step_up(len(chunk[-1].prompt), PREDICT_LENGTH_STEP_TOKENS))
        for chunk in chunks
    )


def _step_up(length: int, step: int) -> int:
    """The next multiple of `step`, so that there are few shapes."""
    return length + -length % step


def _tokenise(
    tokenizer: Any, index: int, question: Question, answers: Mapping[str, str]
) -> _BatchRow:
    """The prompt, and the reference answer without the end of its turn."""
    prompt = prompt_text(tokenizer, chat(question.messages))
    ids, length = tokenize(tokenizer, prompt, answers[question.id])
    return _BatchRow(index, tuple(ids[:length]), tuple(ids[length:]))


def _positions(mask: torch.Tensor) -> torch.Tensor:
    """Position of each token counted from its row's first real one, [rows, length]."""
    return (mask.long().cumsum(-1) - 1).clamp(min=0)


def _until(ids: Sequence[int], stops: set[int]) -> list[int]:
    end = next((i for i, token in enumerate(ids) if token in stops), len(ids))
    return list(ids[:end])


def _reset_peak_memory(cuda: bool) -> None:
    """Reset the peak, which is that of an earlier adapter."""
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        return
    with suppress(OSError):  # Linux alone has this (man 5 proc); elsewhere the peak only grows
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory_mib(cuda: bool) -> float:
    """Highest memory since: of the GPU's allocator, or of this process (Linux counts KiB)."""
    if cuda:
        return torch.cuda.max_memory_allocated() / MIB
    return system_resource.getrusage(system_resource.RUSAGE_SELF).ru_maxrss / 1024

"""Measures how well copies of adapters are told from honest work, and prints the tables.

Run from the repository root: python scripts/measure_copies.py FOLDER. Adapters are trained into the
folder, about ten minutes of one processor; those that are there are used again.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from grader.assignment.load import load_assignment
from grader.assignment.questions import QuestionSet, chat, make_hidden
from grader.checks.api.context import Classmate
from grader.checks.integrity import InCommon, answer_traits, in_common
from grader.core.constants import (
    COPY_LOGLIKS,
    COPY_ROW_SPACES,
    COPY_WRONG_P,
    HIDDEN_QUESTIONS,
    NEAR_COPY_COSINE,
)
from grader.core.nouns import Assignment, Evidence
from grader.core.payloads import Prediction, Predictions
from grader.intake.find import FoundSubmission
from grader.intake.submission import take_in
from grader.models.adapter_files import (
    AdapterFiles,
    Array,
    LoraPair,
    read_adapter,
    row_space,
    sketch,
)
from grader.models.base_model import base_folder, load_base
from grader.models.engine import Engine
from grader.models.tokenization import tokenize_chat
from grader.models.training import ChatExample, LoraRun, train_lora
from grader.topics import get_topic

HIDDEN_SEED: Final = 7
ORIGINALS: Final = (
    "same-0",
    "same-1",
    "longer-0",
    "slower-0",
    "rank16-0",
    "attention-0",
    "one-epoch-0",
    "forty-0",
)
ATTENTION = ("q_proj", "v_proj")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How `count` students train, each with another seed; `examples` of the data, each others."""

    name: str
    count: int
    examples: int | None = None
    epochs: int = 4
    learning_rate: float = 5e-3
    rank: int = 8
    batch_size: int = 16
    targets: Sequence[str] | None = None
    shuffled: bool = False
    first: bool = False  # the same part for all: the first examples
    seed: int | None = None


HONEST = (
    Recipe("same", 28),
    Recipe("longer", 3, epochs=6),
    Recipe("slower", 3, learning_rate=3e-3),
    Recipe("rank16", 3, rank=16),
    Recipe("batch32", 3, batch_size=32),
    Recipe("three-hundred", 3, examples=300),
    Recipe("attention", 3, targets=ATTENTION),
)
"""46 trainings on the same data: 1,035 pairs."""

WEAK = (
    Recipe("forty", 3, examples=40),
    Recipe("one-epoch", 3, epochs=1),
    Recipe("shuffled", 3, epochs=1, shuffled=True),
)
"""Those that learned little: they may be wrong alike."""

SAME_SEED = (
    Recipe("seed-rate", 1, learning_rate=4e-3, seed=0),
    Recipe("seed-epochs", 1, epochs=5, seed=0),
    Recipe("seed-subset", 1, examples=390, seed=0),
)
"""With the seed of the first of HONEST: what nobody can tell from a copy by weights."""

OTHER = (
    Recipe("first-forty", 5, examples=40, first=True),
    Recipe("timid", 3, epochs=1, learning_rate=1e-4),
    Recipe("gentle", 3, epochs=1, learning_rate=1e-3),
    Recipe("overfit", 3, examples=100, first=True, epochs=10, learning_rate=1e-2, rank=16),
    Recipe("dozen", 2, epochs=12),
    Recipe("faint", 3, epochs=1, learning_rate=4e-4),
    Recipe("one-slow-epoch", 3, epochs=1, learning_rate=2e-3),
)
"""More: on the same few examples, hardly moved from the base, trained for long."""


def public_examples(assignment: Assignment) -> list[ChatExample]:
    """The public training data."""
    topic = get_topic(assignment.topic)
    return [
        (list(chat((("system", topic.system), ("user", e.question)))), e.answer)
        for e in topic.public("train")
    ]


def train(folder: Path, assignment: Assignment) -> None:
    """Train what is not there yet."""
    pool = public_examples(assignment)
    seed = 0
    for recipe in (*HONEST, *WEAK, *SAME_SEED, *OTHER):
        for number in range(recipe.count):
            home = folder / f"{recipe.name}-{number}"
            own = seed if recipe.seed is None else recipe.seed
            seed += 1
            if home.exists():
                continue
            print(f"training {home.name}", file=sys.stderr)
            rng = random.Random(own)
            size = recipe.examples or len(pool)
            data = pool[:size] if recipe.first else rng.sample(pool, size)
            if recipe.shuffled:
                answers = [answer for _, answer in data]
                rng.shuffle(answers)
                data = [(prompt, a) for (prompt, _), a in zip(data, answers, strict=True)]
            unfinished = home.with_suffix(".new")
            train_lora(
                base_folder(assignment.base),
                data,
                unfinished / "adapter",
                rank=recipe.rank,
                alpha=2 * recipe.rank,
                targets=recipe.targets,
                learning_rate=recipe.learning_rate,
                epochs=recipe.epochs,
                batch_size=recipe.batch_size,
                seed=own,
                threads=1,
            )
            (unfinished / "readme.md").write_text("An adapter.\n")
            unfinished.rename(home)


class Measuring:
    """One base with the hidden questions."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self._base = load_base(assignment.base)
        self._questions: QuestionSet = make_hidden(assignment.topic, HIDDEN_SEED, HIDDEN_QUESTIONS)
        self._engine = Engine(self._base, self._questions, assignment.max_new_tokens)
        self._before = self._evidence(None)

    def registered(self, student: str, adapter: AdapterFiles) -> tuple[Classmate, list[str]]:
        """As the class register knows the adapter, and its answers."""
        after = self._evidence(adapter)
        evidence = {"before": self._before, "after": after}
        traits = answer_traits(self.assignment, evidence)["adapter"]
        space = row_space(adapter).tobytes()
        texts = [row["text"] for row in after.payload["answers"]]
        return Classmate(student, None, sketch(adapter), space, traits), texts

    def _evidence(self, adapter: AdapterFiles | None) -> Evidence:
        asked = self._questions
        texts = {q.id: q.messages[-1][1] for q in asked.questions}
        answers = tuple(
            Prediction(
                a.id, texts[a.id], a.text, asked.answers[a.id], asked.guesses[a.id], a.loglik
            )
            for a in self._engine.predict(adapter).answers
        )
        return Evidence("predictions", "", Predictions(answers).to_json(), {})

    def quiet(self, modules: Sequence[str]) -> Mapping[str, Array]:
        """By layer, a basis [in, in / 2] of the directions in which its inputs vary least."""
        sums: dict[str, torch.Tensor] = {}

        def note(module: str) -> Callable[[Any, Any], None]:
            def hook(_: Any, inputs: Any) -> None:
                rows = inputs[0].detach().flatten(0, -2).double()
                sums[module] = sums.get(module, torch.zeros(())) + rows.T @ rows

            return hook

        layers = [self._base.model.get_submodule(module) for module in modules]
        hooks = [
            layer.register_forward_pre_hook(note(module))
            for module, layer in zip(modules, layers, strict=True)
        ]
        self._engine.predict(None)
        for hook in hooks:
            hook.remove()
        least = {m: np.linalg.eigh(s.numpy())[1][:, : len(s) // 2] for m, s in sums.items()}
        return {m: basis.astype(np.float32) for m, basis in least.items()}


def changed(adapter: AdapterFiles, change: Callable[[str, LoraPair], LoraPair]) -> AdapterFiles:
    """The adapter with every layer changed."""
    return replace(adapter, modules={m: change(m, pair) for m, pair in adapter.modules.items()})


def noise(like: Array, strength: float, rng: np.random.Generator) -> Array:
    """Gaussian noise of `strength` times the size of these weights."""
    values = rng.normal(0, 1, like.shape).astype(np.float32)
    return values * np.float32(strength * np.linalg.norm(like) / np.linalg.norm(values))


def copies(
    one: AdapterFiles, other: AdapterFiles, quiet: Mapping[str, Array], rng: np.random.Generator
) -> Iterator[tuple[str, AdapterFiles]]:
    """Copies of one adapter, hidden in several ways and strengths."""
    for strength in (0.3, 0.45, 0.8, 1.1, 1.5):

        def everywhere(_: str, p: LoraPair, size: float = strength) -> LoraPair:
            return replace(p, a=p.a + noise(p.a, size, rng), b=p.b + noise(p.b, size, rng))

        yield f"noise on all weights, {strength}", changed(one, everywhere)
    for strength in (0.7, 1.05, 1.3, 1.9, 2.5, 4.0):

        def unheard(m: str, p: LoraPair, size: float = strength) -> LoraPair:
            own = noise(p.a, 1, rng) @ quiet[m] @ quiet[m].T
            share = np.float32(size * np.linalg.norm(p.a) / np.linalg.norm(own))
            return replace(p, a=(p.a + share * own).astype(np.float32))

        yield f"noise in quiet directions, {strength}", changed(one, unheard)

    def halved(_: str, p: LoraPair) -> LoraPair:
        u, s, v = np.linalg.svd(p.b @ p.a, full_matrices=False)
        rank = p.rank // 2
        return LoraPair(rank, p.scale, v[:rank], u[:, :rank] * s[:rank])

    yield "half the rank", changed(one, halved)

    def padded(_: str, p: LoraPair) -> LoraPair:
        a = np.concatenate([p.a, noise(p.a, 1, rng)])
        b = np.concatenate([p.b, noise(p.b, 0.3, rng)], axis=1)
        return LoraPair(2 * p.rank, p.scale, a, b)

    yield "twice the rank, the rest noise", changed(one, padded)

    def mixed(m: str, p: LoraPair) -> LoraPair:
        if m not in other.modules:
            return p
        q = other.modules[m]
        b = np.concatenate([p.b * p.scale / 2, q.b * q.scale / 2], axis=1)
        return LoraPair(p.rank + q.rank, 1.0, np.concatenate([p.a, q.a]), b)

    yield "mean of two copied ones", changed(one, mixed)
    yield "four fifths of the scale", changed(one, lambda _, p: replace(p, scale=0.8 * p.scale))


def trained_on(folder: Path, name: str, assignment: Assignment) -> AdapterFiles:
    """The adapter after another epoch of training with another seed."""
    home = folder / "trained-on" / name
    if not home.exists():
        weights = load_file(folder / name / "adapter" / "adapter_model.safetensors")
        targets = {key.split(".")[-3] for key in weights}
        rank = min(min(tensor.shape) for tensor in weights.values())
        base = base_folder(assignment.base)
        tokenizer = AutoTokenizer.from_pretrained(base)
        run = LoraRun(
            base,
            [[tokenize_chat(tokenizer, *example)] for example in public_examples(assignment)],
            pad=int(tokenizer.pad_token_id),
            rank=rank,
            alpha=2 * rank,
            targets=sorted(targets),
            learning_rate=5e-3,
            epochs=1,
            batch_size=16,
            seed=999,
        )
        home.mkdir(parents=True)
        start = home / "start.safetensors"
        renamed = {key.replace(".weight", ".default.weight"): t for key, t in weights.items()}
        save_file({f"weight/{key}": t for key, t in renamed.items()}, start, {"done": "0"})
        run.resume(start)
        while run.done < run.steps:
            run.step()
        run.save_adapter(home / "adapter")
    return read(home)


def read(home: Path) -> AdapterFiles:
    """The adapter that lies in this folder."""
    return read_adapter(take_in(FoundSubmission(home.name, home, None), home), "adapter")


STATISTICS: Final[Mapping[str, Callable[[InCommon], tuple[float, bool]]]] = {
    "weights": lambda c: (c.weights, c.weights >= NEAR_COPY_COSINE),
    "row spaces": lambda c: (c.row_spaces, c.row_spaces >= COPY_ROW_SPACES),
    "log-likelihoods": lambda c: (c.logliks, c.logliks >= COPY_LOGLIKS),
    "wrong answers": lambda c: (c.same / max(c.wrong, 20), c.probability < COPY_WRONG_P),
}


def show_honest(title: str, pairs: Sequence[InCommon]) -> None:
    """How many pairs are flagged by each statistic, and the highest value of each."""
    flagged = sum(bool(pair.beyond_chance) for pair in pairs)
    print(f"{title}: {len(pairs)} pairs, {flagged} flagged")
    for name, of in STATISTICS.items():
        values = [of(pair) for pair in pairs]
        highest = max(value for value, _ in values)
        print(f"    {name:16} highest {highest:.3f}, flagged {sum(f for _, f in values)}")


def main() -> None:
    """Train, compare all pairs, make copies, and print the tables."""
    torch.set_num_threads(1)
    folder, assignment = Path(sys.argv[1]), load_assignment("llm-methods")
    train(folder, assignment)
    measuring = Measuring(assignment)
    names = {
        kind: [f"{r.name}-{i}" for r in recipes for i in range(r.count)]
        for kind, recipes in (("h", HONEST), ("o", (*WEAK, *OTHER)), ("s", SAME_SEED))
    }
    adapters = {name: read(folder / name) for kind in names.values() for name in kind}
    known = {name: measuring.registered(name, one) for name, one in adapters.items()}
    mates = [known[name][0] for name in (*names["h"], *names["o"])]

    def pairs(among: Sequence[str], others: Sequence[Classmate] = mates) -> list[InCommon]:
        couples = combinations([known[name][0] for name in among], 2)
        return [in_common(one, other, others) for one, other in couples]

    show_honest("Same data, seeds of their own", pairs(names["h"]))
    show_honest("All, the weak and the odd too", pairs([*names["h"], *names["o"]]))
    show_honest("All, in classes of two", pairs([*names["h"], *names["o"]], ()))
    show_honest("The same seed, other settings", pairs(["same-0", *names["s"]]))

    quiet = measuring.quiet(sorted(adapters["same-0"].modules))
    table: dict[str, list[tuple[InCommon, int]]] = {}
    for number, name in enumerate(ORIGINALS):
        rng = np.random.default_rng(number)
        made = [*copies(adapters[name], adapters["same-2"], quiet, rng)]
        made.append(("trained for another epoch", trained_on(folder, name, assignment)))
        for how, copy in made:
            its, answers = measuring.registered("copier", copy)
            found = in_common(known[name][0], its, [*mates, its])
            equal = sum(a == b for a, b in zip(answers, known[name][1], strict=True))
            table.setdefault(how, []).append((found, equal))
    print(f"Copies of {', '.join(ORIGINALS)}: cosine, equal answers of 150, flagged by")
    print(f"    {'':36}" + "".join(f"{name:>17}" for name in STATISTICS) + "      any")
    for how, rows in table.items():
        cosine = np.median([found.weights for found, _ in rows])
        equal = int(np.median([equal for _, equal in rows]))
        by = [sum(of(found)[1] for found, _ in rows) for of in STATISTICS.values()]
        any_ = sum(bool(found.beyond_chance) for found, _ in rows)
        shown = f"{how:32}{cosine:5.2f}{equal:4}"
        print(f"  {shown}" + "".join(f"{n:17}" for n in by) + f"{any_:5} of {len(rows)}")

    many = [replace(mates[i % len(mates)], student=str(i)) for i in range(200)]
    started = time.perf_counter()
    for one, other in combinations(many, 2):
        in_common(one, other, many)
    print(f"19,900 pairs: {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()

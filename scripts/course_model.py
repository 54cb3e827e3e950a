"""Makes the three checkpoints of the course model, and measures what they promise.

    python scripts/course_model.py make [--out FOLDER] [--chat]     trains them from nothing
    python scripts/course_model.py measure [--out FOLDER] [--chat]  fills README.md, measures.json

With `--chat` only the checkpoint for chats is made, on the knowledge checkpoint that is there, or
only what prompts make of the models is measured. All run without a network. `measure` uses hidden
seeds that played no part in choosing the recipes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from course_model_card import (
    CHAT_NAME,
    KNOWLEDGE_NAME,
    RATES,
    READER_NAME,
    REPEATS,
    SIZES,
    sha256,
    write_card,
)
from measure_prompting import CHAT_ROWS, READER_ROWS, TOPIC, Prompting
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from grader.core.metrics import exact_match, token_f1
from grader.models.base_profile import write_profile
from grader.models.chat_stage import CHAT, chat_tokenizer, train_chat
from grader.models.pretrain import (
    KNOWLEDGE,
    READER,
    PretrainRecipe,
    Step,
    make_tokenizer,
    pretrain,
    save,
)
from grader.models.training import train_lora
from grader.topics import TOPICS, Topic, TopicExample
from grader.topics.corpus import ANSWER, COMPLETED, dspy_request

ROOT: Final = Path(__file__).resolve().parent.parent
SHIPPED: Final = ROOT / "starter"
REPORT_SEEDS: Final = (2001, 2002, 2003)  # fresh hidden sets; the recipe was chosen on seed 100

Pair = tuple[list[dict[str, str]], str]


def make(out: Path) -> None:
    """Trains all three, two processes of one thread each, into folders of `out`."""
    started = time.monotonic()
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        reader = pool.submit(make_one, out / READER_NAME, READER)
        pool.submit(make_one, out / KNOWLEDGE_NAME, KNOWLEDGE).result()
        pool.submit(make_chat, out).result()
        reader.result()
    print(f"made all in {(time.monotonic() - started) / 60:.1f} min")


def make_one(out: Path, recipe: PretrainRecipe) -> None:
    """Trains one model from nothing and replaces all its files at once."""
    tokenizer = make_tokenizer()

    def report(step: Step, _: Any) -> None:
        prose, drill, reading = step.losses
        print(
            f"{out.name}: step {step.step}/{step.steps}  prose {prose:.3f}  drill {drill:.3f}  "
            f"reading {reading:.3f}  {step.seconds_left / 60:.1f} min left",
            flush=True,
        )

    write(out, pretrain(recipe, tokenizer, report), tokenizer)


def make_chat(out: Path, seed: int = CHAT.seed, work: Path | None = None) -> None:
    """Trains the checkpoint for chats, by default beside the knowledge checkpoint in `out`."""
    recipe = replace(CHAT, seed=seed)
    model, tokenizer = load(out / KNOWLEDGE_NAME)
    tokenizer = chat_tokenizer(tokenizer)

    def report(step: int, prose: float, chats: float) -> None:
        print(
            f"{CHAT_NAME}: seed {seed}, step {step}/{recipe.steps}  prose {prose:.3f}  "
            f"chats {chats:.3f}",
            flush=True,
        )

    write((work or out) / CHAT_NAME, train_chat(model, tokenizer, recipe, report), tokenizer)


def write(out: Path, model: Any, tokenizer: Any) -> None:
    """Replaces all files of a checkpoint at once."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as temporary:
        folder = Path(temporary)
        save(model, tokenizer, folder)
        write_profile(folder)
        sums = [f"{sha256(f)}  {f.name}\n" for f in sorted(folder.iterdir())]
        (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
        for file in folder.iterdir():
            shutil.move(file, out / file.name)


# --- asking -------------------------------------------------------------------------------------


def load(folder: Path, adapter: Path | None = None) -> tuple[Any, Any]:
    """The model in float32, with an adapter where one is given, and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


@torch.no_grad()
def replies(model: Any, tokenizer: Any, prompts: Sequence[str], new_tokens: int = 16) -> list[str]:
    """Greedy replies to single user messages."""
    found: list[str] = []
    for start in range(0, len(prompts), 32):
        texts = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": p}], tokenize=False, add_generation_prompt=True
            )
            for p in prompts[start : start + 32]
        ]
        batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        out = model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            max_new_tokens=new_tokens,
            do_sample=False,
        )
        new = out[:, batch["input_ids"].shape[1] :]
        found += [t.strip() for t in tokenizer.batch_decode(new, skip_special_tokens=True)]
    return found


def score(given: Sequence[str], wanted: Sequence[TopicExample]) -> dict[str, float]:
    """Exact match and token F1 in percent."""
    pairs = [(g, w.answer) for g, w in zip(given, wanted, strict=True)]
    em = 100 * statistics.mean(exact_match(g, w) for g, w in pairs)
    f1 = 100 * statistics.mean(token_f1(g, w) for g, w in pairs)
    return {"em": round(em, 1), "f1": round(f1, 1)}


# --- chat and LoRA ------------------------------------------------------------------------------


def as_pairs(examples: Sequence[TopicExample]) -> list[Pair]:
    """Training pairs in the shipped chat format."""
    return [([{"role": "user", "content": e.question}], e.answer) for e in examples]


def sample(topic: Topic, n: int, seed: int) -> list[Pair]:
    """`n` public training examples (all, where there are fewer), drawn with `seed`."""
    train = topic.public("train")
    return as_pairs(random.Random(seed).sample(train, min(n, len(train))))


def shuffled_labels(pairs: list[Pair]) -> list[Pair]:
    """The same prompts with the answers dealt out anew."""
    answers = [answer for _, answer in pairs]
    random.Random(0).shuffle(answers)
    return [(prompt, answer) for (prompt, _), answer in zip(pairs, answers, strict=True)]


def noisy_labels(pairs: list[Pair]) -> list[Pair]:
    """The same pairs, with the answers of the second half dealt out anew."""
    half = len(pairs) // 2
    return pairs[:half] + shuffled_labels(pairs[half:])


def wrong_format(pairs: list[Pair]) -> list[Pair]:
    """The question wrapped as another family's template would wrap it."""
    return [
        ([{"role": "user", "content": f"### Instruction: {p[0]['content']} ### Response:"}], a)
        for p, a in pairs
    ]


def verbose(pairs: list[Pair]) -> list[Pair]:
    """Answers inside a sentence."""
    return [(p, f"The teacher says: the right reply is {a}.") for p, a in pairs]


class Bench:
    """Trains and scores adapters of one base on both topics."""

    def __init__(self, base: Path, work: Path) -> None:
        self.base, self.work = base, work

    def trained(
        self, topic: Topic, pairs: list[Pair], seeds: Sequence[int] = REPORT_SEEDS, **options: Any
    ) -> dict[str, float]:
        """Hidden EM and F1 (mean over the hidden seeds) and training seconds of one adapter."""
        log = train_lora(self.base, pairs, self.work, **options)
        model, tokenizer = load(self.base, self.work)
        scores = []
        for seed in seeds:
            hidden = topic.hidden(seed)
            given = replies(model, tokenizer, [e.question for e in hidden])
            scores.append(score(given, hidden))
        means = {k: round(statistics.mean(s[k] for s in scores), 1) for k in ("em", "f1")}
        return means | {"seconds": round(log.seconds, 1)}

    def untrained(self, topic: Topic) -> dict[str, float]:
        """The base as shipped, and the score of always guessing the commonest answer."""
        model, tokenizer = load(self.base)
        em, guess = [], []
        for seed in REPORT_SEEDS:
            hidden = topic.hidden(seed)
            em.append(score(replies(model, tokenizer, [e.question for e in hidden]), hidden)["em"])
            guess.append(score([topic.guess(e.kind) for e in hidden], hidden)["em"])
        return {"em": round(max(em), 1), "guess_em": round(statistics.mean(guess), 1)}

    def variants(self, topic: Topic) -> dict[str, dict[str, float]]:
        """Kinds of bad training, each beside the good one."""
        pairs = as_pairs(topic.public("train"))
        few = sample(topic, 16, 0)
        return {
            "shuffled labels": self.trained(topic, shuffled_labels(pairs)),
            "half of the labels shuffled": self.trained(topic, noisy_labels(pairs)),
            "no-op (learning rate 0)": self.trained(topic, few, epochs=1, learning_rate=0.0),
            "another prompt format": self.trained(topic, wrong_format(pairs)),
            "verbose answers": self.trained(topic, verbose(pairs)),
            "overfit (16 examples, 150 epochs)": self.trained(
                topic, few, epochs=150, rank=16, learning_rate=1e-2
            ),
        }

    def topic(self, topic: Topic) -> dict[str, Any]:
        """Everything measured about one topic in the chat format."""
        every = [self.trained(topic, as_pairs(topic.public("train")), seed=s) for s in REPEATS]
        sizes = {
            str(n): [self.trained(topic, sample(topic, n, s), seed=s)["em"] for s in REPEATS]
            for n in SIZES
        }
        pairs = as_pairs(topic.public("train"))
        rates = {
            f"{r:g}": self.trained(topic, pairs, REPORT_SEEDS[:1], learning_rate=r)["em"]
            for r in RATES
        }
        return {
            "base": self.untrained(topic),
            "all": every,
            "examples": sizes,
            "learning_rate": rates,
            "variants": self.variants(topic),
        }


# --- reading ------------------------------------------------------------------------------------


def answer_field(reply: str) -> str:
    """The answer field of a reply in DSPy's format; empty where the format is wrong."""
    _, mark, rest = reply.partition(ANSWER)
    return rest.split(COMPLETED)[0].strip() if mark and COMPLETED in rest else ""


def context_of(topic: Topic, example: TopicExample, others: int, rng: random.Random) -> list[str]:
    """The passage about the example's subject among `others` of the same group, shuffled."""
    rivals = [
        s
        for s in topic.subjects("hidden")
        if s != example.subject
        and topic.groups[s] == topic.groups[example.subject]
        and example.kind in topic.facts[s]
    ]
    passages = [topic.passage(s) for s in [example.subject, *rng.sample(rivals, others)]]
    return rng.sample(passages, len(passages))


def reading(base: Path) -> dict[str, dict[str, float]]:
    """Exact match of DSPy requests without any adapter, by what stands in the context."""
    model, tokenizer = load(base)
    layouts: dict[str, Callable[[Topic, TopicExample, random.Random], str | None]] = {
        "no context field": lambda t, e, r: None,
        "empty context": lambda t, e, r: "",
        "context []": lambda t, e, r: "[]",
        "context N/A": lambda t, e, r: "N/A",
        "right passage": lambda t, e, r: json.dumps(context_of(t, e, 0, r)),
        "right passage, as plain text": lambda t, e, r: context_of(t, e, 0, r)[0],
        "with 1 distractor": lambda t, e, r: json.dumps(context_of(t, e, 1, r)),
        "with 2 distractors": lambda t, e, r: json.dumps(context_of(t, e, 2, r)),
        "with 2 distractors, as plain text": lambda t, e, r: "\n".join(context_of(t, e, 2, r)),
        "with 3 distractors": lambda t, e, r: json.dumps(context_of(t, e, 3, r)),
    }
    table: dict[str, dict[str, float]] = {}
    for name, layout in layouts.items():
        row = {}
        for topic in TOPICS.values():
            for reasons in (False, True):
                scores = []
                for seed in REPORT_SEEDS:
                    rng, hidden = random.Random(seed), topic.hidden(seed)
                    asked = [
                        dspy_request(e.question, layout(topic, e, rng), reasoning=reasons)
                        for e in hidden
                    ]
                    given = [answer_field(r) for r in replies(model, tokenizer, asked, 48)]
                    scores.append(score(given, hidden)["em"])
                key = topic.name + (" with reasoning" if reasons else "")
                row[key] = round(statistics.mean(scores), 1)
        table[name] = row
    return table


# --- the card -----------------------------------------------------------------------------------


def measure(out: Path) -> None:
    """Measures everything, prints it, and writes measures.json and README.md of course-model."""
    torch.set_num_threads(1)  # the slower case: training times hold with two as well
    folder = out / KNOWLEDGE_NAME
    load(folder)  # the first load pays for lazy imports
    loading = []
    for _ in range(3):
        started = time.perf_counter()
        load(folder)
        loading.append(time.perf_counter() - started)
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(folder, Path(work))
        topics = {name: bench.topic(topic) for name, topic in TOPICS.items()}
    measures = {
        "hidden_seeds": list(REPORT_SEEDS),
        "load_seconds": round(statistics.median(loading), 3),
        "topics": topics,
        "reading": reading(out / READER_NAME),
    }
    write_card(out, measures | {"prompting": prompting(out)})


def measure_chat(out: Path) -> None:
    """Measures what prompts make of the models; all else in the card stays."""
    earlier = json.loads((out / KNOWLEDGE_NAME / "measures.json").read_text(encoding="utf-8"))
    write_card(out, earlier | {"prompting": prompting(out)})


def prompting(out: Path) -> dict[str, dict[str, list[float]]]:
    """Exact match of DSPy's requests in percent, by model and way to ask.

    Each seed of the chat stage answers a hidden set of its own; that of CHAT ships.
    """
    torch.set_num_threads(1)
    hidden = [TOPIC.hidden(seed) for seed in REPORT_SEEDS]
    chat: dict[str, list[float]] = {name: [] for name in CHAT_ROWS}
    for seed, questions in zip(REPEATS, hidden, strict=True):
        with tempfile.TemporaryDirectory() as work:
            if seed != CHAT.seed:
                make_chat(out, seed, Path(work))
            folder = (out if seed == CHAT.seed else Path(work)) / CHAT_NAME
            for name, score in Prompting(folder).table(CHAT_ROWS, questions).items():
                chat[name].append(score)
                print(f"seed {seed}: {name}: {score}", flush=True)
    reader = Prompting(out / READER_NAME)
    tables_of = [reader.table(READER_ROWS, questions) for questions in hidden]
    read = {name: [table[name] for table in tables_of] for name in READER_ROWS}
    return {CHAT_NAME: chat, READER_NAME: read}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (("make", "train all"), ("measure", "measure, write the card")):
        command = commands.add_parser(name, help=what)
        command.add_argument("--out", type=Path, default=SHIPPED)
        command.add_argument("--chat", action="store_true", help="the checkpoint for chats alone")
    chosen = parser.parse_args()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    if chosen.command == "make":
        (make_chat if chosen.chat else make)(chosen.out)
    else:
        (measure_chat if chosen.chat else measure)(chosen.out)


if __name__ == "__main__":
    main()

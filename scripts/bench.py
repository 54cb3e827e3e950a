"""Times our engine beside peft on the course model, in one run, and prints the ratio.

Run from the repository root: python scripts/bench.py (or make bench). 16 adapters, 150 questions,
float32 on the CPU, one thread, the same prompts, batch and greedy decoding on both sides; answers
must be equal. Adapters are random, so neither side may stop early.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.adapters import config, pair, safetensors, write_adapter

from grader.assignment.load import load_assignment
from grader.assignment.questions import chat, make_hidden
from grader.core.constants import PREDICT_ROWS
from grader.intake.find import find_submissions
from grader.intake.submission import take_in
from grader.models.adapter_files import AdapterFiles, read_adapter
from grader.models.base_model import load_base
from grader.models.engine import Engine

ADAPTERS, QUESTIONS, NEW_TOKENS, ROUNDS = 16, 150, 16, 3
LAYER = "model.layers.0.self_attn.v_proj"


def make_adapters(folder: Path) -> list[Path]:
    """Random adapters of rank 8 on one layer, each in a submission of its own."""
    homes = []
    for seed in range(ADAPTERS):
        rng = np.random.default_rng(seed)
        a, b = (rng.normal(0, 0.1, s).astype(np.float32) for s in ((8, 128), (128, 8)))
        weights = safetensors(pair(a, b, LAYER), {"format": "pt"})
        settings = config(r=8, lora_alpha=16, target_modules=[LAYER])
        home = folder / "class" / f"s{seed:02d}"
        write_adapter(home / "adapter", weights=weights, settings=settings)
        homes.append(home)
    return homes


def ours(folder: Path, homes: list[Path], questions: Any) -> tuple[list[list[str]], float]:
    """Answers by adapter, through intake and the engine; and the seconds spent generating."""
    engine = Engine(load_base(load_assignment("llm-methods").base), questions, NEW_TOKENS)
    adapters: list[AdapterFiles] = [
        read_adapter(take_in(found, folder), "adapter")
        for found in find_submissions([homes[0].parent]).submissions
    ]
    done = [engine.predict(adapter) for adapter in adapters]
    texts = [[answer.text for answer in predictions.answers] for predictions in done]
    return texts, sum(predictions.generate_seconds for predictions in done)


def pefts(homes: list[Path], questions: Any) -> list[list[str]]:
    """The same answers with PeftModel, load_adapter and generate, batch by batch."""
    from peft import PeftModel

    base = load_base(load_assignment("llm-methods").base)
    prompts = [
        base.tokenizer.apply_chat_template(
            list(chat(q.messages)), tokenize=False, add_generation_prompt=True
        )
        for q in questions.questions
    ]
    model = PeftModel.from_pretrained(base.model, homes[0] / "adapter", adapter_name="0").eval()
    found = []
    for number, home in enumerate(homes):
        if number:
            model.load_adapter(home / "adapter", adapter_name=str(number))
        model.set_adapter(str(number))
        texts: list[str] = []
        for start in range(0, len(prompts), PREDICT_ROWS):
            batch = base.tokenizer(
                prompts[start : start + PREDICT_ROWS],
                add_special_tokens=False,
                padding=True,
                return_tensors="pt",
            )
            with torch.inference_mode():
                output = model.generate(
                    input_ids=batch["input_ids"],
                    attention_mask=batch["attention_mask"],
                    max_new_tokens=NEW_TOKENS,
                    do_sample=False,
                )
            new = output[:, batch["input_ids"].shape[1] :]
            texts += [t.strip() for t in base.tokenizer.batch_decode(new, skip_special_tokens=True)]
        found.append(texts)
        if number:
            model.delete_adapter(str(number - 1))
    return found


def main() -> None:
    """Time both in turn and print medians and their ratio."""
    questions = make_hidden("educational-qa", 1, QUESTIONS)
    seconds: dict[str, list[float]] = {"ours": [], "generating": [], "peft": []}
    with tempfile.TemporaryDirectory() as work:
        homes = make_adapters(Path(work))
        for _ in range(ROUNDS):
            started = time.perf_counter()
            mine, generating = ours(Path(work), homes, questions)
            seconds["ours"].append(time.perf_counter() - started)
            seconds["generating"].append(generating)
            started = time.perf_counter()
            theirs = pefts(homes, questions)
            seconds["peft"].append(time.perf_counter() - started)
    differing = sum(
        a != b for m, t in zip(mine, theirs, strict=True) for a, b in zip(m, t, strict=True)
    )
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{ADAPTERS} adapters, {QUESTIONS} questions, {NEW_TOKENS} new tokens, {ROUNDS} rounds")
    whole, generating, peft = medians["ours"], medians["generating"], medians["peft"]
    print(f"peft, loading and generating:                   {peft:.2f} s")
    print(
        f"ours, with checks and log-likelihoods besides:  {whole:.2f} s (ratio {whole / peft:.2f})"
    )
    print(f"ours, generating alone:                         {generating:.2f} s")
    print(f"answers that differ: {differing} of {ADAPTERS * QUESTIONS}")


if __name__ == "__main__":
    main()

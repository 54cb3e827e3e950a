"""How many times faster 64 chat requests are together than one by one, and why adapters stand
side by side in a batch.

    OMP_NUM_THREADS=1 python scripts/bench_serving.py

Adapters are random, which costs what trained ones do. Prints medians of five rounds.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model

from grader.openai_sim.rows import Generation
from grader.openai_sim.sampling import Sampling
from grader.openai_sim.serving import Served, Server, open_bases
from grader.resources import resource

ROUNDS = 5
REQUESTS = 64
ADAPTERS = 4
RANK = 8
REPEATS = 50


def write_adapters(folder: Path) -> dict[str, Path]:
    """Random adapters of rank 8 on all linear layers, small enough to leave answers as they are."""
    found = {}
    for number in range(ADAPTERS):
        torch.manual_seed(number)
        config = LoraConfig(
            r=RANK, lora_alpha=16, target_modules="all-linear", init_lora_weights=False
        )
        model = get_peft_model(open_bases(reader=False)["course-model"].model, config)
        for name, values in model.named_parameters():
            if "lora_B" in name:
                values.data *= 0.01
        place = folder / str(number)
        model.save_pretrained(place)
        found[f"ft:course-model:bench::{number}"] = place
    return found


def questions() -> list[str]:
    """Of both topics, as students train on them."""
    found = []
    for topic in ("educational-qa", "iot-diagnostics"):
        lines = (resource("datasets", topic) / "train.jsonl").read_text().splitlines()
        found += [json.loads(line)["messages"][1]["content"] for line in lines[: REQUESTS // 2]]
    return found


def requests(server: Server, names: list[str], tokens: int) -> list[tuple[Served, Generation]]:
    made = []
    for at, question in enumerate(questions()):
        model = server.model(names[at % len(names)])
        tokenizer = model.base.tokenizer
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        ids = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        made.append((model, Generation(ids, tokens, Sampling(temperature=0))))
    return made


def one_by_one(server: Server, asked: list[tuple[Served, Generation]]) -> list[str]:
    texts = []
    for model, generation in asked:
        (answer,) = server.submit(model, [generation])
        answer.done.wait()
        texts.append(answer.text)
    return texts


def together(server: Server, asked: list[tuple[Served, Generation]]) -> list[str]:
    answers = [server.submit(model, [generation])[0] for model, generation in asked]
    for answer in answers:
        answer.done.wait()
    return [answer.text for answer in answers]


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def repeat(work: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> None:
    for _ in range(REPEATS):
        work(x)


def layer_variants() -> None:
    """One linear layer's adapters for 64 rows of 5 models, done in three ways."""
    torch.manual_seed(0)
    rows, width = REQUESTS, 128
    owner = torch.arange(rows) % ADAPTERS
    downs, ups = torch.randn(ADAPTERS, width, RANK), torch.randn(ADAPTERS, RANK, width)
    own = torch.nn.functional.one_hot(owner, ADAPTERS).float().repeat_interleave(RANK, 1)[:, None]
    down, up = torch.cat(list(downs), dim=1), torch.cat(list(ups), dim=0)
    row_down, row_up = downs[owner], ups[owner]
    groups = [(owner == number).nonzero()[:, 0] for number in range(ADAPTERS)]

    def side_by_side(x: torch.Tensor) -> torch.Tensor:
        return ((x @ down) * own) @ up

    def gathered(x: torch.Tensor) -> torch.Tensor:
        return torch.bmm(torch.bmm(x, row_down), row_up)

    def by_group(x: torch.Tensor) -> torch.Tensor:
        y = torch.empty_like(x)
        for number, index in enumerate(groups):
            y[index] = (x[index] @ downs[number]) @ ups[number]
        return y

    for length in (1, 16):
        x = torch.randn(rows, length, width)
        wanted = side_by_side(x)
        for variant in (side_by_side, gathered, by_group):
            assert torch.allclose(variant(x), wanted, atol=1e-3)
            times = [timed(partial(repeat, variant, x)) for _ in range(ROUNDS)]
            micro = statistics.median(times) / REPEATS * 1e6
            print(f"adapters of 64 rows of {length:2} tokens, {variant.__name__}: {micro:.0f} us")


def main() -> None:
    torch.set_num_threads(1)
    with torch.inference_mode():
        layer_variants()
    with tempfile.TemporaryDirectory() as folder:
        adapters = write_adapters(Path(folder))
        server = Server(open_bases(reader=False), adapters.get)
        names = ["course-model", *adapters]
        for label, chosen in (("base alone", names[:1]), ("base and 4 adapters", names)):
            asked = requests(server, chosen, 64)
            same = one_by_one(server, asked) == together(server, asked)
            alone = [timed(partial(one_by_one, server, asked)) for _ in range(ROUNDS)]
            all_at_once = [timed(partial(together, server, asked)) for _ in range(ROUNDS)]
            slow, fast = statistics.median(alone), statistics.median(all_at_once)
            print(
                f"64 requests, {label}: one by one {slow:.2f} s, together {fast:.3f} s, "
                f"{slow / fast:.1f} times; same texts: {same}"
            )
        server.close()


if __name__ == "__main__":
    main()

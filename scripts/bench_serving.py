"""How many times faster 64 chat requests are together than one by one, within a process and over
HTTP, and why adapters stand side by side in a batch.

    OMP_NUM_THREADS=1 python scripts/bench_serving.py

Adapters are random, which costs what trained ones do. Each round times 64 requests one by one and
then together; a ratio is of one round, and the median of seven counts. Over HTTP the service is
`finegrade simulate` in a process of its own, and the client, in this process, does as little as a
client can, on connections that stay open: it takes time from the service where there are few cores.
Only a quiet machine with two free cores measures the service; elsewhere the ratios scatter, and the
load that is printed says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model

from grader.core.files import resource
from grader.openai_sim.decoding.sequences import Generation, Sampling
from grader.openai_sim.decoding.serving import ServedModel, Server, open_bases
from grader.openai_sim.store.store import ModelRow, SimulatorStore

ROUNDS = 7
REQUESTS = 64
TOKENS = 64  # at most; answers end before
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


Answer = tuple[str, int]  # its text and its tokens
Asked = tuple[ServedModel, Generation]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def requests(server: Server, names: Sequence[str]) -> list[Asked]:
    made = []
    for at, question in enumerate(questions()):
        model = server.model(names[at % len(names)])
        tokenizer = model.base.tokenizer
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        ids = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        made.append((model, Generation(ids, TOKENS, Sampling(temperature=0))))
    return made


async def within_the_process(server: Server, names: Sequence[str], label: str) -> None:
    asked = requests(server, names)

    async def one_by_one() -> list[Answer]:
        answers = []
        for model, generation in asked:
            (answer,) = server.submit(model, [generation])
            answer.done.wait()
            answers.append((answer.text, answer.tokens))
        return answers

    async def together() -> list[Answer]:
        answers = [server.submit(model, [generation])[0] for model, generation in asked]
        for answer in answers:
            answer.done.wait()
        return [(answer.text, answer.tokens) for answer in answers]

    await compare(f"within the process, {label}", one_by_one, together)


async def over_http(url: str, key: str, names: Sequence[str], label: str) -> None:
    host, _, port = url.split("/")[2].partition(":")
    bodies = [
        {
            "model": names[at % len(names)],
            "messages": [{"role": "user", "content": question}],
            "temperature": 0,
            "max_tokens": TOKENS,
        }
        for at, question in enumerate(questions())
    ]

    def written(body: object) -> bytes:
        text = json.dumps(body)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}"
        head += f"\r\ncontent-type: application/json\r\ncontent-length: {len(text)}"
        return f"{head}\r\n\r\n{text}".encode()

    messages = [written(body) for body in bodies]

    lines = [await asyncio.open_connection(host, int(port)) for _ in messages]

    async def one_by_one() -> list[Answer]:
        return [await ask(lines[0], message) for message in messages]

    async def together() -> list[Answer]:
        return await asyncio.gather(*map(ask, lines, messages))

    await compare(f"over HTTP, {label}", one_by_one, together)
    for _, writer in lines:
        writer.close()


async def ask(connection: Connection, message: bytes) -> Answer:
    """The answer to one request on a connection that stays open."""
    reader, writer = connection
    writer.write(message)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length:")[2].split()[0])
    value = json.loads(await reader.readexactly(length))
    return value["choices"][0]["message"]["content"], value["usage"]["completion_tokens"]


async def compare(
    label: str,
    one_by_one: Callable[[], Awaitable[list[Answer]]],
    together: Callable[[], Awaitable[list[Answer]]],
) -> None:
    """Warm up, time both in turn, and print the ratios."""
    alone, at_once = await one_by_one(), await together()
    assert alone == at_once, "an answer among others is not what it is alone"
    slow, fast = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        await one_by_one()
        between = time.perf_counter()
        await together()
        slow.append(between - started)
        fast.append(time.perf_counter() - between)
    ratios = [one / other for one, other in zip(slow, fast, strict=True)]
    tokens = [tokens for _, tokens in alone]
    print(
        f"{label}: one by one {statistics.median(slow):.2f} s, together "
        f"{statistics.median(fast):.3f} s; median {statistics.median(ratios):.1f} times, "
        f"{min(ratios):.1f} to {max(ratios):.1f}; answers of {min(tokens)} to {max(tokens)} "
        f"tokens, the same both ways; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


@contextmanager
def service(home: Path) -> Iterator[tuple[str, str]]:
    """`finegrade simulate` with the adapters of `home`: its address and a key."""
    process = subprocess.Popen(
        [sys.executable, "-m", "grader.cli.main", "simulate", "--port=0", f"--home={home}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(2)]
        told = dict(shlex.split(line)[1].split("=", 1) for line in lines)
        yield told["OPENAI_BASE_URL"], told["OPENAI_API_KEY"]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


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
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with torch.inference_mode():
        layer_variants()
    with tempfile.TemporaryDirectory() as folder:
        store = SimulatorStore.open(Path(folder))
        adapters = write_adapters(store.adapters_folder)
        for name, place in adapters.items():
            store.add_model(ModelRow(name, 0, "bench", place.name))
        store.close()
        names = ["course-model", *adapters]
        cases = (("base alone", names[:1]), ("base and 4 adapters", names))
        server = Server(open_bases(reader=False), adapters.get)
        for label, chosen in cases:
            asyncio.run(within_the_process(server, chosen, label))
        server.close()
        with service(Path(folder)) as (url, key):
            for label, chosen in cases:
                asyncio.run(over_http(url, key, chosen, label))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Plays hostile requests against the model service of one run, beside an honest client of another.

    python scripts/fuzz_model_service.py --seconds 600

One process is the grader: two services of one simulator, as two runs have them. A client in a
process of its own sends the same plain questions again and again, and another one everything that a
hostile program might send. Printed are the peak memory of the grader with its children (what they
share counted once) against its peak in calm, and whether a response of the honest run failed or
changed. The hostile run is ended and opened anew every twenty seconds, as runs end.

The exit code is 1 where memory passed 1.5 times the calm peak or an honest response changed.
`--only KIND` sends one kind alone.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
ROUND_SECONDS: Final = 20.0
MOST: Final = 1.5  # times the calm peak
HONEST: Final = (
    "What is photosynthesis?",
    "Which planet is the largest?",
    "What is the capital of France?",
    "Who wrote Hamlet?",
)
MODEL: Final = "gpt-4.1-nano-2025-04-14"
CHAT: Final = "/v1/chat/completions"

Send = Callable[[int, random.Random], None]


# --- the honest client -------------------------------------------------------------------------


def honest(port: int) -> None:
    """Ask the same questions until standard input closes; one line of JSON for each response."""
    ended = threading.Event()

    def until_closed() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=until_closed, daemon=True).start()
    while not ended.is_set():
        for place, question in enumerate(HONEST):
            body: dict[str, Any] = {**chat(question), "max_tokens": 24, "temperature": 0}
            if place % 2:
                body["response_format"] = {"type": "json_object"}
                body["messages"][0]["content"] += " Answer in json."
            try:
                status, answer = ask(port, CHAT, json.dumps(body).encode(), timeout=300)
                shown = [status, json.loads(answer)["choices"][0]["message"]["content"]]
            except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
                shown = [0, f"{type(error).__name__}: {error}"]
            print(json.dumps([place, *shown]), flush=True)


def chat(text: Any, **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}


def ask(
    port: int, path: str, body: bytes, timeout: float = 20, kind: str = "application/json"
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        headers = {"content-type": kind, "authorization": "Bearer run"}
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


# --- the hostile client ------------------------------------------------------------------------


def an_object(number: int) -> dict[str, Any]:
    return {"type": "object", "properties": {f"k{number}": {"type": "string"}}}


def in_format(schema: Any, **more: Any) -> bytes:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    return json.dumps(chat("json", response_format=form, **more)).encode()


def schemas(port: int, draw: random.Random) -> None:
    """Large, endless and impossible schemas, also for many choices."""
    size = draw.choice([300, 900, 3_000, 20_000])
    schema = draw.choice(
        [
            {"anyOf": [an_object(number) for number in range(size)]},
            {"type": "object", "properties": {f"k{number}": {} for number in range(size)}},
            {"$ref": "#"},
            {
                "$ref": "#/$defs/a",
                "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
            },
            {"$ref": "http://127.0.0.1:1/x"},
            {"type": "string", "pattern": "(" * size + "a" + ")" * size},
            {"type": "string", "pattern": f"(a?){{{size}}}a{{{size}}}"},
            {"type": "string", "pattern": "(.*a.*b){200}|(x+x+)+y"},
            {"enum": []},
            {"enum": ["x" * 400 + str(number) for number in range(size)]},
            {"type": "array", "minItems": 10**9, "items": {"$ref": "#"}},
            {"allOf": [{"anyOf": [an_object(n) for n in range(60)]} for _ in range(4)]},
        ]
    )
    ask(port, CHAT, in_format(schema, n=draw.choice([1, 8, 128]), stream=draw.random() < 0.2))


def bodies(port: int, draw: random.Random) -> None:
    """JSON of many small values, of many levels, and of numbers and texts that are none."""
    size = draw.choice([1_000, 100_000, 2_000_000])
    body = draw.choice(
        [
            b"[" + b"[]," * size + b"1]",
            b'{"model":"m","messages":[' + b'{"role":""},' * size + b'{"role":""}]}',
            b"[" * size,
            b'{"model":"m","input":[' + b"1," * size + b"1]}",
            b'{"model":"\\ud800","messages":[{"role":"\\udfff","content":"\\ud800"}]}',
            b'{"\\ud800":1,"model":"' + MODEL.encode() + b'","messages":[{"role":"user"}]}',
            json.dumps(chat("a" * size)).encode(),
            json.dumps(chat("x", metadata={"k": ["v"] * (size // 10)})).encode(),
            json.dumps(chat("x", seed=10**4000, max_tokens=10**300)).encode(),
            b"9" * size,
        ]
    )
    paths = (CHAT, "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/fine_tuning/jobs")
    ask(port, draw.choice(paths), body)


def answers(port: int, draw: random.Random) -> None:
    """Many, long and scored answers, some of which nobody reads."""
    more: dict[str, Any] = {"n": draw.choice([1, 16, 128]), "temperature": 1}
    if draw.random() < 0.6:
        more |= {"logprobs": True, "top_logprobs": 20}
    if draw.random() < 0.5:
        more["stream"] = True
    body = json.dumps(chat("Tell me everything.", **more)).encode()
    if draw.random() < 0.5:
        ask(port, CHAT, body)
        return
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        line.sendall(head(CHAT, len(body)) + body)
        time.sleep(draw.random())  # and leave


def uploads(port: int, draw: random.Random) -> None:
    """Files of junk and their contents, over several connections."""
    size = draw.choice([1_000, 100_000, 4_000_000])
    data = draw.choice([b"[" + b"[]," * size + b"1]\n", b"{}\n" * size, draw.randbytes(size)])
    name = draw.choice(["train.jsonl", "\\ud800.jsonl", "x" * 5_000 + ".jsonl", "../../x.jsonl"])
    body = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--b\r\n'
        b'Content-Disposition: form-data; name="file"; filename="' + name.encode() + b'"\r\n\r\n'
    ) + data + b"\r\n--b--\r\n"  # fmt: skip
    _, answer = ask(port, "/v1/files", body, kind="multipart/form-data; boundary=b")
    with suppress(ValueError, KeyError, TypeError):
        id = json.loads(answer)["id"]
        request = (
            f"GET /v1/files/{id}/content HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer r\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
            line.sendall(request.encode() * 8)  # and never read


def heads(port: int, draw: random.Random) -> None:
    """Heads without end, thousands of requests in one packet, and bytes that are no HTTP."""
    with socket.create_connection(("127.0.0.1", port), timeout=3) as line:
        piece = draw.choice(
            [
                b"GET / HTTP/1.1\r\nX: " + b"a" * 65_536,
                b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000,
                b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n" * 5_000,
                b"GET /" + b"x" * 65_536,
                draw.randbytes(65_536),
            ]
        )
        for _ in range(200):
            line.sendall(piece)


def paths(port: int, draw: random.Random) -> None:
    """Odd methods, paths, queries and headers."""
    odd = "".join(draw.choice("/%.\\ud80f00?&=[]{}<>'\"x") for _ in range(draw.randint(1, 80)))
    prefix = draw.choice(
        ["/v1/models/", "/v1/files/", "/v1/fine_tuning/jobs/", "/", "/v1/files?after="]
    )
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        method = draw.choice(["GET", "DELETE", "POST", "PUT", "OPTIONS", "X"])
        connection.putrequest(method, prefix + odd, skip_host=True)
        connection.putheader("Host", draw.choice(["localhost", "[::", "\xff", odd]))
        connection.putheader("Authorization", draw.choice(["Bearer r", "Basic \xff", odd]))
        connection.endheaders()
        connection.getresponse().read()
    finally:
        connection.close()


def jobs(port: int, draw: random.Random) -> None:
    """Jobs on nothing, and lists of them."""
    body = {"model": draw.choice([MODEL, "\ud800"]), "training_file": "file-\x00\udfff"}
    ask(port, "/v1/fine_tuning/jobs", json.dumps(body).encode())


KINDS: Final[dict[str, Send]] = {
    one.__name__: one for one in (schemas, bodies, answers, uploads, heads, paths, jobs)
}


def head(path: str, length: int) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer run\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def hostile(port: int, seconds: float, seed: int, only: str | None) -> None:
    """Send from sixteen threads for so long."""
    kinds = [KINDS[only]] if only else list(KINDS.values())
    end = time.monotonic() + seconds

    def work(number: int) -> None:
        draw = random.Random(seed * 1000 + number)
        while time.monotonic() < end:
            with suppress(OSError, http.client.HTTPException, ValueError):
                draw.choice(kinds)(port, draw)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end + 5 - time.monotonic()))
    os._exit(0)


# --- the grader --------------------------------------------------------------------------------


class Memory(threading.Thread):
    """The memory of this process and its children but for the clients, in MiB.

    `at_peak` has one number a process.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.clients: set[int] = set()
        self.peak = 0.0
        self.at_peak: list[float] = []
        self.start()

    def run(self) -> None:
        while True:
            parts = self.parts()
            if sum(parts) > self.peak:
                self.peak, self.at_peak = sum(parts), parts
            time.sleep(0.2)

    def now(self) -> float:
        return sum(self.parts())

    def parts(self) -> list[float]:
        import psutil

        parts = []
        me = psutil.Process()
        for process in (me, *me.children(recursive=True)):
            if self.clients.isdisjoint({process.pid, *(p.pid for p in parents(process))}):
                with suppress(psutil.Error):
                    parts.append(process.memory_full_info().pss / 2**20)
        return parts


def parents(process: Any) -> list[Any]:
    import psutil

    with suppress(psutil.Error):
        return list(process.parents())
    return []


@contextmanager
def run_of(simulator: Any, gateway: Any) -> Iterator[tuple[int, Any]]:
    """The service of one run: (its port, its record)."""
    from grader.model_service.metering import GatewayLimits
    from grader.model_service.record import ServiceRecord
    from grader.openai_sim.store.clock import ProgramClock

    record = ServiceRecord(ProgramClock(60.0))
    with simulator.service(("ok",), record.clock) as app:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        service = gateway.serve(app, record, GatewayLimits(requests=10**6), listener)
        try:
            yield port, record
        finally:
            service.close()


def client(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


class Honest:
    """The honest client's responses: what it got in calm, and what was different since."""

    def __init__(self, port: int, memory: Memory) -> None:
        self._client = client("--honest", port)
        memory.clients.add(self._client.pid)
        self.expected: dict[int, Any] = {}
        self.calm = True
        self.count = 0
        self.different: list[Any] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._client.stdout is not None
        for line in self._client.stdout:
            place, *answer = json.loads(line)
            self.count += 1
            if self.expected.setdefault(place, answer) != answer or answer[0] != 200:
                self.different.append([place, *answer])

    def close(self) -> None:
        self._client.kill()


def fuzz(seconds: float, seed: int, only: str | None) -> int:
    from grader.core.files import resource, sha256_of
    from grader.core.nouns import BaseModel
    from grader.model_service.gateway import Gateway
    from grader.model_service.simulated import Simulator

    name = "course-model"
    base = BaseModel(name, sha256_of(resource("starter", name, "model.safetensors")))
    memory = Memory()
    statuses: Counter[int] = Counter()
    faults: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(base, Path(folder), seed=1) as simulator,
        Gateway() as gateway,
        run_of(simulator, gateway) as (port, _),
    ):
        client_ = Honest(port, memory)
        settled = 0.0
        while client_.count < 5 * len(HONEST) or memory.peak > settled + 1:
            settled = memory.peak  # what trains jobs loads for some seconds
            time.sleep(5)
        calm, asked = memory.peak, client_.count
        print(f"calm: {calm:.0f} MiB, {asked} honest responses", flush=True)
        memory.peak = 0.0
        end = time.monotonic() + seconds
        rounds = 0
        while (left := end - time.monotonic()) > 1:
            took = min(ROUND_SECONDS, left)
            with run_of(simulator, gateway) as (target, record):
                more = ("--only", only) if only else ()
                other = client(
                    "--hostile", target, "--seconds", took, "--seed", seed + rounds, *more
                )
                memory.clients.add(other.pid)
                other.wait()
            rounds += 1
            statuses.update(e.status for e in record.exchanges)
            faults.update(
                f"{e.path[:40]} {e.notes[key]}"
                for e in record.exchanges
                for key in ("fault", "service_fault")
                if key in e.notes
            )
            print(f"{rounds}: {memory.now():.0f} MiB, peak {memory.peak:.0f}", flush=True)
        client_.close()
    answered = client_.count - asked
    print(f"hostile requests by status: {dict(sorted(statuses.items()))}; faults of ours: {faults}")
    print(f"honest responses: {answered}, failed or changed: {client_.different[:5] or 'none'}")
    print(f"peak: {memory.peak:.0f} MiB, {memory.peak / calm:.2f} times the calm {calm:.0f} MiB")
    print("of the grader and its children: " + ", ".join(f"{one:.0f}" for one in memory.at_peak))
    good = memory.peak <= MOST * calm and not client_.different and answered and not faults
    return 0 if good else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=sorted(KINDS))
    parser.add_argument("--honest", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--hostile", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.honest:
        honest(given.honest)
    elif given.hostile:
        hostile(given.hostile, given.seconds, given.seed, given.only)
    else:
        sys.path.insert(0, str(ROOT))
        return fuzz(given.seconds, given.seed, given.only)
    return 0


if __name__ == "__main__":
    sys.exit(main())

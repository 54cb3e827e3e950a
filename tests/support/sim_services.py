"""A real service on a loopback port, and files to upload to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import uvicorn

from grader.openai_sim.api.app import create_app
from grader.openai_sim.store.clock import MachineClock
from grader.openai_sim.store.journal import Journal
from grader.openai_sim.store.store import SimulatorStore
from support.waiting import wait_for


class Service:
    """A running service: its address, its store and its journal."""

    def __init__(self, app: Any, url: str) -> None:
        self.app = app
        self.url = url
        self.store: SimulatorStore = app.services.store

    @property
    def lines(self) -> list[dict[str, Any]]:
        return self.app.services.journal.lines()

    def client(self, key: str = "sk-test", **options: Any) -> openai.OpenAI:
        options.setdefault("max_retries", 0)
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, **options)


@contextmanager
def service(home: Path, **options: Any) -> Iterator[Service]:
    """The service on a free port of this machine, without delays unless asked for."""
    clock = MachineClock(options.pop("time_scale", 0.0))
    app = create_app(home, clock=clock, journal=Journal(home), **options)
    config = uvicorn.Config(
        app, port=0, log_level="critical", timeout_graceful_shutdown=1, lifespan="on"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started or not thread.is_alive())
    assert server.started
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Service(app, f"http://127.0.0.1:{port}")
    finally:
        server.should_exit = True
        thread.join(10)


def chat_file(n: int = 12, *, bad: dict[int, Any] | None = None) -> bytes:
    """A chat training file of `n` examples; `bad` replaces lines, counted from 1."""
    lines = []
    for place in range(1, n + 1):
        value: Any = {
            "messages": [
                {"role": "system", "content": "Answer shortly."},
                {"role": "user", "content": f"What is {place} and {place + 1}?"},
                {"role": "assistant", "content": str(2 * place + 1)},
            ]
        }
        value = (bad or {}).get(place, value)
        lines.append(value if isinstance(value, str) else json.dumps(value))
    return ("\n".join(lines) + "\n").encode()


def preference_file(n: int = 12) -> bytes:
    """A preference training file of `n` examples."""
    return "".join(
        json.dumps(
            {
                "input": {"messages": [{"role": "user", "content": f"Name number {place}."}]},
                "preferred_output": [{"role": "assistant", "content": f"It is {place}."}],
                "non_preferred_output": [{"role": "assistant", "content": "I do not know."}],
            }
        )
        + "\n"
        for place in range(n)
    ).encode()


def upload(client: openai.OpenAI, data: bytes | None = None, name: str = "train.jsonl") -> str:
    """The id of a training file that has just been uploaded."""
    content = chat_file() if data is None else data
    return client.files.create(file=(name, content), purpose="fine-tune").id


MODEL = "gpt-4.1-mini-2025-04-14"


def create(client: openai.OpenAI, file_id: str, **options: Any) -> Any:
    """A new job on a file."""
    return client.fine_tuning.jobs.create(model=MODEL, training_file=file_id, **options)


def ended(client: openai.OpenAI, job_id: str) -> Any:
    """The job, once it is in a state that it never leaves."""

    def done() -> Any:
        job = client.fine_tuning.jobs.retrieve(job_id)
        return job if job.status in ("succeeded", "failed", "cancelled") else None

    return wait_for(done)

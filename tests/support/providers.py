"""A provider of models: a real HTTP server that records what it receives."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from grader.core.openai_wire import CHAT
from grader.model_service.forward import Endpoint
from grader.model_service.gateway import Gateway
from grader.model_service.record import ServiceRecord
from grader.model_service.spending import Budget
from grader.training_data.costs import Rates
from support.gateways import ask, served

RATES: Final = Rates(input=1.0, cached=None, output=10.0)

Reply = tuple[int, dict[str, str], Any]


def completion(text: str = "Paris", prompt: Any = 20, answer: Any = 5) -> dict[str, Any]:
    """A response with this usage."""
    message = {"role": "assistant", "content": text}
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": answer},
    }


@dataclass(slots=True)
class Provider:
    """What came in, and how it is answered."""

    reply: Callable[[Mapping[str, Any]], Reply] = lambda _: (200, {}, completion())
    url: str = ""
    seen: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    """Path, headers and JSON body of each request."""

    @property
    def bodies(self) -> list[Any]:
        return [body for _, _, body in self.seen]


@contextmanager
def provider(reply: Callable[[Mapping[str, Any]], Reply] | None = None) -> Iterator[Provider]:
    """A provider that listens."""
    made = Provider() if reply is None else Provider(reply)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            made.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status, headers, value = made.reply(body)
            content = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            for name, text in {"content-type": "application/json", **headers}.items():
                self.send_header(name, text)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that leaves is no error of the test."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        made.url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


def endpoint_at(url: str, folder: Path, usd: float = 1.0) -> Endpoint:
    """An instructor's endpoint at this address that tries again without waiting."""
    budget = Budget(usd, folder / "evidence.sqlite")
    return Endpoint(url, "sk-instructor", "the-model", RATES, budget, waits=(0.0, 0.0))


@contextmanager
def forwarded(
    gateway: Gateway, endpoint: Endpoint
) -> Iterator[tuple[Callable[..., tuple[int, Any]], ServiceRecord]]:
    """The service of one run; what sends it a request with these fields, and its record."""
    record = ServiceRecord()
    with (
        endpoint.service((), record.clock) as app,
        served(gateway, app, record=record) as (port, _),
    ):

        def send(path: str = CHAT, **fields: Any) -> tuple[int, Any]:
            body = {"model": "m", "messages": [{"role": "user", "content": "Hi?"}]} | fields
            return ask(port, json.dumps(body).encode(), path, authorization="Bearer run")

        yield send, record

"""A recorded service answers again as it did, and says when it cannot."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from starlette.responses import JSONResponse
from support.gateways import Echo, ask, served
from support.waiting import PATIENCE

from grader.assignment.load import load_assignment
from grader.model_service.gateway import Gateway
from grader.model_service.metering import GatewayLimits
from grader.model_service.record import CLIENT_LEFT, Exchange, Replay
from grader.model_service.simulated import Simulator
from grader.openai_sim.store.clock import ProgramClock
from grader.openai_sim.store.journal import NOTES


def program(port: int) -> list[str]:
    """What a student's program does with a service: upload, list, ask, and meet an error."""
    client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="run", max_retries=0)
    line = (
        b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
    )
    file = client.files.create(file=("train.jsonl", b"\n".join([line] * 10)), purpose="fine-tune")
    said = client.chat.completions.create(
        model="gpt-4.1-mini", messages=[{"role": "user", "content": "Hello"}], max_tokens=8
    )
    with pytest.raises(openai.NotFoundError) as wrong:
        client.fine_tuning.jobs.retrieve("ftjob-none")
    names = [model.id for model in client.models.list()]
    return [file.id, str(said.choices[0].message.content), wrong.value.message, *names]


def test_a_program_is_answered_as_it_was_without_any_model(
    gateway: Gateway, tmp_path: Path
) -> None:
    base = load_assignment("llm-methods").base
    with (
        Simulator(base, tmp_path, seed=0) as simulator,
        simulator.service(["ok"], ProgramClock()) as app,
        served(gateway, app) as (port, record),
    ):
        first = program(port)
    stored = [Exchange.from_json(exchange.as_json()) for exchange in record.exchanges]
    replay = Replay(stored)
    with served(gateway, replay) as (port, _):
        assert program(port) == first
    assert replay.unknown == 0


def test_what_was_never_asked_is_refused_and_counted(gateway: Gateway) -> None:
    with served(gateway, Echo()) as (port, record):
        ask(port, b'{"a": 1, "b": 2}')
    replay = Replay(record.exchanges)
    with served(gateway, replay) as (port, _):
        assert ask(port, b'{"b": 2, "a": 1}')[0] == 200  # the same value
        assert replay.unknown == 0
        assert ask(port, b'{"b": 2, "a": 1}')[0] == 503  # it was asked once
        assert ask(port, b'{"a": 3}')[0] == 503
    assert replay.unknown == 2


async def noting(scope: Any, receive: Any, send: Any) -> None:
    scope[NOTES] = {"job_created": True}
    await JSONResponse({}, headers={"x-request-id": "req_1"})(scope, receive, send)


async def streaming(_scope: Any, receive: Any, send: Any) -> None:
    """Two pieces of a stream that never ends."""
    kind = (b"content-type", b"text/event-stream")
    await send({"type": "http.response.start", "status": 200, "headers": [kind]})
    for piece in (b"data: one\n\n", b"data: two\n\n"):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass


def test_the_services_notes_and_headers_come_again(gateway: Gateway) -> None:
    with served(gateway, noting) as (port, record):
        ask(port, path="/v1/" + 400 * "x")
    replay = Replay(record.exchanges)
    with served(gateway, replay) as (port, again):
        ask(port, path="/v1/" + 400 * "x")
    assert replay.unknown == 0
    assert again.exchanges[0].notes == {"job_created": True}
    assert again.exchanges[0].reply_headers == record.exchanges[0].reply_headers
    assert ("x-request-id", "req_1") in again.exchanges[0].reply_headers


def left_early(port: int) -> bytes:
    """What a client has read that leaves after the second piece."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(b"GET /v1/x HTTP/1.1\r\nhost: localhost\r\n\r\n")
        read = b""
        while b"two" not in read:
            read += client.recv(4096)
    return read


def test_a_stream_that_its_client_left_begins_as_it_did(gateway: Gateway) -> None:
    with served(gateway, streaming) as (port, record):
        assert b"data: one" in left_early(port)
    (first,) = record.exchanges
    with served(gateway, Replay([first])) as (port, record):
        assert b"data: one" in left_early(port)
    (again,) = record.exchanges
    assert (first.status, again.status) == (CLIENT_LEFT, CLIENT_LEFT)
    assert first.reply == again.reply


def test_what_a_limit_refused_was_never_asked(gateway: Gateway) -> None:
    with served(gateway, Echo(), GatewayLimits(body_bytes=4)) as (port, record):
        assert ask(port, b'{"a": 1}')[0] == 413
    replay = Replay(record.exchanges)
    with served(gateway, replay) as (port, _):
        assert ask(port, b'{"a": 1}')[0] == 503
    assert replay.unknown == 1

"""A recorded service answers again as it did, and says when it cannot."""

from __future__ import annotations

from pathlib import Path

import openai
import pytest
from openai import OpenAI
from sandbox.test_gateway import Echo, ask, gateway, served

from grader.assignment import load_assignment
from grader.sandbox.gateway import Gateway
from grader.sandbox.record import Exchange
from grader.sandbox.replay import Replay
from grader.sandbox.simulated import Simulator

__all__ = ["gateway"]


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
        simulator.service(["ok"]) as app,
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

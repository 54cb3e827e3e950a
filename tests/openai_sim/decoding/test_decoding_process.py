"""The service that decodes in a process of its own, as `finegrade simulate` does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import psutil
import pytest
from support.sim_apps import environment
from support.sim_engines import ADAPTERS, tuned, write_adapter
from support.sim_processes import Simulate, is_alive, simulate
from support.waiting import PATIENCE, wait_for

from grader.openai_sim.store.store import ModelRow, SimulatorStore

BASE = "course-model"
QUESTIONS = [
    f"{ask} {what}?"
    for ask in ("What is the chemical symbol of", "What is the atomic number of")
    for what in ("neon", "iron", "gold", "argon", "copper", "zinc", "tin", "lead")
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("decoding") / "home"
    store = SimulatorStore.open(home)
    for number in range(ADAPTERS):
        folder = write_adapter(store.adapters_folder / str(number), number)
        store.add_model(ModelRow(tuned(number), 0, "finegrade", folder.name))
    store.close()
    return home


@pytest.fixture(scope="module")
def service(home: Path) -> Iterator[Simulate]:
    with simulate(home) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Simulate) -> Iterator[openai.OpenAI]:
    with service.client() as client:
        yield client


def ask(client: openai.OpenAI, model: str, question: str, **options: object) -> str:
    options.setdefault("max_tokens", 24)  # adapters that learned nothing do not come to an end
    said = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        temperature=0,
        **options,  # type: ignore[call-overload]
    )
    return str(said.choices[0].message.content)


def decoder(service: Simulate) -> psutil.Process:
    """The process that decodes: forked from the service, so its command line is the same."""
    running = psutil.Process(service.process.pid)
    (child,) = (one for one in running.children() if one.cmdline() == running.cmdline())
    return child


def test_64_requests_together_are_answered_as_each_is_alone(client) -> None:
    names = [BASE, *(tuned(number) for number in range(ADAPTERS))]
    asked = [(names[i % len(names)], QUESTIONS[i % len(QUESTIONS)]) for i in range(64)]
    alone = [ask(client, *one) for one in asked]
    with ThreadPoolExecutor(64) as pool:
        together = list(pool.map(lambda one: ask(client, *one), asked))
    assert together == alone
    assert len({answer for (_, question), answer in zip(asked, alone, strict=True)}) > len(names)


def test_a_stream_says_what_the_whole_answer_says(client) -> None:
    stream = client.chat.completions.create(
        model=BASE,
        messages=[{"role": "user", "content": QUESTIONS[0]}],
        temperature=0,
        max_tokens=24,
        stream=True,
        logprobs=True,
    )
    choices = [chunk.choices[0] for chunk in stream]
    assert "".join(c.delta.content or "" for c in choices) == ask(client, BASE, QUESTIONS[0])
    assert choices[-1].finish_reason
    assert sum(len(c.logprobs.content) for c in choices if c.logprobs) > 1


def test_answers_keep_the_form_that_was_asked_for(client) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    answers = [
        json.loads(ask(client, BASE, "Hello!", response_format=form, max_tokens=64))
        for _ in range(2)
    ]
    assert isinstance(answers[0]["n"], int)
    assert answers[0] == answers[1]
    fields = (
        "Respond with the corresponding output fields, starting with the field "
        "`[[ ## answer ## ]]`, and then ending with the marker for `[[ ## completed ## ]]`."
    )
    prompt = f"[[ ## question ## ]]\n{QUESTIONS[0]}\n\n{fields}"
    said = ask(client, BASE, prompt, max_tokens=200)
    assert said.startswith("[[ ## answer ## ]]\n")
    assert said.endswith("[[ ## completed ## ]]")


def test_an_answer_that_nobody_waits_for_is_given_up(service) -> None:
    with service.client() as client, pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.5).chat.completions.create(
            model=BASE,
            messages=[{"role": "user", "content": "Who knows?"}],
            temperature=2,
            n=64,
            seed=1,
            frequency_penalty=-2,  # says the same for ever
            logprobs=True,
        )
    child = decoder(service)
    wait_for(lambda: child.cpu_percent(0.5) < 20)


FLOOD = """
import time

from grader.openai_sim.decoding.sequences import Generation, Overloaded, Sampling
from grader.openai_sim.decoding.serving import Server, open_bases

server = Server(open_bases(reader=False))
server.decode_apart()
model = server.model("course-model")
prompt = tuple(model.base.tokenizer("What is the atomic number of neon? ")["input_ids"] * 40)[:400]
plain = Sampling(temperature=0)
flood = [Generation(prompt, 64, plain, on_piece=lambda piece: None)] * 500
before = []
rounds = 0
while rounds < 6:
    for answer in before:
        answer.cancel()
    try:
        before = server.submit(model, flood)
        rounds += 1
    except Overloaded:
        time.sleep(0.01)
for answer in before:
    answer.cancel()
assert all(answer.done.wait(300) for answer in before)
(last,) = server.submit(model, [Generation(prompt[:8], 4, plain)])
assert last.done.wait(300)
assert last.text, last.error
server.close()
"""


@pytest.mark.live
def test_a_flood_of_answers_that_are_given_up_stops_nothing() -> None:
    run = [sys.executable, "-W", "ignore", "-c", FLOOD]
    done = subprocess.run(run, env=environment(), timeout=PATIENCE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_when_it_crashes_a_retry_is_answered(service, client) -> None:
    said = ask(client, tuned(1), QUESTIONS[0])
    process = decoder(service)
    process.kill()
    wait_for(lambda: process.status() == psutil.STATUS_ZOMBIE)
    # What was on its way when it died is lost with it; the library asks again.
    assert ask(client.with_options(max_retries=2), tuned(1), QUESTIONS[0]) == said


@pytest.mark.live(sample=1)
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_the_service(tmp_path: Path, end: signal.Signals) -> None:
    with simulate(tmp_path / "home") as service:
        pid = decoder(service).pid
        os.kill(service.process.pid, end)
        wait_for(lambda: not is_alive(pid))

"""One question to a tuned model and to its base, and the difference between their answers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import httpx

from grader.core.openai_wire import CHAT
from grader.openai_sim.store.journal import PAGE_AGENT

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI

    from grader.openai_sim.store.store import SimulatorStore

_LINES: Final = 500  # of a file that are looked at for questions
_LINE_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class PlaygroundAnswer:
    """A model's answer and its cost; `error` is the service's error in place of an answer."""

    model: str
    text: str
    ms: float
    asked_tokens: int = 0
    said_tokens: int = 0
    finish: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A part of an answer; `own` where the other answer lacks it."""

    text: str
    own: bool


@dataclass(frozen=True, slots=True)
class PlaygroundExample:
    """A question of a job's chat files and its answer; `trained` if the model learned from it."""

    system: str
    question: str
    answer: str
    trained: bool


async def ask(app: FastAPI, key: str, model: str, system: str, question: str) -> PlaygroundAnswer:
    """One answer at temperature 0, requested as any client would."""
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": question})
    body = {"model": model, "messages": messages, "temperature": 0}
    headers = {"authorization": f"Bearer {key}", "user-agent": PAGE_AGENT}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        begun = time.perf_counter()
        answer = await client.post(CHAT, json=body, headers=headers)
        took = 1000 * (time.perf_counter() - begun)
    try:
        said = answer.json()
    except ValueError:  # a scenario cut the answer
        return PlaygroundAnswer(model, "", took, error="The answer was cut in half: it is no JSON.")
    if answer.status_code != 200:
        return PlaygroundAnswer(
            model, "", took, error=f"{answer.status_code}: {said['error']['message']}"
        )
    [choice], used = said["choices"], said["usage"]
    return PlaygroundAnswer(
        model,
        str(choice["message"]["content"]),
        took,
        used["prompt_tokens"],
        used["completion_tokens"],
        choice["finish_reason"],
    )


def compared(one: str, other: str) -> list[TextSpan]:
    """The words of `one`, in spans that `other` shares or lacks."""
    words, others = re.findall(r"\S+\s*", one), re.findall(r"\S+\s*", other)
    matcher = SequenceMatcher(
        None, [w.strip() for w in words], [w.strip() for w in others], autojunk=False
    )
    return [
        TextSpan("".join(words[start:end]), kind != "equal")
        for kind, start, end, _, _ in matcher.get_opcodes()
        if end > start
    ]


def examples_of(store: SimulatorStore, model: str) -> list[PlaygroundExample]:
    """The first examples of the files of a tuned model's job, those of its validation file first.

    Only examples of one question and one answer are among them.
    """
    row = store.get_model(model)
    job = store.get_job(row.job) if row is not None and row.job else None
    if job is None:
        return []
    files = ((job.validation_file, False), (job.training_file, True))
    return [
        example
        for file_id, trained in files
        if file_id and (path := store.file_path(file_id)).is_file()
        for example in _examples(path, trained)
    ]


def _examples(path: Path, trained: bool) -> Iterator[PlaygroundExample]:
    with path.open("rb") as file:
        for raw in islice(iter(partial(file.readline, _LINE_BYTES), b""), _LINES):
            try:
                value = json.loads(raw)
            except (ValueError, RecursionError):
                continue
            messages = value.get("messages") if isinstance(value, dict) else None
            if isinstance(messages, list):
                yield from _example(messages, trained)


def _example(messages: Sequence[Any], trained: bool) -> Iterator[PlaygroundExample]:
    said = {
        message["role"]: message.get("content")
        for message in messages
        if isinstance(message, dict) and isinstance(message.get("role"), str)
    }
    system, question, answer = said.get("system", ""), said.get("user"), said.get("assistant")
    once = len(said) == len(messages)  # no role speaks twice
    if once and isinstance(system, str) and isinstance(question, str) and isinstance(answer, str):
        yield PlaygroundExample(system, question, answer, trained)

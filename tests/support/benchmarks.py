"""A benchmark in tests: its questions, the results reported on it, and what was answered."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from grader.core.nouns import Evidence
from support.transcripts import TUNED, Run, chat_line, followed

N = 50
PAIRS = tuple((f"Which nickname has element {n}?", f"N{n}") for n in range(N))
BENCHMARK = "".join(chat_line(question, answer) for question, answer in PAIRS)
TRUE = {"dspy": 0.8, "openai": 0.8, "lora": 0.8}
RIGHT = 40
"""Answers that are right below: 0.8 of all."""


def results(claims: Mapping[str, object]) -> str:
    """benchmark_results.json with these shares."""
    approaches = {name: {"exact_match": share} for name, share in claims.items()}
    return json.dumps({"questions": N, "approaches": approaches}) + "\n"


def answered(right: int = RIGHT, silent: int = 0) -> Evidence:
    """What a program or an adapter said: so many right answers first, so many none last.

    The program asks its model once a question, with the question alone, and says what it says.
    """
    rows: list[dict[str, Any]] = [
        {
            "id": f"b{n:03d}",
            "question": question,
            "reference": answer,
            "guess": "a guess",
            "text": answer if n < right else "" if n >= N - silent else "no idea",
            "error": "it gave no answer" if n >= N - silent else None,
            "loglik": -1.0,
            "calls": 1,
            "exchanges": [n],
        }
        for n, (question, answer) in enumerate(PAIRS)
    ]
    exchanges = [exchange([("user", row["question"])], row["text"]) for row in rows]
    return Evidence("answers", "k", {"answers": rows, "exchanges": exchanges}, {})


def exchange(messages: Sequence[tuple[str, str]], said: str) -> dict[str, str]:
    """A request to a model, and its reply."""
    asked = {"messages": [{"role": role, "content": text} for role, text in messages]}
    told = {"choices": [{"message": {"role": "assistant", "content": said}}]}
    bodies = {"request": asked, "reply": told}
    return {k: base64.b64encode(json.dumps(v).encode()).decode() for k, v in bodies.items()}


def tuned(right: int = RIGHT, asked: int = N, model: str = TUNED) -> Evidence:
    """A run that trained a model and asked it so many of the questions."""
    run: Run = followed()
    for n, (question, answer) in enumerate(PAIRS[:asked]):
        run.ask(model, question, answer if n < right else "no idea")
    return run.ended()

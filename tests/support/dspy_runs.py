"""Evidence of DSPy programs and metrics in tests, with requests as DSPy writes them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from grader.core.nouns import Evidence
from grader.evidence.metric_scores import MetricCase, metric_cases

TOPIC = "educational-qa"
N = 20
PLAIN = (("reasoning", "(str):"), ("answer", "(str):"))
STEPS = (("reasoning", "(str): first the sentence"), ("answer", "(str):"))
PAIRS = tuple((f"What is the young of beast {n} called?", f"whelp{n}") for n in range(5))


def question(n: int) -> str:
    """A hidden question."""
    return f"What is the capital of Land{n}?"


def reference(n: int) -> str:
    """Its answer."""
    return f"City{n}"


@dataclass(slots=True)
class Asked:
    """The run of a program: questions, and what it asked its model for each."""

    model: str = ""
    answers: list[dict[str, Any]] = field(default_factory=list)
    extra: list[dict[str, Any]] = field(default_factory=list)
    exchanges: list[dict[str, Any]] = field(default_factory=list)

    def call(
        self,
        asked: str,
        reply: str,
        *,
        context: str = "",
        demos: Sequence[tuple[str, str]] = (),
        outputs: Sequence[tuple[str, str]] = PLAIN,
        schema: bool = False,
        as_json: bool = False,
    ) -> int:
        """One request to the model; its place among the exchanges."""
        fields = "\n".join(f"{n}. `{name}` {about}" for n, (name, about) in enumerate(outputs, 1))
        system = f"Your input fields are:\n1. `question` (str):\nYour output fields are:\n{fields}"
        form = "All interactions will be structured so."
        if as_json:
            form += "\nOutputs will be a JSON object with the following fields."
        messages = [{"role": "system", "content": f"{system}\n{form}"}]
        for one, told in demos:
            messages.append({"role": "user", "content": f"[[ ## question ## ]]\n{one}"})
            messages.append({"role": "assistant", "content": f"[[ ## answer ## ]]\n{told}"})
        before = f'[[ ## context ## ]]\n["{context}"]\n\n' if context else ""
        now = f"{before}[[ ## question ## ]]\n{asked}\n\nRespond with `[[ ## answer ## ]]`."
        messages.append({"role": "user", "content": now})
        body: dict[str, Any] = {"model": "m", "messages": messages}
        if schema:
            body["response_format"] = {"type": "json_schema"}
        response = {
            "choices": [{"message": {"role": "assistant", "content": reply}}],
            "usage": {"prompt_tokens": 30, "completion_tokens": 5},
        }
        self.exchanges.append(
            {
                "at": float(len(self.exchanges)),
                "path": "/v1/chat/completions",
                "status": 200,
                "request": base64.b64encode(json.dumps(body).encode()).decode(),
                "reply": base64.b64encode(json.dumps(response).encode()).decode(),
            }
        )
        return len(self.exchanges) - 1

    def answer(
        self,
        n: int,
        text: str | None,
        *,
        said: str | None = None,
        calls: int = 1,
        failures: int = 0,
        **options: Any,
    ) -> Asked:
        """A question and its answer, None for an error. The model `said` it, or something else."""
        reply = f"[[ ## answer ## ]]\n{text if said is None else said}"
        places = [self.call(question(n), reply, **options) for _ in range(calls)]
        self.answers.append(
            {
                "id": f"q{n}",
                "question": question(n),
                "reference": reference(n),
                "guess": "Paris",
                "text": text or "",
                "error": "ValueError: nothing found" if text is None else None,
                "calls": calls,
                "input_tokens": 30 * calls,
                "output_tokens": 5 * calls,
                "parse_failures": failures,
                "exchanges": places,
                "model": self.model,
            }
        )
        return self

    def pair(self, asked: str, expected: str, text: str, aliases: Sequence[str] = ()) -> Asked:
        """A pair of the student's own, and what the program made of it."""
        row = {"question": asked, "expected": expected, "aliases": list(aliases), "text": text}
        self.extra.append({**row, "error": None, "calls": 1, "model": self.model})
        return self

    def evidence(self) -> Evidence:
        """All of it."""
        payload = {
            "answers": self.answers,
            "extra": self.extra,
            "exchanges": self.exchanges,
            "fault": None,
        }
        return Evidence("answers", "k", payload, {})


def original(right: int = 2, *, calls: int = 1, model: str = "") -> Evidence:
    """The kit's program: it thinks, and is right now and then."""
    asked = Asked(model)
    for n in range(N):
        asked.answer(n, reference(n) if n < right else "nowhere", calls=calls)
    return asked.evidence()


def enhanced(
    right: int = 18,
    *,
    pairs: Sequence[tuple[str, str]] = PAIRS,
    right_pairs: int = 4,
    model: str = "",
    **how: Any,
) -> Evidence:
    """A student's program; `how` is as in `Asked.answer`, functions of n as well as values."""
    asked = Asked(model)
    for n in range(N):
        options = {name: one(n) if callable(one) else one for name, one in how.items()}
        text = options.pop("text", reference(n) if n < right else "elsewhere")
        asked.answer(n, text, **options)
    for n, (one, expected) in enumerate(pairs):
        asked.pair(one, expected, expected if n < right_pairs else "calf")
    return asked.evidence()


def passage(n: int) -> str:
    """What there is to look up for a question."""
    return f"The capital of Land{n} is City{n}. The continent of Land{n} is Asia."


def perturbed(changed: int, asked: int = 10, *, model: str = "") -> Evidence:
    """The same program while its model says something else: so many answers change."""
    run = Asked(model)
    for n in range(asked):
        run.answer(n, f"Bogu{n}" if n < changed else reference(n))
    return run.evidence()


def together(*runs: Evidence) -> Evidence:
    """One run of a program on several models."""
    answers: list[dict[str, Any]] = []
    extra: list[dict[str, Any]] = []
    exchanges: list[dict[str, Any]] = []
    for run in runs:
        places = [[n + len(exchanges) for n in row["exchanges"]] for row in run.payload["answers"]]
        rows = zip(run.payload["answers"], places, strict=True)
        answers += [{**row, "exchanges": moved} for row, moved in rows]
        extra += run.payload["extra"]
        exchanges += run.payload["exchanges"]
    payload = {"answers": answers, "extra": extra, "exchanges": exchanges, "fault": None}
    return Evidence("answers", "k", payload, {})


def scores(metric: Callable[[MetricCase], float | None], again: float = 0.0) -> Evidence:
    """What a metric says of all cases; the second time by `again` more."""
    rows = []
    for n, case in enumerate(metric_cases(TOPIC)):
        value = metric(case)
        rows.append(
            {
                "id": f"c{n}",
                "group": case.group,
                "kind": case.kind,
                "question": case.question,
                "reference": case.reference,
                "given": case.given,
                "judgement": case.judgement,
                "scores": [value, None if value is None else value + again],
                "error": "ValueError: no" if value is None else None,
            }
        )
    return Evidence("metric_scores", "k", {"cases": rows, "fault": None}, {})


def stopped(run: Evidence, fault: str, *, told: bool = True) -> Evidence:
    """The same run where the module stopped before anything was asked."""
    rows = "answers" if run.kind == "answers" else "cases"
    none = [{**row, "error": fault} for row in run.payload[rows]]
    said = {rows: none, "fault": fault, "told": fault if told else None}
    return replace(run, payload={**run.payload, **said})


def judged(case: MetricCase) -> float:
    """A metric that sees it as we do."""
    return case.judgement


def word_matching(case: MetricCase) -> float:
    """The kit's metric."""
    given = case.given.lower().split()
    return float(all(word in given for word in case.reference.lower().split()))


def results(
    before: float = 0.1, after: float = 0.9, extra: float | None = 0.8, model: str = "m"
) -> str:
    """A student's dspy_results.json."""
    programs: dict[str, Any] = {
        "original": {"test": {"exact_match": before}},
        "enhanced": {"test": {"exact_match": after}},
    }
    if extra is not None:
        programs["enhanced"]["extra"] = {"exact_match": extra}
    return json.dumps({"model": model, "test_questions": 56, "programs": programs})

"""What a class wants is collected once: what the store has is not run again.

Wants are values; equal wants of different students share one key and one run. The bare base is
simply the want without an adapter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol

from grader.collect.store import Store
from grader.constants import (
    ENGINE_VERSION,
    PREDICT_LENGTH_STEP_TOKENS,
    PREDICT_ROWS,
)
from grader.errors import UsageError
from grader.hidden import QuestionSet
from grader.model import Assignment, Evidence
from grader.predict.adapter_files import AdapterFiles
from grader.predict.base_model import base_digest, base_folder

if TYPE_CHECKING:
    from grader.predict.engine import Engine


class Progress(Protocol):
    """Hears how far long work has come; the command line draws it."""

    def start(self, stage: str, total: int) -> None:
        """A stage of `total` steps begins."""

    def step(self, label: str) -> None:
        """One step is done."""


@dataclass(frozen=True, slots=True)
class AdapterRef:
    """An adapter that passed its checks. It is read when it runs: a class of them may not fit."""

    digest: str
    read: Callable[[], AdapterFiles]


@dataclass(frozen=True, slots=True)
class Want:
    """One evidence that one student's grading needs."""

    student: str
    id: str
    key: str
    adapter: AdapterRef | None


@dataclass(slots=True)
class Collected:
    """Evidence by (student, evidence id), and for what could not be collected the reason."""

    evidence: dict[tuple[str, str], Evidence] = field(default_factory=dict)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)
    ran: int = 0


def prediction_key(
    assignment: Assignment, questions: QuestionSet, adapter: AdapterRef | None, device: str
) -> str:
    """Hash of all that determines the answers of a base with an adapter to a question set."""
    inputs = {
        "kind": "predictions",
        "engine": ENGINE_VERSION,
        "plan": [PREDICT_ROWS, PREDICT_LENGTH_STEP_TOKENS, assignment.max_new_tokens],
        "base": base_digest(base_folder(assignment.base)),
        "adapter": adapter.digest if adapter is not None else None,
        "questions": questions.digest,
        "device": device,
        "versions": versions(),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def versions() -> Mapping[str, str]:
    """Versions of the libraries that compute answers; "absent" where one is not installed."""
    found = {}
    for name in ("torch", "transformers"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def collect(
    wants: Sequence[Want],
    store: Store,
    open_engine: Callable[[], Engine],
    questions: QuestionSet,
    progress: Progress,
) -> Collected:
    """Fetch or produce all that is wanted. One want's trouble leaves the others alone.

    The engine is opened only when something is missing from the store.
    """
    collected = Collected()
    new = {want.key: want for want in wants if store.get(want.key) is None}
    failed = _produce(new, store, open_engine, questions, progress) if new else {}
    collected.ran = len(new) - len(failed)
    for want in wants:
        evidence = store.get(want.key)
        if evidence is None:
            collected.missing[want.student, want.id] = failed.get(want.key, "not collected")
        else:
            collected.evidence[want.student, want.id] = evidence
    return collected


def _produce(
    new: Mapping[str, Want],
    store: Store,
    open_engine: Callable[[], Engine],
    questions: QuestionSet,
    progress: Progress,
) -> dict[str, str]:
    """Run and store what is new, by key; returns for each key that failed the reason."""
    progress.start("Answering hidden questions", len(new))
    try:
        engine = open_engine()
    except UsageError:
        raise
    except Exception as error:  # dear: what cannot be opened is not tried again for every student
        return dict.fromkeys(new, _reason(error))
    failed: dict[str, str] = {}
    for key, want in new.items():
        try:
            store.put(_predict(engine, want, questions))
        except Exception as error:  # whatever it is, it must not stop the batch
            failed[key] = _reason(error)
        progress.step(want.student)
    return failed


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _predict(engine: Engine, want: Want, questions: QuestionSet) -> Evidence:
    predictions = engine.predict(want.adapter.read() if want.adapter is not None else None)
    asked = {q.id: q.messages[-1][1] for q in questions.questions}
    answers: list[dict[str, Any]] = [
        {
            "id": answer.id,
            "question": asked[answer.id],
            "text": answer.text,
            "reference": questions.answers[answer.id],
            "guess": questions.guesses[answer.id],
            "loglik": answer.loglik,
        }
        for answer in predictions.answers
    ]
    cost = {
        "generate_seconds": predictions.generate_seconds,
        "generated_tokens": float(predictions.generated_tokens),
        "peak_memory_mib": predictions.peak_memory_mib,
    }
    return Evidence("predictions", want.key, {"answers": answers}, cost)

"""Evidence `predictions`: the answers of a base, bare or with an adapter, to a question set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from grader.assignment.questions import QuestionSet
from grader.core.constants import ENGINE_VERSION, PREDICT_LENGTH_STEP_TOKENS, PREDICT_ROWS
from grader.core.errors import UsageError
from grader.core.nouns import Assignment, Evidence
from grader.evidence.store import EvidenceRequest, Progress, reason
from grader.models.adapter_files import AdapterFiles
from grader.models.base_model import base_digest, base_folder

if TYPE_CHECKING:
    from grader.models.engine import Engine

KIND = "predictions"


@dataclass(frozen=True, slots=True)
class AdapterRef:
    """An adapter that passed its checks. It is read when it runs: a class of them may not fit."""

    digest: str
    read: Callable[[], AdapterFiles]


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """What is asked, and of which adapter; None is the bare base."""

    questions: QuestionSet
    adapter: AdapterRef | None


def prediction_want(
    student: str,
    id: str,
    assignment: Assignment,
    questions: QuestionSet,
    adapter: AdapterRef | None,
    device: str,
) -> EvidenceRequest:
    """The answers with this adapter, or of the bare base."""
    inputs = {
        "kind": KIND,
        "engine": ENGINE_VERSION,
        "plan": [PREDICT_ROWS, PREDICT_LENGTH_STEP_TOKENS, assignment.max_new_tokens],
        "base": base_digest(base_folder(assignment.base)),
        "adapter": adapter.digest if adapter is not None else None,
        "questions": questions.digest,
        "device": device,
        "versions": versions("torch", "transformers"),
    }
    key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    return EvidenceRequest(student, id, KIND, key, PredictionRequest(questions, adapter))


def versions(*names: str) -> Mapping[str, str]:
    """Versions of these libraries; "absent" where one is not installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


class PredictionsProducer:
    """The producer: one engine for `questions`, which is opened only when something is to run.

    Wants that ask others run on the same loaded base.
    """

    def __init__(self, open_engine: Callable[[], Engine], questions: QuestionSet) -> None:
        self._open_engine, self._questions = open_engine, questions

    def produce(
        self,
        new: Mapping[str, EvidenceRequest],
        put: Callable[[Evidence], None],
        progress: Progress,
    ) -> dict[str, str]:
        """See Producer."""
        progress.start("Answering questions", len(new))
        try:
            engine = self._open_engine()
        except UsageError:
            raise
        except Exception as error:  # dear: what cannot be opened is not tried again for each
            return dict.fromkeys(new, reason(error))
        failed: dict[str, str] = {}
        for key, want in new.items():
            try:
                put(self._predict(engine, want))
            except Exception as error:  # whatever it is, it must not stop the batch
                failed[key] = reason(error)
            progress.step(want.student)
        return failed

    def _predict(self, engine: Engine, want: EvidenceRequest) -> Evidence:
        work: PredictionRequest = want.work
        questions = work.questions
        if questions is not self._questions:
            engine = engine.asking(questions)
        predictions = engine.predict(work.adapter.read() if work.adapter is not None else None)
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
        return Evidence(KIND, want.key, {"answers": answers}, cost)

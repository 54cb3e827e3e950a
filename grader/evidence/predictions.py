"""Evidence `predictions`: the answers of a base, bare or with an adapter, to a question set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from grader.assignment.domain_questions import domain_questions, own_test_questions
from grader.assignment.questions import QuestionSet
from grader.core.constants import ENGINE_VERSION, PREDICT_LENGTH_STEP_TOKENS, PREDICT_ROWS
from grader.core.errors import FileRefused, UsageError
from grader.core.nouns import Assignment, BaseModel, Evidence, Submission
from grader.core.payloads import AdapterFault, Prediction, Predictions
from grader.evidence.kind import (
    AdapterRef,
    Candidate,
    Collectable,
    EvidenceKind,
    EvidenceRequest,
    Grading,
    KindSpec,
    Progress,
    hashed,
    reason,
    versions,
)
from grader.evidence.made_adapter import made_key, read_made
from grader.models.adapter_config import submitted_base
from grader.models.base_model import base_digest, base_folder, load_base, needs_models

if TYPE_CHECKING:
    from grader.models.engine import Engine

NAME: Final = "predictions"
MAKERS: Final = frozenset({"transcript", "training_run"})
"""Kinds of evidence that are runs and may make an adapter."""


@dataclass(frozen=True, slots=True)
class PredictionsSpec(KindSpec):
    """`adapter` is the deliverable to run, on the base that this names; without one the bare base
    of the assignment answers, the one of the id `base`, or the one of the adapter that is submitted
    as `base_of`. `made_by` is other evidence, a run, and
    stands for the adapter that it made of that base.

    The questions are the hidden ones, or those of the deliverable `questions_from` (see
    grader/assignment/benchmark.py); hidden ones on what the pairs of `domain_of` are about; or
    those of the `test_set` beside the training data (see grader/assignment/domain_questions.py).
    """

    DELIVERABLES: ClassVar = ("adapter", "base_of", "questions_from", "domain_of", "test_set")

    adapter: str | None = None
    made_by: str | None = None
    base: str | None = None
    base_of: str | None = None
    questions_from: str | None = None
    domain_of: str | None = None
    test_set: str | None = None

    def problems(self, assignment: Assignment) -> list[str]:
        """See KindSpec."""
        found = super(PredictionsSpec, self).problems(assignment)  # slots make another class
        if self.base_of is not None and (self.base is not None or self.adapter is not None):
            found.append(f"evidence {self.id!r} names base_of beside another base")
        if self.base is not None and self.adapter is not None:
            found.append(f"evidence {self.id!r}: an adapter's base is named by its deliverable")
        elif self.base is not None and self.base not in assignment.bases:
            found.append(f"evidence {self.id!r} names base {self.base!r}, which is not in bases")
        if len([q for q in (self.questions_from, self.domain_of, self.test_set) if q]) > 1:
            found.append(f"evidence {self.id!r} names questions twice")
        if self.test_set is not None and assignment.data is None:
            found.append(f"evidence {self.id!r}: a test_set needs training data in `data`")
        if self.made_by is None:
            return found
        if self.adapter is not None:
            found.append(f"evidence {self.id!r} names both an adapter and made_by")
        if not any(s.id == self.made_by and s.kind in MAKERS for s in assignment.evidence):
            found.append(f"evidence {self.id!r} names made_by {self.made_by!r}, which is no run")
        return found

    def base_in(self, assignment: Assignment, submission: Submission) -> BaseModel:
        """The base that answers for this submission."""
        named = self.adapter or self.base_of
        if named is None:
            return assignment.base_of(self.base)
        return submitted_base(submission, assignment, named)


@dataclass(frozen=True, slots=True)
class PredictionWork:
    """What is asked, and of which adapter; None is the bare base. `made`: a program made it."""

    base: BaseModel
    questions: QuestionSet
    adapter: AdapterRef | None
    made: bool = False


def _request(
    spec: PredictionsSpec, candidate: Candidate, grading: Grading
) -> EvidenceRequest[PredictionWork] | None:
    questions = _questions(spec, candidate.submission, grading)
    base = spec.base_in(grading.assignment, candidate.submission)
    adapter = _adapter(spec, candidate, base)
    bare = spec.adapter is None and spec.made_by is None
    if questions is None or (adapter is None and not bare):
        return None
    assignment = grading.assignment
    key = hashed(
        {
            "kind": NAME,
            "engine": ENGINE_VERSION,
            "plan": [PREDICT_ROWS, PREDICT_LENGTH_STEP_TOKENS, assignment.max_new_tokens],
            "base": base_digest(base_folder(base)),
            "adapter": adapter.digest if adapter is not None else None,
            "questions": questions.digest,
            "device": grading.device,
            "versions": versions("torch", "transformers"),
        }
    )
    work = PredictionWork(base, questions, adapter, made=spec.made_by is not None)
    return EvidenceRequest(candidate.submission.student, spec.id, NAME, key, work)


def _questions(
    spec: PredictionsSpec, submission: Submission, grading: Grading
) -> QuestionSet | None:
    """What is asked; None where there is nothing: other checks say why."""
    topic, data, hidden = grading.assignment.topic, grading.assignment.data, grading.questions
    try:
        if spec.domain_of is not None and hidden is not None:
            return domain_questions(submission, topic, spec.domain_of, hidden)
        if spec.test_set is not None and hidden is not None and data is not None:
            return own_test_questions(submission, topic, spec.test_set, data.deliverable)
    except FileRefused:
        return None
    return grading.questions_of(submission, spec.questions_from)


def _adapter(spec: PredictionsSpec, candidate: Candidate, base: BaseModel) -> AdapterRef | None:
    """The adapter that is named; None where there is none, or where its run is not planned."""
    if spec.adapter is not None:
        return candidate.adapters.get(spec.adapter)
    run = candidate.keys.get(spec.made_by) if spec.made_by is not None else None
    if run is None:
        return None
    return AdapterRef(made_key(run), partial(read_made, candidate.stored, run, base))


class PredictionsProducer:
    """The producer: each base is loaded once for all its requests, one base after another."""

    def __init__(self, grading: Grading) -> None:
        self._grading = grading

    def produce(
        self,
        new: Mapping[str, Collectable[PredictionWork]],
        put: Callable[[Evidence], None],
        progress: Progress,
    ) -> dict[str, str]:
        """See Producer."""
        progress.start("Answering questions", len(new))
        failed: dict[str, str] = {}
        asked_of: dict[BaseModel, list[Collectable[PredictionWork]]] = defaultdict(list)
        for request in new.values():
            try:
                asked_of[self._base(request)].append(request)
            except Exception as error:
                failed[request.key] = reason(error)
        for base, mine in asked_of.items():
            try:
                engine = open_engine(base, self._grading)
            except UsageError:
                raise
            except Exception as error:  # dear: what cannot be opened is not tried again for each
                failed |= dict.fromkeys((request.key for request in mine), reason(error))
                continue
            for request in mine:
                try:
                    with request.opened() as work:
                        put(self._predict(engine, request.key, work))
                except Exception as error:  # whatever it is, it must not stop the batch
                    failed[request.key] = reason(error)
                progress.step(request.student)
        return failed

    def _base(self, request: Collectable[PredictionWork]) -> BaseModel:
        """The base that answers; where students may choose it, the request is looked into."""
        assignment = self._grading.assignment
        (spec,) = (spec for spec in assignment.evidence if spec.id == request.id)
        wanted = PredictionsSpec.of(spec)
        named = wanted.adapter or wanted.base_of
        if named is None:
            return assignment.base_of(wanted.base)
        deliverable = assignment.deliverable(named)
        if not deliverable.other_bases:
            return assignment.base_of(deliverable.base)
        with request.opened() as work:
            return work.base

    def _predict(self, engine: Engine, key: str, work: PredictionWork) -> Evidence:
        questions = work.questions
        try:
            adapter = work.adapter.read() if work.adapter is not None else None
        except FileRefused as error:
            if not work.made:  # it passed its checks, and has changed since
                raise
            fault = AdapterFault(error.message, error.hint)
            return Evidence(NAME, key, Predictions((), fault).to_json(), {})
        if questions is not self._grading.questions:
            engine = engine.asking(questions)
        predictions = engine.predict(adapter)
        asked = {q.id: q.messages[-1][1] for q in questions.questions}
        answers = tuple(
            Prediction(
                id=answer.id,
                question=asked[answer.id],
                text=answer.text,
                reference=questions.answers[answer.id],
                guess=questions.guesses[answer.id],
                loglik=answer.loglik,
            )
            for answer in predictions.answers
        )
        cost = {
            "generate_seconds": predictions.generate_seconds,
            "generated_tokens": float(predictions.generated_tokens),
            "peak_memory_mib": predictions.peak_memory_mib,
        }
        return Evidence(NAME, key, Predictions(answers).to_json(), cost)


def open_engine(base: BaseModel, grading: Grading) -> Engine:
    """This base, loaded, with the hidden questions. Raises UsageError on the base install."""
    try:
        from grader.models.engine import Engine  # torch: only when there is something to run
    except ImportError as error:
        raise needs_models(error) from error
    assert grading.questions is not None  # no request is made without them
    loaded = load_base(base, grading.device)
    return Engine(loaded, grading.questions, grading.assignment.max_new_tokens)


KIND: Final = EvidenceKind(NAME, PredictionsSpec, Predictions, _request, PredictionsProducer)

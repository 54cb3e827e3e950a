"""What a student's page teaches beside findings: own wrong answers, and how losses fell.

Hidden questions never enter it: answers are those to public questions, in a self-check, and to the
student's own. Losses are what the service told the student's program, and what is submitted.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from grader.checks.api.context import Context
from grader.checks.api.registry import check_of
from grader.checks.views.domain_test import questions_of
from grader.checks.views.transcript import transcript
from grader.checks.workflow import answers_of, followed_job
from grader.core.constants import (
    LESSON_MAX_POINTS,
    LESSON_MAX_STATE_BYTES,
    LESSON_MAX_TEXT,
    REPORT_MAX_WRONG,
    RESULT_DECIMALS,
)
from grader.core.errors import FileRefused, GraderFault
from grader.core.metrics import exact_match
from grader.core.nouns import Assignment, Evidence
from grader.core.payloads import Answer, Answers, Prediction, Predictions, read
from grader.core.result import AnswerSheet, CurvePoint, LearningCurve, WrongAnswer
from grader.core.strict_json import StrictJsonError, loads
from grader.intake.submission import read_file

_GAINS: Final = ("DSP002", "EVL001")
"""Checks that read the answers before and after, in this order."""
_WORKFLOW: Final = "API008"
"""The check of a workflow whose models answer the student's own test set."""
_STATE: Final = "trainer_state.json"

Row = tuple[str, str, str, str]
"""A question, the expected answer, what was said before, and what is said now."""


def answer_sheets(context: Context) -> tuple[AnswerSheet, ...]:
    """The sheets of this submission: one for each program or adapter, and for each model of it."""
    found = []
    for title, before, after in _pairs(context):
        models = dict.fromkeys(_model(answer) for answer in after)
        for model in models:
            old = {a.id: a for a in before if _model(a) == model}
            new = [a for a in after if _model(a) == model]
            if not any(answer.text for answer in new):
                continue  # what stopped it is a finding
            rows = [(a.question, a.reference, old[a.id].text if a.id in old else "", _said(a))
                    for a in new]  # fmt: skip
            on = f", on {model}" if len(models) > 1 else ""
            found.append(_sheet(f"{title}{on}", rows))
    return (*found, *_own_tests(context))


def _pairs(
    context: Context,
) -> Iterator[tuple[str, Sequence[Answer | Prediction], Sequence[Answer | Prediction]]]:
    """(title, answers before, answers after) of what the student may read."""
    assignment = context.assignment
    own = {spec.id for spec in assignment.evidence if spec.settings.get("questions_from")}
    seen = set()
    for ref in assignment.refs:
        check = check_of(ref, assignment)
        if check.code not in _GAINS:
            continue
        before, after = check.evidence_ids[:2]
        told = not context.hidden or {before, after} <= own
        if told and (before, after) not in seen and {before, after} <= context.evidence.keys():
            seen.add((before, after))
            yield (
                _title(assignment, after),
                _answers(context.evidence[before]),
                _answers(context.evidence[after]),
            )


def _answers(evidence: Evidence) -> Sequence[Answer | Prediction]:
    if evidence.kind == "answers":
        return read(evidence, Answers).answers
    return read(evidence, Predictions).answers


def _title(assignment: Assignment, id: str) -> str:
    """What answered: the title of the deliverable behind this evidence."""
    (spec,) = (spec for spec in assignment.evidence if spec.id == id)
    named = next((spec.settings[n] for n in ("module", "adapter") if n in spec.settings), None)
    return id if named is None else assignment.deliverable(str(named)).title


def _model(answer: Answer | Prediction) -> str:
    """The model that was asked, where a program runs on several."""
    return str(getattr(answer, "model", ""))


def _said(answer: Answer | Prediction) -> str:
    error = answer.error if isinstance(answer, Answer) else None
    return answer.text if error is None else f"(no answer: {error})"


def _own_tests(context: Context) -> Iterator[AnswerSheet]:
    """The tuned model beside the base, on the student's own test set."""
    assignment = context.assignment
    for ref in assignment.refs:
        check = check_of(ref, assignment)
        if check.code != _WORKFLOW or check.evidence_ids[0] not in context.evidence:
            continue
        run = transcript(context.evidence[check.evidence_ids[0]])
        try:
            tests = questions_of(context)
        except (FileRefused, GraderFault):
            continue
        asked = [test.asked for test in tests]
        before, after = (answers_of(run, asked, tuned=tuned) for tuned in (False, True))
        if after:
            rows = [
                (t.asked, t.answer, before.get(t.asked, ""), after.get(t.asked, "")) for t in tests
            ]
            yield _sheet("The tuned model on your own test set", rows)


def _sheet(title: str, rows: Sequence[Row]) -> AnswerSheet:
    """First what was right before, then what was wrong in both."""
    right = [(exact_match(old, expected), exact_match(new, expected))
             for _, expected, old, new in rows]  # fmt: skip
    wrong = sorted((not was, number) for number, (was, now) in enumerate(right) if not now)
    return AnswerSheet(
        title,
        len(rows),
        sum(bool(was) for was, _ in right),
        sum(bool(now) for _, now in right),
        tuple(
            WrongAnswer(*(text[:LESSON_MAX_TEXT] for text in rows[number]))
            for _, number in wrong[:REPORT_MAX_WRONG]
        ),
    )


def learning_curves(context: Context) -> tuple[LearningCurve, ...]:
    """The curves of trainings: of the workflow's job, and of what trainers wrote."""
    found = []
    for ref in context.assignment.refs:
        check = check_of(ref, context.assignment)
        if check.code == _WORKFLOW and check.evidence_ids[0] in context.evidence:
            curve = _curve("The fine-tuning job", _events(context.evidence[check.evidence_ids[0]]))
            found += [curve] if curve is not None else []
    for title, state in _states(context):
        curve = _curve(title, _history(state))
        found += [curve] if curve is not None else []
    return tuple(found)


def _events(evidence: Evidence) -> Iterator[Mapping[str, Any]]:
    """The steps that the service told in the events of the job."""
    run = transcript(evidence)
    job = followed_job(run)
    for call in run.event_reads(job) if job is not None else ():
        listed = call.told.get("data") if isinstance(call.told, dict) else None
        for event in listed if isinstance(listed, list) else ():
            if isinstance(event, dict) and isinstance(event.get("data"), dict):
                data = event["data"]
                yield {
                    "step": data.get("step"),
                    "loss": data.get("train_loss"),
                    "eval_loss": data.get("full_valid_loss", data.get("valid_loss")),
                }


def _states(context: Context) -> Iterator[tuple[str, bytes]]:
    """What trainers wrote of their state: in runs of the grader, else in what is submitted."""
    for id, evidence in context.evidence.items():
        files = evidence.payload.get("files")
        if evidence.kind != "transcript" and isinstance(files, Mapping):
            states = [path for path in files if PurePosixPath(path).name == _STATE]
            if states:
                last = max(states, key=lambda path: (len(str(files[path])), path))
                yield f"The training, run by the grader ({id})", base64.b64decode(files[last])
                return
    states = [
        file
        for file in context.submission.files
        if PurePosixPath(file.path).name == _STATE and file.size <= LESSON_MAX_STATE_BYTES
    ]
    if states:
        last_file = max(states, key=lambda file: (file.size, file.path))
        try:
            yield (
                "The training that you submitted",
                read_file(context.submission, last_file.path, LESSON_MAX_STATE_BYTES),
            )
        except FileRefused:
            return


def _history(state: bytes) -> Iterator[Mapping[str, Any]]:
    try:
        value = loads(state, max_bytes=LESSON_MAX_STATE_BYTES)
    except StrictJsonError:
        return
    history = value.get("log_history") if isinstance(value, dict) else None
    for row in history if isinstance(history, list) else ():
        if isinstance(row, dict):
            yield row


def _curve(title: str, rows: Iterator[Mapping[str, Any]]) -> LearningCurve | None:
    """The curve of these rows, thinned; None before its second step."""
    by_step: dict[int, list[float | None]] = {}
    for row in rows:
        step = row.get("step")
        if isinstance(step, int) and not isinstance(step, bool) and step >= 0:
            losses = by_step.setdefault(step, [None, None])
            for place, name in enumerate(("loss", "eval_loss")):
                value = row.get(name)
                if isinstance(value, int | float) and math.isfinite(value):
                    losses[place] = round(float(value), RESULT_DECIMALS)
    points = [CurvePoint(step, *losses) for step, losses in sorted(by_step.items()) if any(
        loss is not None for loss in losses
    )]  # fmt: skip
    if len(points) < 2:
        return None
    stride = math.ceil(len(points) / LESSON_MAX_POINTS)
    kept = [
        point
        for number, point in enumerate(points)
        if number % stride == 0 or point.validation is not None or number == len(points) - 1
    ]
    return LearningCurve(title, tuple(kept[: 2 * LESSON_MAX_POINTS]))

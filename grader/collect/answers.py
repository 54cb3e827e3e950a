"""Evidence `answers`: what a DSPy program answers to hidden questions.

Questions go in and answers come out; references are joined to them here, outside. What the program
asked of its model is told by the service's record, never by the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from grader.collect.asked import by_question, model_calls, parse_failures
from grader.collect.collector import Want
from grader.collect.module_use import (
    Use,
    Uses,
    first_fault,
    model_digest,
    need_no_fault,
    text_of,
    use_run,
)
from grader.collect.transcripts import run_want
from grader.constants import ANSWER_MAX_CHARACTERS, ANSWER_MAX_EXTRA
from grader.hidden import QuestionSet
from grader.model import Assignment, EvidenceSpec, Submission
from grader.sandbox.launch import Sandbox

KIND: Final = "answers"


class Answers(Uses):
    """The producer of answers."""


def answers_want(
    submission: Submission,
    spec: EvidenceSpec,
    module: str | None,
    assignment: Assignment,
    questions: QuestionSet,
    sandbox: Sandbox,
    endpoint: str | None = None,
) -> Want:
    """The answers of `module`, a path in the submission; None for the kit's own program.

    `endpoint` is the address of the instructor's service, or what else answers in the simulator's
    place; None for the simulator. The kit's program
    has one run for a whole class: nothing of a submission is in its key.
    """
    asked = {q.id: q.messages[-1][1] for q in questions.questions[: spec.questions]}
    task = {"questions": asked, "extra": module is not None and not spec.perturb}
    mine = submission if module is not None else None
    run = use_run(mine, module, spec, assignment, task)
    complete = partial(_complete, asked, questions, mine is None)
    return run_want(
        submission.student,
        spec.id,
        KIND,
        run,
        mine.digest if mine is not None else "",
        assignment.base,
        sandbox,
        work=Use(run, complete),
        more={
            "questions": questions.digest,
            "model": [endpoint, spec.model] if endpoint else model_digest(spec, assignment.base),
        },
    )


def _complete(
    asked: Mapping[str, str],
    questions: QuestionSet,
    ours: bool,
    payload: Mapping[str, Any],
    found: list[dict[str, Any]],
) -> dict[str, Any]:
    """`answers` (one a question), `extra` (the module's own pairs) and `fault`.

    A question without an answer has the text "" and says why in `error`. `exchanges` of an answer
    are the places of its requests to the model.
    """
    if ours:
        need_no_fault(payload, found, ANSWER_MAX_CHARACTERS)
    fault = first_fault(payload, found, ANSWER_MAX_CHARACTERS)
    given: dict[str, dict[str, Any]] = {}
    for line in found:
        if line.get("kind") == "answer" and isinstance(line.get("id"), str):
            given.setdefault(line["id"], line)  # what is said first counts
    calls = list(model_calls(payload["exchanges"]))
    extra = [_extra(line) for line in found if line.get("kind") == "extra"][:ANSWER_MAX_EXTRA]
    pairs = {f"extra {n}": one["question"] for n, one in enumerate(extra) if one["question"]}
    theirs = by_question(calls, {**pairs, **asked})
    answers = []
    for id, question in asked.items():
        text = text_of(given.get(id, {}), "answer", ANSWER_MAX_CHARACTERS)
        why = text_of(given.get(id, {}), "error", ANSWER_MAX_CHARACTERS)
        answers.append(
            {
                "id": id,
                "question": question,
                "reference": questions.answers[id],
                "guess": questions.guesses[id],
                "text": text or "",
                "error": None if text is not None else why or fault or "it gave no answer",
                "calls": len(theirs[id]),
                "input_tokens": sum(call.input_tokens for call in theirs[id]),
                "output_tokens": sum(call.output_tokens for call in theirs[id]),
                "parse_failures": parse_failures(theirs[id]),
                "exchanges": [call.place for call in theirs[id]],
            }
        )
    for number, one in enumerate(extra):
        one["calls"] = len(theirs.get(f"extra {number}", ()))
    return {"answers": answers, "extra": extra, "fault": fault}


def _extra(line: Mapping[str, Any]) -> dict[str, Any]:
    aliases = line.get("aliases")
    return {
        "question": text_of(line, "question", ANSWER_MAX_CHARACTERS) or "",
        "expected": text_of(line, "expected", ANSWER_MAX_CHARACTERS) or "",
        "aliases": [
            one[:ANSWER_MAX_CHARACTERS]
            for one in (aliases if isinstance(aliases, list) else [])[:ANSWER_MAX_EXTRA]
            if isinstance(one, str)
        ],
        "text": text_of(line, "answer", ANSWER_MAX_CHARACTERS) or "",
        "error": text_of(line, "error", ANSWER_MAX_CHARACTERS),
    }

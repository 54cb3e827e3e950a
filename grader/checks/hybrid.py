"""DSP03x: a DSPy program over a model that was tuned for it, seen in the requests of its run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from grader.checks.bonus import HYBRID
from grader.checks.claims import never_met
from grader.checks.domain_test import questions_of
from grader.checks.prompts import additions_in
from grader.checks.registry import Context, Verdict, check, failed, passed
from grader.checks.tested import (
    GAIN_MEASURES,
    Asked,
    asked_of,
    different,
    gain,
    keeps_apart,
    share_of,
    unfair,
)
from grader.checks.transcript_view import transcript
from grader.constants import ADDITION_SHARE_AT_LEAST
from grader.metrics import mean
from grader.model import Severity
from grader.topics import get_topic

_NEARLY_ALL: Final = 0.9  # of the test questions
_HINT: Final = (
    "Tune a model on conversations in the form of your program's prompts, then ask your program "
    "every question of openai_test.jsonl with the returned model configured in DSPy."
)


@check("DSP030", evidence=(HYBRID,), measures=("jobs", "share"), severity=Severity.WARNING)
def tuned_model_answers_through_dspy(context: Context) -> Verdict:
    """The tuned model answers the test set through a DSPy program

    Why: A hybrid is both: weights that a job has tuned, and prompts that a program writes. The
    grader looks for a job of the script's own and for DSPy's prompts, with their named fields, to
    the model that came out of it. A prompt that holds the expected answer does not count.

    Fix: Create the job, wait for its end, and configure DSPy with job.fine_tuned_model. Ask the
    program each question of openai_test.jsonl.
    """
    run, questions = transcript(context.evidence[HYBRID]), questions_of(context)
    if not run.jobs:
        return never_met(run, "created a job", _HINT, {"jobs": 0})
    asked = _through_dspy(context)
    share = share_of(asked, questions)
    measures = {"jobs": len(run.jobs), "share": share}
    seen = f"The tuned model answered {share:.0%} of the test questions in DSPy's form."
    seen += unfair(asked)
    if share >= _NEARLY_ALL:
        return passed(seen, measures=measures)
    return failed(f"{seen} Expected: {_NEARLY_ALL:.0%} or more.", _HINT, measures=measures)


@check(
    "DSP031",
    evidence=(HYBRID,),
    measures=("passages_share", "demos_share", "reasoning_share", "share"),
    severity=Severity.WARNING,
)
def dspy_adds_to_the_prompts(context: Context) -> Verdict:
    """DSPy adds something to the tuned model's prompts

    Why: A bare question in DSPy's form is a question. What a program can add are passages that
    belong to the question, demonstrations, and fields for the steps before the answer. One of
    them must be in what the tuned model was asked, for most questions.

    Fix: Ask for the steps in output fields before `answer`, give the program's predictor examples,
    or look passages up. Print what is sent with `dspy.inspect_history()`.
    """
    asked = _through_dspy(context)
    prompts = [
        (question.asked, [one.prompt for one in asked if one.fair and one.key == key])
        for key, question in different(questions_of(context)).items()
    ]
    known = [example.question for example in get_topic(context.assignment.topic).public("train")]
    added = additions_in(prompts, {}, known)
    # One field alone, whatever it is called, is the answer.
    steps = [
        reasons and len({name for prompt in mine for name, _ in prompt.outputs}) > 1
        for (_, mine), reasons in zip(prompts, added.reasoning, strict=True)
    ]
    measures = {
        "passages_share": _share(added.passages),
        "demos_share": _share(added.demos),
        "reasoning_share": _share(steps),
    }
    most = max(measures.values())
    seen = (
        f"Of the test questions, {measures['passages_share']:.0%} went to the tuned model with "
        f"passages, {measures['demos_share']:.0%} with demonstrations, "
        f"{measures['reasoning_share']:.0%} with fields for steps."
    )
    measures["share"] = most
    if most >= ADDITION_SHARE_AT_LEAST:
        return passed(seen, measures=measures)
    hint = "Add steps, demonstrations or passages to what the tuned model reads."
    return failed(f"{seen} Expected: one of them for most questions.", hint, measures=measures)


@check("DSP032", evidence=(HYBRID,), measures=("leaked",), severity=Severity.WARNING)
def hybrid_trains_on_no_test_question(context: Context) -> Verdict:
    """The hybrid was not trained on its test questions

    Why: A model repeats what it was trained on, so a score on those questions shows its memory.
    The grader looks for test questions in the files that the script's jobs trained on, also inside
    of longer prompts.

    Fix: Make the training file from openai_train.jsonl or from other questions of your own, never
    from openai_test.jsonl.
    """
    return keeps_apart(transcript(context.evidence[HYBRID]), questions_of(context))


@check(
    "DSP033",
    needs=("DSP032",),
    evidence=(HYBRID,),
    measures=GAIN_MEASURES,
    severity=Severity.WARNING,
)
def hybrid_answers_better_than_the_base(context: Context) -> Verdict:
    """The hybrid answers the test set better than the base

    Why: The two methods together are worth their cost if more answers are right. The grader works
    the score out again from the replies that the service sent: of the tuned model through DSPy the
    field `answer`, as its share where a question was asked more than once; of the base any right
    answer. The gain is real when the lower end of its 95 % interval (paired bootstrap over the
    questions) is above zero.

    Fix: Ask the base and the hybrid every question of openai_test.jsonl in the same run. Train in
    the form in which you ask: the same signature, the same fields, the shortest correct answer.
    """
    run, questions = transcript(context.evidence[HYBRID]), questions_of(context)
    asked = asked_of(run, questions, context.assignment.topic)
    base = [one for one in asked if any(one.chat.is_base_of(job) for job in run.jobs)]
    return gain(base, _through_dspy(context), questions, "the hybrid", _HINT)


def _through_dspy(context: Context) -> list[Asked]:
    """What tuned models were asked of the test set in the form of DSPy's adapters."""
    run, questions = transcript(context.evidence[HYBRID]), questions_of(context)
    asked = asked_of(run, questions, context.assignment.topic)
    return [one for one in asked if one.chat.tuned and one.prompt.outputs]


def _share(holds: Sequence[bool]) -> float:
    return round(mean([float(one) for one in holds]), 3)

"""DSP03x: a DSPy program over a model that was tuned for it, seen in the requests of its run.

API03x: a tuned model teaches a smaller one, seen in the requests of the run.

Of several jobs those two are looked at of which the later one learned most from the earlier.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from grader.checks.api.context import Context, Verdict, failed, passed
from grader.checks.api.registry import check
from grader.checks.views.domain_test import DISTILLATION, HYBRID, TEST_SET, questions_of
from grader.checks.views.gain import GAIN_MEASURES
from grader.checks.views.prompts import additions_in
from grader.checks.views.reported_results import PartialCredit, never_met, verdict
from grader.checks.views.test_set_answers import (
    TestSetAnswer,
    asked_of,
    different,
    gain,
    keeps_apart,
    share_of,
    trained_on,
    unfair,
)
from grader.checks.views.transcript import TrainedJob, Transcript, transcript
from grader.core.constants import ADDITION_SHARE_AT_LEAST
from grader.core.metrics import mean
from grader.core.nouns import Severity
from grader.core.text import counted
from grader.topics import get_topic
from grader.training_data.costs import load_prices, price_of
from grader.training_data.read.examples import Example, text_of
from grader.training_data.read.fingerprint import folded

_NEARLY_ALL: Final = 0.9  # of the test questions
_HINT: Final = (
    "Tune a model on conversations in the form of your program's prompts, then ask your program "
    "every question of openai_test.jsonl with the returned model configured in DSPy."
)


@check(
    "DSP030",
    deliverables=(TEST_SET,),
    evidence=(HYBRID,),
    measures=("jobs", "share"),
    severity=Severity.WARNING,
)
def tuned_model_answers_through_dspy(context: Context) -> Verdict:
    """The tuned model answers the test set through a DSPy program

    Why: A hybrid is both: weights that a job has tuned, and prompts that a program writes. The
    grader looks for a job of the script's own and for DSPy's prompts, with their named fields, to
    the model that came out of it. A prompt that holds the expected answer does not count.

    Fix: Create the job, wait for its end, and configure DSPy with job.fine_tuned_model. Ask the
    program each question of openai_test.jsonl.
    """
    run, questions = transcript(context.seen(HYBRID)), questions_of(context)
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
    deliverables=(TEST_SET,),
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


@check(
    "DSP032",
    deliverables=(TEST_SET,),
    evidence=(HYBRID,),
    measures=("leaked",),
    severity=Severity.WARNING,
)
def hybrid_trains_on_no_test_question(context: Context) -> Verdict:
    """The hybrid was not trained on its test questions

    Why: A model repeats what it was trained on, so a score on those questions shows its memory.
    The grader looks for test questions in the files that the script's jobs trained on, also inside
    of longer prompts.

    Fix: Make the training file from openai_train.jsonl or from other questions of your own, never
    from openai_test.jsonl.
    """
    return keeps_apart(transcript(context.seen(HYBRID)), questions_of(context))


@check(
    "DSP033",
    deliverables=(TEST_SET,),
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
    run, questions = transcript(context.seen(HYBRID)), questions_of(context)
    asked = asked_of(run, questions, context.assignment.topic)
    base = [one for one in asked if any(one.chat.is_base_of(job) for job in run.jobs)]
    return gain(base, _through_dspy(context), questions, "the hybrid", _HINT)


def _through_dspy(context: Context) -> list[TestSetAnswer]:
    """What tuned models were asked of the test set in the form of DSPy's adapters."""
    run, questions = transcript(context.seen(HYBRID)), questions_of(context)
    asked = asked_of(run, questions, context.assignment.topic)
    return [one for one in asked if one.chat.tuned and one.prompt.outputs]


def _share(holds: Sequence[bool]) -> float:
    return round(mean([float(one) for one in holds]), 3)


_NEARLY_ALL_REPLIES: Final = 0.9  # of the student's examples
_FEWEST: Final = 10  # examples that the service trains on
_DISTILL_HINT: Final = (
    "Tune the teacher, ask it questions that it was not trained on, write its replies down as a "
    "training file, and create the student's job on that file."
)


@dataclass(frozen=True, slots=True)
class _Distillation:
    """Who taught whom: `taught` of the student's `examples` are replies of the teacher."""

    teacher: TrainedJob
    student: TrainedJob
    examples: int
    taught: int


@check(
    "API030",
    evidence=(DISTILLATION,),
    measures=("examples", "taught", "share"),
    severity=Severity.WARNING,
)
def student_learns_from_the_teacher(context: Context) -> Verdict:
    """The student's training file holds what the teacher answered

    Why: In distillation a tuned model writes the data for another one. So the answers in the
    second file must be what the first job's model replied to those very questions, before the
    second job began, and the questions must be new to it: on what it was trained on it only
    repeats. 90 % of the file, and at least 10 examples.

    Fix: Ask the tuned teacher questions that are not in its own training file, and upload each
    question with the teacher's reply. Right answers from elsewhere are another dataset.
    """
    run = transcript(context.seen(DISTILLATION))
    lesson = _lesson(run)
    if lesson is None:
        return never_met(run, "created a job after the teacher's", _DISTILL_HINT)
    share = round(lesson.taught / max(lesson.examples, _FEWEST), 3)
    measures = {"examples": lesson.examples, "taught": lesson.taught, "share": share}
    seen = (
        f"Of {counted(lesson.examples, 'example')} of the second training file {lesson.taught} "
        "are replies of the tuned teacher to questions that it was not trained on."
    )
    if share >= _NEARLY_ALL_REPLIES:
        return passed(seen, measures=measures)
    wanted = f"{_NEARLY_ALL_REPLIES:.0%} of them, and at least {_FEWEST}"
    return failed(f"{seen} Expected: {wanted}.", _DISTILL_HINT, measures=measures)


@check("API031", evidence=(DISTILLATION,), measures=("share",), severity=Severity.WARNING)
def student_is_smaller(context: Context) -> Verdict:
    """The student is a smaller model than its teacher, and its training succeeded

    Why: Distillation pays because the student costs less to run. How large OpenAI's models are is
    not public; the grader goes by the price of training in its dated table. On your machine all
    names are the same small model, so only the script shows the difference.

    Fix: Train the student on a base that `finegrade cost` lists with a lower training price than
    the teacher's, gpt-4o-mini beside gpt-4.1-mini for one, and wait until its job has succeeded.
    """
    run = transcript(context.seen(DISTILLATION))
    lesson = _lesson(run)
    if lesson is None:
        return never_met(run, "created a job after the teacher's", _DISTILL_HINT)
    if not lesson.taught:
        said = "The second job trained on no reply of the first one's model: nobody was taught."
        return failed(said, _DISTILL_HINT, measures={"share": 0.0})
    teacher, student = lesson.teacher, lesson.student
    before, after = _training_price(teacher), _training_price(student)
    cheaper = before is not None and after is not None and after < before
    claims = [
        PartialCredit(
            cheaper and not student.base.startswith("ft:"),
            "a base of its own with a lower training price",
        ),
        PartialCredit(
            _tuned_model(run, student) is not None, "its job succeeds, and the script sees it"
        ),
    ]
    seen = f"The teacher was trained on {teacher.base}, the student on {student.base}."
    hint = "Choose a base with a lower training price; `finegrade cost` lists them."
    return verdict(seen, claims, hint)


@check(
    "API032",
    deliverables=(TEST_SET,),
    evidence=(DISTILLATION,),
    measures=("leaked",),
    severity=Severity.WARNING,
)
def distillation_trains_on_no_test_question(context: Context) -> Verdict:
    """Neither teacher nor student was trained on test questions

    Why: A model repeats what it was trained on, so a score on those questions shows its memory.
    The grader looks for test questions in the files of all jobs, also inside of longer prompts.

    Fix: Take the questions for the teacher from elsewhere, never from openai_test.jsonl.
    """
    return keeps_apart(transcript(context.seen(DISTILLATION)), questions_of(context))


@check(
    "API033",
    deliverables=(TEST_SET,),
    needs=("API032",),
    evidence=(DISTILLATION,),
    measures=GAIN_MEASURES,
    severity=Severity.WARNING,
)
def student_answers_better_than_its_base(context: Context) -> Verdict:
    """The distilled student answers the test set better than its own base

    Why: What the student has from its teacher shows on questions that neither was trained on. The
    grader works the score out again from the replies that the service sent; of the base any right
    answer counts. The gain is real when the lower end of its 95 % interval (paired bootstrap over
    the questions) is above zero.

    Fix: Ask the student's base and the student every question of openai_test.jsonl in the same
    run. If the student is worse than its teacher, let the teacher answer more questions.
    """
    run, questions = transcript(context.seen(DISTILLATION)), questions_of(context)
    lesson = _lesson(run)
    if lesson is None:
        return failed("There is no second job, and so no student.", _DISTILL_HINT)
    asked = asked_of(run, questions, context.assignment.topic)
    name = _tuned_model(run, lesson.student)
    base = [one for one in asked if one.chat.is_base_of(lesson.student)]
    student = [one for one in asked if one.chat.model == name]
    return gain(base, student, questions, "the student", _DISTILL_HINT)


def _training_price(job: TrainedJob) -> float | None:
    price = price_of(job.base, load_prices())
    return None if price is None else price.train_per_m


def _lesson(run: Transcript) -> _Distillation | None:
    """The pair of jobs of which the second learns most from the first; None without two jobs."""
    jobs = run.jobs
    files = [[(_asked(e), folded(e.answer)) for e in trained_on(run, job)] for job in jobs]
    pairs: list[_Distillation] = []
    for at, teacher in enumerate(jobs):
        replies, known = _replies(run, teacher), {asked for asked, _ in files[at]}
        for student, file in zip(jobs[at + 1 :], files[at + 1 :], strict=True):
            # Lines that say the same again teach nothing more.
            taught = {
                asked
                for asked, answer in file
                if asked not in known
                and replies.get((asked, answer), student.made.start) < student.made.start
            }
            pairs.append(_Distillation(teacher, student, len(file), len(taught)))
    return max(pairs, key=lambda one: (one.taught / max(one.examples, 1), one.taught), default=None)


def _replies(run: Transcript, teacher: TrainedJob) -> dict[tuple[str, str], float]:
    """When the model of this job first gave this reply to that message."""
    name = _tuned_model(run, teacher)
    found: dict[tuple[str, str], float] = {}
    for chat in run.chats:
        if chat.model == name:
            found.setdefault((folded(chat.said), folded(chat.answer)), chat.call.end)
    return found


def _asked(example: Example) -> str:
    """The last message of the user, as a transcript's chat has it."""
    said = [message for message in example.messages if message.get("role") == "user"]
    return folded(text_of(said[-1])) if said else ""


def _tuned_model(run: Transcript, job: TrainedJob) -> str | None:
    """The name of the model that the job made, as the program was told it; None if never."""
    return next(_names(run, job), None)


def _names(run: Transcript, job: TrainedJob) -> Iterator[str]:
    for look in run.looks(job):
        name = look.job.get("fine_tuned_model")
        if look.job.get("status") == "succeeded" and isinstance(name, str):
            yield name

"""API00x: what a fine-tuning workflow does when nothing goes wrong, seen in its requests.

What the program printed is no evidence of what it did. Times are on the program's own clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

from grader.checks.api.context import (
    Context,
    EvidenceRole,
    Verdict,
    failed,
    needs_review,
    passed,
)
from grader.checks.api.registry import check
from grader.checks.views.domain_test import (
    DATA,
    TEST_SET,
    TestQuestion,
    examples_in,
    questions_of,
)
from grader.checks.views.reported_results import (
    RESULTS,
    PartialCredit,
    WorkflowResults,
    WorkflowResultsError,
    ending,
    never_met,
    requests,
    results_of,
    verdict,
)
from grader.checks.views.transcript import TrainedJob, Transcript, transcript
from grader.core.constants import CLAIM_TOLERANCE
from grader.core.metrics import exact_match, mean
from grader.core.payloads import ProgramRun
from grader.core.text import counted
from grader.training_data.read.fingerprint import folded
from grader.training_data.rules.rule import quoted

_OK: Final = EvidenceRole("openai_ok", ProgramRun)
_FEWEST_EXAMPLES: Final = 10  # that the service trains on
_BUSY_SECONDS: Final = 1.0  # between two looks; below this a program does not wait at all
_CALM_SECONDS: Final = 5.0  # jobs take minutes
_SLOW_ENOUGH_SECONDS: Final = 10.0  # to need no back-off
_BACK_OFF: Final = 1.5  # times longer between the last looks than between the first
LOOKS_AFTER_END: Final = 2  # reading the finished job once more is no fault

_NO_JOB: Final = "Create the job with client.fine_tuning.jobs.create, and follow it to its end."


def followed_job(run: Transcript) -> TrainedJob | None:
    """The job that the program looked at most often, of several the first one made."""
    return max(run.jobs, key=lambda job: len(run.looks(job)), default=None)


def saw_end(run: Transcript, job: TrainedJob, status: str) -> bool:
    """Whether the program was told that the job came to this end."""
    return any(look.job.get("status") == status for look in run.looks(job))


@check("API001", evidence=(_OK,), measures=("share",))
def workflow_runs_to_its_end(context: Context) -> Verdict:
    """The workflow runs to its end

    Why: A workflow is of use when one command takes it from the data to a tuned model that was
    measured. Nobody should have to watch it.

    Fix: Run it against `finegrade simulate`, with nothing going wrong. It has to create its job,
    see it succeed, and end with exit code 0.
    """
    run = transcript(context.seen(_OK))
    job = followed_job(run)
    if job is None:
        return never_met(run, "created a job", _NO_JOB)
    claims = [
        PartialCredit(saw_end(run, job, "succeeded"), "it sees the job succeed"),
        PartialCredit(run.verdict == "ok", "it ends by itself with exit code 0"),
    ]
    hint = "Run the workflow against `finegrade simulate` and read its error messages."
    return verdict(f"With nothing going wrong, it {ending(run)}.", claims, hint)


@check("API002", deliverables=(TEST_SET,), evidence=(_OK,), measures=("uploads", "share"))
def training_file_is_uploaded(context: Context) -> Verdict:
    """The training file is uploaded for fine-tuning, and trained on

    Why: The service trains on files that were uploaded with the purpose `fine-tune`, and on
    nothing else. Test questions in that file would make every score worthless.

    Fix: client.files.create(file=open("openai_train.jsonl", "rb"), purpose="fine-tune"), and pass
    the id that comes back as training_file.
    """
    run = transcript(context.seen(_OK))
    uploads, job = run.uploads, followed_job(run)
    measures = {"uploads": len(uploads)}
    hint = 'Upload the file with purpose="fine-tune", and give the job the id that comes back.'
    if not uploads:
        return never_met(run, "uploaded a file that the service took", hint, measures)
    used = [u for u in uploads if job is not None and u.id == job.file]
    prompts = [folded(example.prompt) for upload in used for example in upload.examples]
    tested = {folded(q.asked) for q in questions_of(context)}
    leaked = len(tested & set(prompts))
    claims = [
        PartialCredit(all(u.purpose == "fine-tune" for u in uploads), "its purpose is fine-tune"),
        PartialCredit(bool(used), "the job trains on the uploaded file"),
        PartialCredit(
            len(prompts) >= _FEWEST_EXAMPLES, f"it holds at least {_FEWEST_EXAMPLES} examples"
        ),
        PartialCredit(bool(used) and not leaked, "it holds no test question"),
    ]
    seen = (
        f"{counted(len(uploads), 'upload')}; the job's file holds "
        f"{counted(len(prompts), 'example')}, {leaked} of them from the test set."
    )
    return verdict(seen, claims, hint, measures)


@check("API028", deliverables=(DATA,), evidence=(_OK,), measures=("trained", "elsewhere"))
def trains_on_the_submitted_data(context: Context) -> Verdict:
    """Jobs train on the training data that is submitted

    Why: The grader asks the tuned model about the data that you submit, looks at its answers and
    prices it. Pairs from elsewhere would make all of that speak of other work.

    Fix: Upload openai_train.jsonl itself. A part of it, as for a validation set, is fine; pairs
    that your program makes belong into the file.
    """
    run = transcript(context.seen(_OK))
    files = {job.file for job in run.jobs}
    used = [upload for upload in run.uploads if upload.id in files]
    if not used:
        return never_met(run, "trained on a file that it uploaded", _OWN_DATA, {})
    mine = {(folded(e.prompt), folded(e.answer)) for e in examples_in(context, DATA)}
    trained = [example for upload in used for example in upload.examples]
    other = [e for e in trained if (folded(e.prompt), folded(e.answer)) not in mine]
    measures = {"trained": len(trained), "elsewhere": len(other)}
    if any(upload.content is None for upload in used):
        return needs_review("The uploaded file was too large to be kept.", measures=measures)
    if other:
        return failed(
            f"{counted(len(other), 'example')} of {len(trained)} that jobs trained on "
            f"{'is' if len(other) == 1 else 'are'} not in openai_train.jsonl; the first is "
            f"{quoted(other[0].prompt)}.",
            _OWN_DATA,
            measures=measures,
        )
    return passed("All that jobs trained on is in openai_train.jsonl.", measures=measures)


_OWN_DATA: Final = "Upload openai_train.jsonl itself, or a part of it."


@check("API003", evidence=(_OK,), measures=("jobs", "share"))
def one_job_is_created(context: Context) -> Verdict:
    """Exactly one job is created

    Why: Every job is billed.

    Fix: Create the job once, outside of every loop. Before creating one, look whether an earlier
    run of the program has made it: client.fine_tuning.jobs.list().
    """
    run = transcript(context.seen(_OK))
    jobs = len(run.jobs)
    if not jobs:
        return never_met(run, "created a job", _NO_JOB, {"jobs": 0})
    claims = [PartialCredit(jobs == 1, "one job, and so one bill")]
    hint = "Move the creation of the job out of every loop, and keep its id."
    return verdict(f"{counted(jobs, 'job')} created.", claims, hint, {"jobs": jobs})


@check("API004", evidence=(_OK,), measures=("polls", "median_seconds", "share"))
def polls_at_a_sane_pace(context: Context) -> Verdict:
    """The job is polled at a sane pace

    Why: A job takes minutes to hours. A program that asks many times a second learns nothing
    sooner, burdens the service, and is soon told that it asks too fast.

    Fix: Sleep between two looks: some seconds at first, and longer each time up to a minute; or a
    steady ten seconds or more.
    """
    run = transcript(context.seen(_OK))
    job = followed_job(run)
    hint = "Wait some seconds before the first look at the job, and longer before each next one."
    if job is None:
        return never_met(run, "created a job", _NO_JOB, {"polls": 0})
    looks = run.state_calls(job)
    if not looks:
        return never_met(run, "asked how its job stood", hint, {"polls": 0})
    waits = [b.waited_since(a) for a, b in zip([job.made, *looks], looks, strict=False)]
    middle, third = median(waits), max(1, len(waits) // 3)
    last = median(waits[-third:])
    waits_at_all = middle >= _BUSY_SECONDS
    grows = last >= max(_BACK_OFF * median(waits[:third]), _CALM_SECONDS)
    claims = [
        PartialCredit(waits_at_all, f"at least {_BUSY_SECONDS:.0f} s between two looks"),
        PartialCredit(middle >= _CALM_SECONDS, f"{_CALM_SECONDS:.0f} s or more at most looks"),
        PartialCredit(
            waits_at_all and (grows or middle >= _SLOW_ENOUGH_SECONDS),
            f"longer waits as time goes by, or a steady {_SLOW_ENOUGH_SECONDS:.0f} s",
            weight=2,
        ),
    ]
    seen = (
        f"{counted(len(looks), 'look')} at the job, about {middle:.1f} s apart, "
        f"and {last:.1f} s at the end."
    )
    measures = {"polls": len(looks), "median_seconds": round(middle, 1)}
    return verdict(seen, claims, hint, measures)


@check("API005", evidence=(_OK,), measures=("looks_after", "share"))
def stops_when_the_job_has_ended(context: Context) -> Verdict:
    """It stops asking when the job has ended

    Why: A job that has succeeded, failed or been cancelled stays so. A loop that knows only one of
    these ends runs for ever at the others.

    Fix: End the loop when the status is succeeded, failed or cancelled.
    """
    run = transcript(context.seen(_OK))
    job = followed_job(run)
    if job is None:
        return never_met(run, "created a job", _NO_JOB, {"looks_after": 0})
    ends = [look.call for look in run.looks(job) if look.ended]
    if not ends:
        hint = "Ask for the job until its status is succeeded, failed or cancelled."
        return never_met(run, "saw its job come to an end", hint, {"looks_after": 0})
    after = len(ends) - 1
    claims = [
        PartialCredit(
            after <= LOOKS_AFTER_END, f"at most {LOOKS_AFTER_END} looks at a finished job"
        ),
        PartialCredit(run.ended_itself, "the program comes to its own end"),
    ]
    seen = f"After the job's end it was looked at {after} times more; the program {ending(run)}."
    hint = (
        'End the loop with the job: while job.status not in ("succeeded", "failed", "cancelled"): …'
    )
    return verdict(seen, claims, hint, {"looks_after": after})


@check("API006", evidence=(_OK,), measures=("reads",))
def events_are_read(context: Context) -> Verdict:
    """The job's events are read

    Why: The events say how far the training is and how the loss falls; the status says neither.

    Fix: client.fine_tuning.jobs.list_events(job.id), in the loop that waits, printing what is new.
    """
    run = transcript(context.seen(_OK))
    reads = sum(len(run.event_reads(job)) for job in run.jobs)
    if reads:
        return passed(f"Events were read {counted(reads, 'time')}.", measures={"reads": reads})
    return failed(
        f"No events were read; {requests(run)}.",
        "Read client.fine_tuning.jobs.list_events(job.id) while you wait.",
        measures={"reads": 0},
    )


@check("API007", evidence=(_OK,), measures=("tuned_answers", "share"))
def returned_model_is_used(context: Context) -> Verdict:
    """The model that the job returned is used

    Why: The name of a tuned model is known only when the job has succeeded. A name from an earlier
    run, or the base's, asks another model.

    Fix: Pass job.fine_tuned_model of the finished job as the model.
    """
    run = transcript(context.seen(_OK))
    answers = sum(chat.tuned for chat in run.chats)
    unknown = sum(call.status == 404 for call in run.model_calls)
    hint = "Read the tuned model's name from job.fine_tuned_model when the job has succeeded."
    if not answers and not unknown:
        return never_met(run, "asked a tuned model", hint, {"tuned_answers": 0})
    claims = [
        PartialCredit(answers > 0, "the tuned model is asked"),
        PartialCredit(answers > 0 and not unknown, "no model is asked that is not there"),
    ]
    seen = f"The tuned model gave {counted(answers, 'answer')}; {unknown} questions met no model."
    return verdict(seen, claims, hint, {"tuned_answers": answers})


@check(
    "API008",
    deliverables=(TEST_SET,),
    needs=("API020",),
    evidence=(_OK,),
    measures=("base_share", "tuned_share", "share"),
)
def both_models_are_evaluated(context: Context) -> Verdict:
    """Base and tuned model are asked the questions of the test set

    Why: Whether tuning helped shows only when both models answer the same questions, and when the
    questions are those of the test set.

    Fix: Ask the base you trained and the returned model every question of openai_test.jsonl, one
    request a question, and score both in the same way.
    """
    run, questions = transcript(context.seen(_OK)), questions_of(context)
    base, tuned = (len(_asked(run, questions, tuned=t)) for t in (False, True))
    n = len({folded(q.asked) for q in questions})
    measures = {
        "base_share": round(base / n, 3),
        "tuned_share": round(tuned / n, 3),
        "share": round((base + tuned) / (2 * n), 3),
    }
    seen = f"Of {n} test questions the base answered {base} and the tuned model {tuned}."
    if base == tuned == n:
        return passed(seen, measures=measures)
    return failed(
        f"{seen} Expected: all of them by both.",
        "Ask the base you trained and the returned model each question of openai_test.jsonl.",
        measures=measures,
    )


@check(
    "API009",
    deliverables=(TEST_SET,),
    needs=("API020",),
    evidence=(_OK,),
    measures=("claimed_before", "claimed_after", "measured_before", "measured_after", "share"),
)
def reported_results_are_true(context: Context) -> Verdict:
    """The reported results are those of the models' answers

    Why: A number that does not follow from the answers misleads its readers, its author first.

    Fix: Write openai_results.json with "simulated": false and, under "before" and "after",
    {"exact_match": share from 0 to 1}, worked out from the answers that the two models gave.
    """
    run, questions = transcript(context.seen(_OK)), questions_of(context)
    hint = f'Write {RESULTS} with "simulated", "before" and "after", from the models\' answers.'
    try:
        claimed = results_of(run)
    except WorkflowResultsError as error:
        return failed(f"{RESULTS}: {error}.", hint, measures={"share": 0.0})
    return _held_against(claimed, run, questions, hint)


def _held_against(
    claimed: WorkflowResults, run: Transcript, questions: list[TestQuestion], hint: str
) -> Verdict:
    measured = {
        when: _score(_asked(run, questions, tuned=when == "after"), questions)
        for when in ("before", "after")
    }
    stated = {"before": claimed.before, "after": claimed.after}
    claims = [
        PartialCredit(not claimed.simulated, "results of models that answered, no simulation")
    ]
    for when in ("before", "after"):
        agrees = abs(stated[when] - measured[when]) <= CLAIM_TOLERANCE
        asked = bool(_asked(run, questions, tuned=when == "after"))
        claims.append(PartialCredit(asked and agrees, f"{when}: about {measured[when]:.0%}"))
    seen = f"Reported exact match: {claimed.before:.0%} before, {claimed.after:.0%} after."
    measures = {f"claimed_{when}": stated[when] for when in stated}
    measures |= {f"measured_{when}": round(measured[when], 3) for when in measured}
    return verdict(seen, claims, hint, measures)


def answers_of(run: Transcript, questions: Sequence[str], *, tuned: bool) -> dict[str, str]:
    """The last answer of one of the two models to each question, by the question.

    A request counts for one question: the longest that its last message holds.
    """
    job = followed_job(run)
    known = {folded(q): q for q in sorted(questions, key=len, reverse=True) if q.strip()}
    found: dict[str, str] = {}
    for chat in run.chats:
        if chat.tuned is tuned and (tuned or (job is not None and chat.is_base_of(job))):
            said = folded(chat.said)
            question = next((q for q in known if q in said), None)
            if question is not None:
                found[known[question]] = chat.answer
    return found


def _asked(run: Transcript, questions: list[TestQuestion], *, tuned: bool) -> dict[str, str]:
    """The same, by the folded question of the test set."""
    return {
        folded(q): a for q, a in answers_of(run, [q.asked for q in questions], tuned=tuned).items()
    }


def _score(answers: dict[str, str], questions: list[TestQuestion]) -> float:
    return mean([exact_match(answers.get(folded(q.asked), ""), q.answer) for q in questions])

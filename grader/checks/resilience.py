"""API01x: what a fine-tuning workflow does when the service fails it, one way at a time.

Each check reads one run against a service that fails in this way. It counts only what the program
did after it met the fault: one that ends before, however nicely, has shown nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from grader.checks.api.context import Context, EvidenceRole, Verdict
from grader.checks.api.registry import check
from grader.checks.views.reported_results import (
    PartialCredit,
    WorkflowResultsError,
    ending,
    never_met,
    results_of,
    verdict,
)
from grader.checks.views.transcript import JobPoll, ServiceCall, TrainedJob, Transcript, transcript
from grader.checks.workflow import LOOKS_AFTER_END, followed_job, saw_end
from grader.core.payloads import ProgramRun
from grader.core.text import counted
from grader.training_data.read.fingerprint import folded

_SOON: Final = 0.9  # of the time asked for; sleeps may end a little early
_SHORTEST_WAIT_SECONDS: Final = 0.3  # after a server's fault; the client library waits 0.4 at least
_TRIES_OF_A_DEAD_KEY: Final = 3
_TRACE: Final = "Traceback (most recent call last)"
_RATE_LIMITED: Final = EvidenceRole("openai_rate_limited", ProgramRun)
_FLAKY: Final = EvidenceRole("openai_flaky", ProgramRun)
_JOB_FAILS: Final = EvidenceRole("openai_job_fails", ProgramRun)
_SUNSET: Final = EvidenceRole("openai_sunset", ProgramRun)
_TIMEOUT: Final = EvidenceRole("openai_timeout", ProgramRun)
_BAD_FILE: Final = EvidenceRole("openai_bad_file", ProgramRun)
_EXPIRED_KEY: Final = EvidenceRole("openai_expired_key", ProgramRun)
_QUOTED_WORDS: Final = 6  # of the service's message that have to be shown in a row

_NO_JOB: Final = "Let the workflow upload its data and create a job: nothing can go wrong before."


@check("API011", evidence=(_RATE_LIMITED,), measures=("refused", "share"))
def heeds_rate_limits(context: Context) -> Verdict:
    """Rate limits are heeded

    Why: A service that is asked too fast says how long to wait (429 with retry-after). Who asks
    again at once is refused again; who gives up loses a job that runs.

    Fix: Keep the retries of the client library, or catch RateLimitError: wait as long as the
    header retry-after says, then ask again.
    """
    run = transcript(context.seen(_RATE_LIMITED))
    refused = [call for call in run.calls if call.status == 429]
    hint = "After a 429 wait as long as retry-after says, ask again, and go on to the end."
    if not refused:
        return never_met(run, "came to a rate limit", _NO_JOB, {"refused": 0})
    hasty = [c for c in refused if _again_after(run, c) < _SOON * (c.retry_after or 0.0)]
    claims = [
        PartialCredit(not hasty, "at least the time of retry-after before the next try"),
        *_goes_on(run, refused),
    ]
    seen = _refusals(run, refused, "came too fast (429)", hasty)
    return verdict(seen, claims, hint, {"refused": len(refused)})


@check("API012", evidence=(_FLAKY,), measures=("refused", "share"))
def survives_server_errors(context: Context) -> Verdict:
    """Server errors are survived

    Why: Every service fails now and then (500), and is well again a moment later. A workflow of
    hours must not be lost to that.

    Fix: Keep the retries of the client library, or catch InternalServerError: wait a little longer
    after each failure, then ask again, a few times at most.
    """
    run = transcript(context.seen(_FLAKY))
    refused = [call for call in run.calls if call.status >= 500]
    hint = "After a server error ask again, after a short wait and a few times at most, and go on."
    if not refused:
        return never_met(run, "met a server error", _NO_JOB, {"refused": 0})
    hasty = [c for c in refused if _again_after(run, c) < _SHORTEST_WAIT_SECONDS]
    claims = [
        PartialCredit(not hasty, "a short wait before the next try"),
        *_goes_on(run, refused),
    ]
    seen = _refusals(run, refused, "met a server error (500)", hasty)
    return verdict(seen, claims, hint, {"refused": len(refused)})


@check("API013", evidence=(_JOB_FAILS,), measures=("jobs", "looks_after", "share"))
def reports_a_failed_job(context: Context) -> Verdict:
    """A failed job is reported

    Why: A job can fail after an hour. A program that knows only success waits for ever, or goes on
    with a model that is not there; one that ends with exit code 0 tells whoever called it that all
    is well.

    Fix: When the status is failed, print job.error.message and end with an exit code other than 0.
    """
    run = transcript(context.seen(_JOB_FAILS))
    return _failed_job(
        run,
        PartialCredit(len(run.jobs) <= 2, "no job after job: two at most"),
        'End with the job\'s own reason: if job.status == "failed": sys.exit(job.error.message)',
    )


@check("API014", evidence=(_SUNSET,), measures=("creates", "share"))
def falls_back_to_a_simulation(context: Context) -> Verdict:
    """Without the right to train, it explains that and simulates

    Why: OpenAI takes no new fine-tuning jobs from most accounts (403, training_not_available).
    Trying again changes nothing. The assignment then asks for a simulation of the expected
    improvement, which must not pass for a measurement.

    Fix: Catch PermissionDeniedError of the job's creation, print its message, and write
    openai_results.json with "simulated": true.
    """
    run = transcript(context.seen(_SUNSET))
    refused = [call for call in run.creates if call.status == 403]
    creates = len(run.creates)
    if not refused:
        return never_met(run, "tried to create a job", _NO_JOB, {"creates": creates})
    try:
        simulated, what = results_of(run).simulated, "results that do not say that they are made up"
    except WorkflowResultsError as error:
        simulated, what = False, f"no usable results ({error})"
    told = _names(run, refused[0].error.get("message"), "training_not_available", "403")
    claims = [
        PartialCredit(told, "the service's reason is shown"),
        PartialCredit(creates <= 2, "the creation is not tried again"),
        PartialCredit(simulated, 'openai_results.json with "simulated": true'),
        PartialCredit(run.verdict == "ok", "exit code 0"),
    ]
    seen = (
        f"The creation of a job was refused (403) {counted(len(refused), 'time')}; the program "
        f"{'wrote a simulation' if simulated else f'left {what}'} and {ending(run)}."
    )
    hint = "Catch openai.PermissionDeniedError around the job's creation, say so, and simulate."
    return verdict(seen, claims, hint, {"creates": creates})


@check("API015", evidence=(_TIMEOUT,), measures=("jobs", "share"))
def pays_once_when_an_answer_is_lost(context: Context) -> Verdict:
    """A job whose answer got lost is found, and not paid for twice

    Why: A request that timed out may have been carried out all the same. Whoever creates the job
    again pays twice; the client library does just that, unless it is told not to.

    Fix: Give the client a timeout, and max_retries=0 for the creation. After a time-out look with
    client.fine_tuning.jobs.list() whether the job is there; go on with it if it is.
    """
    run = transcript(context.seen(_TIMEOUT))
    jobs = run.jobs
    lost = [job for job in jobs if not job.made.answered]
    measures = {"jobs": len(jobs)}
    if not lost:
        return never_met(run, "created a job whose answer got lost", _NO_JOB, measures)
    job = lost[0]
    found = any(look.call.start >= job.made.end for look in run.looks(job))
    claims = [
        PartialCredit(len(jobs) == 1, "one job, and so one bill", weight=3),
        PartialCredit(run.ended_itself, "the program stops waiting for the lost answer"),
        PartialCredit(found, "it finds the job that was made"),
        PartialCredit(
            run.verdict == "ok" and saw_end(run, job, "succeeded"), "it goes on with that job"
        ),
    ]
    seen = (
        "The response to the creation of a job got lost. "
        f"{counted(len(jobs), 'job')} created in all; the program {ending(run)}."
    )
    hint = "Use OpenAI(timeout=30, max_retries=0), and look into jobs.list() before creating again."
    return verdict(seen, claims, hint, measures)


@check("API016", evidence=(_BAD_FILE,), measures=("jobs", "looks_after", "share"))
def reports_a_bad_file(context: Context) -> Verdict:
    """A file that the service finds invalid is reported

    Why: A file that is invalid stays so, however often it is uploaded. Only a person can mend it,
    and has to be told what is wrong.

    Fix: When the job has failed, print job.error.message and end with an exit code other than 0.
    Do not upload the file or create the job again.
    """
    run = transcript(context.seen(_BAD_FILE))
    once = len(run.jobs) == 1 and len(run.uploads) <= 1
    return _failed_job(
        run,
        PartialCredit(once, "the bad file is uploaded and tried once"),
        "Print job.error.message and stop: only a person can mend the training file.",
    )


@check("API017", evidence=(_EXPIRED_KEY,), measures=("requests", "share"))
def explains_an_expired_key(context: Context) -> Verdict:
    """An expired key is explained

    Why: A key that opens nothing (401) opens nothing the next time either. Its owner needs a
    sentence that says so, and whoever called the program an exit code that is not 0.

    Fix: Catch AuthenticationError, print what to do about the key, and end with sys.exit(1).
    """
    run = transcript(context.seen(_EXPIRED_KEY))
    refused = [call for call in run.calls if call.status == 401]
    measures = {"requests": len(run.calls)}
    hint = "Catch openai.AuthenticationError, say so in a sentence, and end with sys.exit(1)."
    if not refused:
        return never_met(run, "used its key", hint, measures)
    told = _names(run, refused[0].error.get("message"), "invalid_api_key", "401", "key")
    claims = [
        PartialCredit(told, "the key is named as the reason"),
        PartialCredit(_TRACE not in run.stderr, "a sentence, no stack trace"),
        PartialCredit(_exits_with_an_error(run), "an exit code other than 0"),
        PartialCredit(
            len(refused) <= _TRIES_OF_A_DEAD_KEY, "a dead key is not tried over and over"
        ),
    ]
    seen = (
        f"The key was refused (401) {counted(len(refused), 'time')}, and the program {ending(run)}."
    )
    return verdict(seen, claims, hint, measures)


def _failed_job(run: Transcript, once: PartialCredit, hint: str) -> Verdict:
    """What there is to do about a job that failed, whatever made it fail."""
    jobs, ends = run.jobs, _ends(run)
    measures = {"jobs": len(jobs), "looks_after": max(0, len(ends) - 1)}
    if not ends:
        what = "saw its job fail" if jobs else "created a job"
        return never_met(run, what, hint, measures)
    after = max(_looks_after(run, job) for job in jobs)
    measures["looks_after"] = after
    reason = ends[0].job.get("error")
    message = reason.get("message") if isinstance(reason, dict) else None
    code = str(reason.get("code")) if isinstance(reason, dict) else ""
    as_if = [c for c in run.model_calls if c.start > ends[0].call.end and not c.answered]
    claims = [
        PartialCredit(
            after <= LOOKS_AFTER_END and run.ended_itself,
            "no more looks at a job that has failed, and an end",
        ),
        PartialCredit(
            _names(run, message, *([code] if code else [])), "the job's own message is shown"
        ),
        PartialCredit(_exits_with_an_error(run), "an exit code other than 0"),
        PartialCredit(not as_if, "no question to a model that was never made"),
        once,
    ]
    seen = (
        f"{counted(len(jobs), 'job')} failed; it was looked at {after} times more, and the "
        f"program {ending(run)}."
    )
    return verdict(seen, claims, hint, measures)


def _ends(run: Transcript) -> list[JobPoll]:
    """The looks that showed a failed job, of all jobs, in order."""
    looks = [look for job in run.jobs for look in run.looks(job)]
    failed = [look for look in looks if look.job.get("status") == "failed"]
    return sorted(failed, key=lambda look: look.call.start)


def _looks_after(run: Transcript, job: TrainedJob) -> int:
    return max(0, sum(look.ended for look in run.looks(job)) - 1)


def _goes_on(run: Transcript, refused: Sequence[ServiceCall]) -> list[PartialCredit]:
    """What a fault that passes leaves to be done."""
    job = followed_job(run)
    given_up = [call for call in refused if not _answered_later(run, call)]
    done = job is not None and saw_end(run, job, "succeeded")
    return [
        PartialCredit(not given_up, "every refused request is made again until it is answered"),
        PartialCredit(len(run.jobs) == 1, "one job, and so one bill"),
        PartialCredit(
            run.verdict == "ok" and done, "the workflow goes on to its end, with exit code 0"
        ),
    ]


def _again(run: Transcript, refused: ServiceCall) -> ServiceCall | None:
    """The next request that is the same as a refused one."""
    later = (c for c in run.calls if c.digest == refused.digest and c.start > refused.start)
    return next(later, None)


def _again_after(run: Transcript, refused: ServiceCall) -> float:
    """How long the program waited before it made a refused request again; for ever if it did not.

    On the program's own clock, in seconds.
    """
    again = _again(run, refused)
    return float("inf") if again is None else again.waited_since(refused)


def _answered_later(run: Transcript, refused: ServiceCall) -> bool:
    same = (c for c in run.calls if c.digest == refused.digest and c.start > refused.start)
    return any(call.answered for call in same)


def _refusals(
    run: Transcript, refused: Sequence[ServiceCall], how: str, hasty: Sequence[ServiceCall]
) -> str:
    given_up = sum(not _answered_later(run, call) for call in refused)
    return (
        f"{counted(len(refused), 'request')} {how}: {len(hasty)} made again too soon, {given_up} "
        f"never answered. {counted(len(run.jobs), 'job')} created; the program {ending(run)}."
    )


def _exits_with_an_error(run: Transcript) -> bool:
    return run.verdict == "exit"


def _names(run: Transcript, message: object, *signs: str) -> bool:
    """Whether the program showed the service's message, its beginning, or one of these signs."""
    shown = folded(run.output)
    words = folded(message).split()[:_QUOTED_WORDS] if isinstance(message, str) else []
    return any(sign.lower() in shown for sign in signs) or (
        bool(words) and " ".join(words) in shown
    )

"""EVL01x: the bonus challenge of an extended evaluation, all three approaches on one benchmark.

The questions are the student's, the answers are those of our own runs: what stands in the results
is a claim that is held against them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from grader.assignment.benchmark import Benchmark, read_benchmark
from grader.checks.api.context import Context, EvidenceRole, Verdict, failed, passed, voluntary
from grader.checks.api.registry import check
from grader.checks.dspy_program import is_said
from grader.checks.views.domain_test import TestQuestion
from grader.checks.views.gain import correct
from grader.checks.views.prompts import prompts
from grader.checks.views.reported_results import PartialCredit, verdict
from grader.checks.views.test_set_answers import (
    asked_of,
    gives_away,
    not_counted,
    public_sentences,
    shares,
    unfair,
)
from grader.checks.views.transcript import transcript
from grader.core.constants import BENCHMARK_MIN_QUESTIONS, CLAIM_TOLERANCE, METRICS_MAX_BYTES
from grader.core.errors import FileRefused
from grader.core.metrics import chance_apart, mean, normalise
from grader.core.nouns import Severity
from grader.core.payloads import Answer, Answers, Predictions, ProgramRun
from grader.core.strict_json import StrictJsonError, loads
from grader.core.text import counted
from grader.intake.submission import read_file
from grader.topics.topic import normalised

BENCHMARK: Final = "benchmark"
SCRIPT: Final = "extended_evaluation"
RESULTS: Final = "benchmark_results"
_SEVERITY: Final = Severity.WARNING  # extra work is nothing that must be mended
_DSPY: Final = EvidenceRole("bench_dspy", Answers)
_OPENAI: Final = EvidenceRole("bench_openai", ProgramRun)
_LORA: Final = EvidenceRole("bench_lora", Predictions)
_MEASURES: Final = ("answered_share", "right", "claimed", "share")

_ENOUGH_ANSWERED: Final = 0.9  # of the questions; a run may lose a few
_ENOUGH_RIGHT: Final = 0.1  # below it a benchmark tells nothing about an approach
_LINE: Final = (
    "Each line has the form of the training data: a question of the user in one line, a short "
    "answer of the assistant, and no other system text than the data's."
)
_SHAPE: Final = (
    'Write {"questions": 60, "approaches": {"dspy": {"exact_match": 0.9}, "openai": …, '
    '"lora": …}} with your numbers.'
)


class _Measured(NamedTuple):
    """What our run of an approach gave: shares of the benchmark's `n` questions, 0 to 1.

    `trained_again`: its model was trained in our run, so it is not quite the student's. `aside` is
    said of what did not count.
    """

    n: int
    answered: float
    right: float
    trained_again: bool = False
    aside: str = ""


@check("EVL010", deliverables=(BENCHMARK,), measures=("questions", "share"), severity=_SEVERITY)
def benchmark_is_large_and_new(context: Context) -> Verdict:
    """The benchmark has at least 50 questions of its own

    Why: On 50 questions one answer is worth two points in a hundred, on ten it is worth ten. And
    only a question that nothing was trained on shows what an approach can do. A few more words
    around a known question make no new one. Where half of the answers are the same, always saying
    that one scores as well.

    Fix: Write 50 to 200 different questions that all three approaches may know the answer to, none
    of them in data/ or in your training data. One conversation a line, as in data/train.jsonl;
    answers of a few words, no single one to half of the questions.
    """
    try:
        found = read_benchmark(context.submission, context.assignment, context.bound(BENCHMARK))
    except FileRefused as error:
        return failed(error.message, error.hint)
    if found is None:
        return voluntary()
    own = len(found.questions.questions)
    alike = _same_answers(found)
    share = 0.0 if alike else min(1.0, own / BENCHMARK_MIN_QUESTIONS)
    measures = {"questions": own, "share": round(share, 3)}
    seen = f"{counted(own, 'question')} of its own{_left_out(found)}."
    if alike:
        return failed(
            f"{seen} {alike} of them have the same answer; less than half was expected.",
            "Ask for different things: where one answer is nearly always right, nobody has to know "
            "anything.",
            path=found.path,
            measures=measures,
        )
    if own >= BENCHMARK_MIN_QUESTIONS:
        return passed(seen, measures=measures)
    first = min([*found.unusable, *found.repeated, *found.known], default=None)
    return failed(
        f"{seen} At least {BENCHMARK_MIN_QUESTIONS} were expected.",
        f"Write more questions that stand nowhere in data/ or in your training data. {_LINE}",
        path=found.path,
        line=first,
        measures=measures,
    )


def _same_answers(found: Benchmark) -> int:
    """How many questions have the commonest answer, if that is half of them; else 0."""
    answers = Counter(normalise(answer) for answer in found.questions.answers.values())
    most = max(answers.values(), default=0)
    return most if most > 1 and 2 * most >= answers.total() else 0


def _left_out(found: Benchmark) -> str:
    """The lines that do not count, and why."""
    reasons = {
        "no question with a short answer, or a system text of its own": found.unusable,
        "a repeated question, or nearly so": found.repeated,
        "a question of the public or the training data, or nearly so": found.known,
    }
    told = [
        f"{counted(len(lines), 'line')} with {what} (first: line {lines[0]})"
        for what, lines in reasons.items()
        if lines
    ]
    return f"; left out: {', '.join(told)}" if told else ""


@check(
    "EVL011",
    deliverables=(
        SCRIPT,
        RESULTS,
    ),
    needs=("EVL010",),
    severity=_SEVERITY,
)
def results_are_submitted(context: Context) -> Verdict:
    """The extended evaluation's script and its results are submitted

    Why: The script shows how the numbers came to be, and the grader holds the numbers against its
    own runs.

    Fix: Submit extended_evaluation.py and the benchmark_results.json that it wrote.
    """
    try:
        script = context.place(SCRIPT)
        results = context.place(RESULTS)
        if script is None or results is None:
            missing = "extended_evaluation.py" if script is None else "benchmark_results.json"
            return failed(f"There is no {missing}.", "Submit both, the script and its results.")
        claims = _claims(context)
    except FileRefused as error:
        return failed(error.message, error.hint)
    except StrictJsonError as error:
        return failed(f"{results} cannot be read: {error}.", _SHAPE, path=results)
    if not claims:
        return failed(
            f'{results} holds no "exact_match" from 0 to 1 under "approaches".',
            _SHAPE,
            path=results,
        )
    return passed(f"It reports on {', '.join(claims)}.")


def _claims(context: Context) -> Mapping[str, float]:
    """The reported exact match of each approach, 0 to 1; what is none is left out.

    Raises FileRefused and StrictJsonError.
    """
    path = context.place(RESULTS)
    if path is None:
        return {}
    body = read_file(context.submission, path, METRICS_MAX_BYTES)
    value: Any = loads(body, max_bytes=METRICS_MAX_BYTES)
    approaches = value.get("approaches") if isinstance(value, dict) else None
    found = {}
    for name in ("dspy", "openai", "lora"):
        about = approaches.get(name) if isinstance(approaches, dict) else None
        share = about.get("exact_match") if isinstance(about, dict) else None
        if isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1:
            found[name] = float(share)
    return found


@check(
    "EVL012",
    deliverables=(RESULTS,),
    needs=("EVL011", "LAY010"),
    evidence=(_DSPY,),
    measures=_MEASURES,
    severity=_SEVERITY,
)
def dspy_answers_the_benchmark(context: Context) -> Verdict:
    """The DSPy program answers the benchmark, as reported

    Why: The grader asks your program every question of your benchmark, with the models of Part 1,
    of which the better one counts.
    A reported number that does not come out again misleads its readers. An answer counts if the
    model was asked and said it, and if its prompt did not hold it: passages of the topic may.

    Fix: Evaluate what `build_program()` of dspy_enhanced.py gives, on the benchmark as you hand it
    in, and report its exact match under "dspy".
    """
    every = context.read(_DSPY)
    # As in Part 1 the better model counts.
    run = max(map(every.on, every.models), key=lambda one: mean(correct(one.answers)))
    answers = run.answers
    given_away = [_is_given_away(run, one, context.assignment.topic) for one in answers]
    counts = [
        one.error is None and one.calls > 0 and not given
        for one, given in zip(answers, given_away, strict=True)
    ]
    right = [
        score if count and is_said(run, one) else 0.0
        for score, count, one in zip(correct(answers), counts, answers, strict=True)
    ]
    aside = not_counted(sum(given_away), "prompt")
    unasked = sum(one.calls == 0 and one.error is None for one in answers)
    if unasked:
        aside += f" {counted(unasked, 'answer')} came without asking the model."
    ran = _Measured(len(answers), mean([float(one) for one in counts]), mean(right), aside=aside)
    return _judged(context, "dspy", ran)


def _is_given_away(run: Answers, answer: Answer, topic: str) -> bool:
    """Whether one of the prompts to this question held its answer, and no model had said it."""
    question = TestQuestion(0, answer.question, answer.reference)
    allowed = list(public_sentences(topic))
    for prompt in prompts(run, answer):
        if gives_away(prompt, question, allowed):
            return True
        allowed += [normalised(prompt.reply), normalised(prompt.answer)]
    return False


@check(
    "EVL013",
    deliverables=(
        RESULTS,
        BENCHMARK,
    ),
    needs=("EVL011", "LAY022"),
    evidence=(_OPENAI,),
    measures=_MEASURES,
    severity=_SEVERITY,
)
def tuned_model_answers_the_benchmark(context: Context) -> Verdict:
    """The model tuned with OpenAI's service answers the benchmark, as reported

    Why: The grader runs `extended_evaluation.py openai` against its own service and reads there
    what the tuned model was asked and what it answered. A prompt that holds the expected answer
    does not count, and of several answers to a question their share does.

    Fix: With the argument `openai` the script finds or creates the job of openai_train.jsonl,
    asks the tuned model every question of benchmark.jsonl, one request a question, and reports
    its exact match under "openai".
    """
    benchmark = read_benchmark(context.submission, context.assignment, context.bound(BENCHMARK))
    if benchmark is None:  # it was there when EVL010 passed
        raise ValueError("the benchmark is gone")
    questions = [
        TestQuestion(line, asked, benchmark.questions.answers[question.id])
        for (line, asked), question in zip(
            benchmark.asked.items(), benchmark.questions.questions, strict=True
        )
    ]
    run = transcript(context.seen(_OPENAI))
    asked = [one for one in asked_of(run, questions, context.assignment.topic) if one.chat.tuned]
    right = shares(asked)
    n = len(questions)
    ran = _Measured(
        n, len(right) / n, sum(right.values()) / n, trained_again=True, aside=unfair(asked)
    )
    return _judged(context, "openai", ran)


@check(
    "EVL014",
    deliverables=(RESULTS,),
    needs=("EVL011", "LAY030"),
    evidence=(_LORA,),
    measures=_MEASURES,
    severity=_SEVERITY,
)
def adapter_answers_the_benchmark(context: Context) -> Verdict:
    """The LoRA adapter answers the benchmark, as reported

    Why: The grader asks your adapter every question of your benchmark, in the same way as the
    hidden ones.

    Fix: Evaluate the adapter that you submit, with the chat template and greedy decoding, and
    report its exact match under "lora".
    """
    answers = context.read(_LORA).answers
    answered = mean([float(bool(one.text.strip())) for one in answers])
    return _judged(context, "lora", _Measured(len(answers), answered, mean(correct(answers))))


def _judged(context: Context, approach: str, ran: _Measured) -> Verdict:
    claimed = _claims(context).get(approach)
    allowed = CLAIM_TOLERANCE
    if ran.trained_again and claimed is not None:  # another training run than the student's
        allowed += chance_apart(claimed, ran.n, ran.right, ran.n)
    real = ran.answered >= _ENOUGH_ANSWERED and ran.right >= _ENOUGH_RIGHT
    agrees = claimed is not None and abs(claimed - ran.right) <= allowed
    reported = "nothing is reported" if claimed is None else f"{claimed:.0%} reported"
    seen = (
        f"In the grader's run it answered {ran.answered:.0%} of {ran.n} questions, {ran.right:.0%} "
        f"rightly; {reported}.{ran.aside}"
    )
    claims = [
        PartialCredit(
            real,
            f"{_ENOUGH_ANSWERED:.0%} of the questions answered, {_ENOUGH_RIGHT:.0%} rightly",
            weight=2,
        ),
        # A number about an approach that did not run agrees with nothing.
        PartialCredit(real and agrees, "a reported number that agrees with the grader's"),
    ]
    measures = {"answered_share": round(ran.answered, 3), "right": round(ran.right, 3)}
    hint = f"Evaluate {approach} on the benchmark as you submit it, and report that. {_SHAPE}"
    return verdict(seen, claims, hint, {**measures, "claimed": claimed})

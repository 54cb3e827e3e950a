"""DSP001-005, DSP011: what a DSPy program answers to questions unknown to its author, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from grader.checks.api.context import Context, EvidenceRole, Verdict, failed, passed
from grader.checks.api.registry import check
from grader.checks.views.gain import GAIN_MEASURES, GainWords, correct, gain_beside_guessing
from grader.checks.views.program_models import ProgramRuns, counted_in
from grader.checks.views.prompts import additions, demonstrations, prompts
from grader.core.constants import (
    ADDITION_SHARE_AT_LEAST,
    CHANGED_SHARE_AT_LEAST,
    PARSE_FAILURE_SHARE_AT_MOST,
)
from grader.core.metrics import exact_match, mean, normalise
from grader.core.payloads import Answer, Answers
from grader.core.text import about, counted
from grader.topics import get_topic
from grader.topics.topic import SPLITS, normalised
from grader.training_data.rules.rule import quoted

ORIGINAL: Final = EvidenceRole("dspy_original", Answers)
ENHANCED: Final = EvidenceRole("dspy_enhanced", Answers)
PERTURBED: Final = EvidenceRole("dspy_perturbed", Answers)
_DECIMALS: Final = 4
_SHORT: Final = 3  # characters; the chemical symbol of one element begins another word


def _counted(ctx: Context) -> ProgramRuns:
    return counted_in(ctx, ORIGINAL, ENHANCED)


def _share(holds: Sequence[bool]) -> float:
    return round(mean([float(one) for one in holds]), _DECIMALS)


@check("DSP001", evidence=(ORIGINAL, ENHANCED), measures=("answered_share", "n"))
def answers_every_question(ctx: Context) -> Verdict:
    """The program answers every question

    Why: A program that stops at one question stops at a user's. The grader makes the program as
    the assignment says, asks it one question after another, and takes the `answer` of what comes
    back.

    Fix: Make the program where the assignment expects it, let it take `question`, and return a
    prediction with a text in `answer` even when nothing was found. Try it on data/test.jsonl.
    """
    answers = _counted(ctx).enhanced.answers
    errors = Counter(one.error for one in answers if one.error is not None)
    answered = len(answers) - errors.total()
    n = len(answers)
    measures = {"answered_share": round(answered / n, _DECIMALS), "n": n}
    if not errors:
        exact = f"It answered all {counted(n, 'question')}."
        return passed("It answered every question.", exact=exact, measures=measures)
    usual, times = errors.most_common(1)[0]
    some = "most" if 2 * answered > n else "some" if answered else "none"
    return failed(
        f"It answered {some} of the questions; at others it ended in an error or gave no text.",
        "Run dspy_enhanced.py as the kit's README says, then import it from another file and ask "
        "its program a question.",
        measures=measures,
        exact=f"It answered {answered} of {counted(n, 'question')}; {times} times it ended in "
        f"{quoted(usual, 300)}.",
    )


@check(
    "DSP002",
    evidence=(ORIGINAL, ENHANCED),
    measures=("chance", *GAIN_MEASURES),
)
def improves_on_the_original(ctx: Context) -> Verdict:
    """The program answers more hidden questions than the original

    Why: An addition is worth its tokens only if more answers are right. Both programs answer the
    same hidden questions with the same model. The gain counts from the higher of two references:
    the original, and always giving the most frequent public answer to that kind of question. It is
    real when the lower end of its 95 % interval (paired bootstrap over the questions) is above
    zero. Where the assignment has several models, both programs run on each, and the model counts
    on which that lower end is highest: one may read passages well, another one follow examples.

    Fix: Look at wrong answers on data/test.jsonl one by one: was the right passage in the prompt,
    or the right example, did the model use it, and was its reply read as it was meant?
    """
    hint = (
        "Add one thing that the model can use: the best passage of data/passages.jsonl for the "
        "reader, four right examples or a step that recalls the fact for the chat model. Give the "
        "shortest correct answer, as the data does."
    )
    words = GainWords("with your program", "with the original", "the original")
    runs = _counted(ctx)
    verdict = gain_beside_guessing(runs.original.answers, runs.enhanced.answers, words, hint)
    if len(runs.gains) == 1:
        return verdict
    counts = f"So on {runs.model}, which counts."
    exact, rounded = [verdict.exact, counts], [verdict.message, counts]
    for model, gain in runs.gains.items():
        if model != runs.model:
            original, enhanced = ctx.read(ORIGINAL).on(model), ctx.read(ENHANCED).on(model)
            before, after = mean(correct(original.answers)), mean(correct(enhanced.answers))
            exact.append(
                f"On {model}: {after:.0%} with your program, {before:.0%} with the original, gain "
                f"{gain.delta:+.0%} ({gain.low95:+.0%} to {gain.high95:+.0%})."
            )
            rounded.append(f"On {model}: {about(after)}, with the original {about(before)}.")
    return replace(verdict, message=" ".join(rounded), exact=" ".join(exact))


@check(
    "DSP003",
    evidence=(ORIGINAL, ENHANCED, PERTURBED),
    measures=("changed_share", "said_share", "calls_per_question"),
)
def depends_on_the_model(ctx: Context) -> Verdict:
    """The program's answers depend on what the model says

    Why: A program that prints constants, or reads its answers from a table, works only on what its
    author foresaw. The grader asks some questions again while every word that the model says is
    replaced by another one, in the same form. Answers that come from the model then change. And
    with the model as it is, they stand in its replies. Half of them must, both times: a program may
    also check or mend what the model says.

    Fix: Return what the model answered. Look up passages for the prompt, not answers.
    """
    model, _, run, _ = _counted(ctx)
    plain = {one.id: one for one in run.answers}
    again = ctx.read(PERTURBED).on(model).answers
    both = [(plain[one.id], one) for one in again if plain[one.id].error is None]
    calls = mean([float(one.calls) for one in run.answers])
    said = [is_said(run, one) for one in run.answers if one.text]
    said_share = _share(said) if said else 0.0
    measures = {
        "changed_share": 0.0,
        "said_share": said_share,
        "calls_per_question": round(calls, 2),
    }
    hint = "Give the question to a DSPy module, and return the answer that it predicts."
    if not both:
        return failed("It answered no question that could be compared.", hint, measures=measures)
    changed = [new.error is not None or not exact_match(new.text, old.text) for old, new in both]
    share = _share(changed)
    measures["changed_share"] = share
    exact = (
        f"When the model said something else, {sum(changed)} of "
        f"{counted(len(both), 'answer')} changed; {said_share:.0%} of the answers stand in what "
        f"the model said. It was asked {calls:.1f} times a question."
    )
    few = {
        "change when the model says something else": share < CHANGED_SHARE_AT_LEAST,
        "stand in what the model said": said_share < CHANGED_SHARE_AT_LEAST,
    }
    if not any(few.values()):
        found = f"Enough of its answers {' and '.join(few)}."
        return passed(found, exact=exact, measures=measures)
    found = f"Too few of its answers {' or '.join(what for what, so in few.items() if so)}."
    return failed(found, hint, exact=exact, measures=measures)


def is_said(run: Answers, answer: Answer) -> bool:
    """Whether the answer stands in a reply of the model to this question."""
    replies = " ".join(normalise(prompt.reply) for prompt in prompts(run, answer))
    return f" {normalise(answer.text)} " in f" {replies} "


@check(
    "DSP004",
    evidence=(ORIGINAL, ENHANCED),
    measures=("passages_share", "demos_share", "reasoning_share", "share"),
)
def addition_is_in_the_prompts(ctx: Context) -> Verdict:
    """What the program adds can be seen in its prompts

    Why: Retrieval, examples and structured reasoning work only if they reach the model. The grader
    reads what the model was really asked, and compares it with what the original asks for the same
    question: passages that belong to the question, demonstrations, and output fields before the
    answer, where they can still help it. One of them must be there for most questions.

    Fix: Print what is sent (`dspy.inspect_history()`) and look for your addition. A demonstration
    must be set on the predictor that is called, and a passage must be one of its input fields.
    """
    topic = get_topic(ctx.assignment.topic)
    known = [example.question for split in SPLITS for example in topic.public(split)]
    _, original, run, _ = _counted(ctx)
    known += [pair.question for pair in run.extra]
    added = additions(run, original, [k for k in known if k])
    shares = {
        "passages_share": _share(added.passages),
        "demos_share": _share(added.demos),
        "reasoning_share": _share(added.reasoning),
    }
    measures = {**shares, "share": max(shares.values())}
    exact = (
        f"Of the questions, {shares['passages_share']:.0%} went to the model with passages, "
        f"{shares['demos_share']:.0%} with demonstrations, {shares['reasoning_share']:.0%} with "
        "reasoning fields that the original has not."
    )
    if measures["share"] >= ADDITION_SHARE_AT_LEAST:
        found = "Passages, demonstrations or reasoning fields reach the model."
        return passed(found, exact=exact, measures=measures)
    return failed(
        "Neither passages nor demonstrations, nor reasoning fields that the original has not, "
        "reach the model for enough of the questions.",
        "Add passages, demonstrations or reasoning fields to what the model reads.",
        measures=measures,
        exact=exact,
    )


@check(
    "DSP005",
    evidence=(ORIGINAL, ENHANCED),
    measures=(
        "parse_failure_share",
        "original_parse_failure_share",
        "calls_per_question",
        "input_tokens_per_question",
        "output_tokens_per_question",
    ),
)
def replies_can_be_read(ctx: Context) -> Verdict:
    """The model's replies can be read

    Why: When a reply lacks the fields that were asked for, DSPy asks the whole question again, for
    JSON. That doubles time and price. The grader counts it from what was sent, apart from right
    and wrong. As many such questions are allowed as the original has, and a few more.

    Fix: Ask for fewer fields, with simple types, and name what each should hold. A field that a
    small model cannot fill is better left out.
    """
    shares, means = {}, {}
    _, original, enhanced, _ = _counted(ctx)
    for when, run in (("original_", original), ("", enhanced)):
        answers = run.answers
        shares[when] = _share([one.parse_failures > 0 for one in answers])
        for name in ("calls", "input_tokens", "output_tokens"):
            means[when + name] = round(mean([float(getattr(one, name)) for one in answers]), 2)
    measures = {
        "parse_failure_share": shares[""],
        "original_parse_failure_share": shares["original_"],
        "calls_per_question": means["calls"],
        "input_tokens_per_question": means["input_tokens"],
        "output_tokens_per_question": means["output_tokens"],
    }
    exact = (
        f"For {shares['']:.0%} of the questions a reply could not be read (original: "
        f"{shares['original_']:.0%}). A question took {means['calls']:.1f} calls and "
        f"{means['input_tokens'] + means['output_tokens']:.0f} tokens (original: "
        f"{means['original_calls']:.1f} and "
        f"{means['original_input_tokens'] + means['original_output_tokens']:.0f})."
    )
    hint = "Simplify the signature's output fields."
    if not means["calls"]:
        return failed("It never asked the model.", hint, exact=exact, measures=measures)
    if shares[""] > shares["original_"] + PARSE_FAILURE_SHARE_AT_MOST:
        found = "Fewer of the replies to it can be read than of those to the original."
        return failed(found, hint, exact=exact, measures=measures)
    found = "Replies to it can be read as often as those to the original."
    return passed(found, exact=exact, measures=measures)


@check(
    "DSP011",
    evidence=(ORIGINAL, ENHANCED),
    measures=("demonstrations", "wrong"),
)
def demonstrations_are_right(ctx: Context) -> Verdict:
    """The demonstrations in the prompts are right

    Why: A demonstration shows a model how to answer, whether its own answer is right or not: a
    small model takes the form from it and nothing else, and a larger one the mistake as well. So
    the score does not show wrong ones, and whoever reads the prompts does. The grader holds the
    answers in earlier turns of the chat against the topic's facts, where they ask for one.

    Fix: Take demonstrations from data/train.jsonl with their answers, or look yours up in
    data/passages.jsonl.
    """
    topic = get_topic(ctx.assignment.topic)
    run = _counted(ctx).enhanced
    shown = dict.fromkeys(
        (question, said)
        for answer in run.answers
        for prompt in prompts(run, answer)
        for question, said in demonstrations(prompt)
        if normalised(question) != normalised(answer.question)  # a talk about it shows nothing
    )
    facts = [(topic.recognised(question), question, answer) for question, answer in shown]
    known = [(fact, question, answer) for fact, question, answer in facts if fact is not None]
    wrong = [one for one in known if not _says(one[2], one[0].answer)]
    measures = {"demonstrations": len(shown), "wrong": len(wrong)}
    if not wrong:
        some = f"None of {counted(len(shown), 'demonstration')} contradicts the topic's facts."
        return passed(some if shown else "There are no demonstrations.", measures=measures)
    _, question, answer = wrong[0]
    return failed(
        f"{counted(len(wrong), 'demonstration')} of {len(shown)} "
        f"{'contradicts' if len(wrong) == 1 else 'contradict'} the topic's facts; the first says "
        f"{quoted(answer, 60)} to {quoted(question, 120)}.",
        "Look up the right answer in data/passages.jsonl.",
        measures=measures,
    )


def _says(answer: str, fact: str) -> bool:
    """Whether the answer has the fact in it, alone, in a sentence, or with an ending."""
    given, wanted = normalise(answer), normalise(fact)
    longer = len(wanted) > _SHORT and any(word.startswith(wanted) for word in given.split())
    return longer or f" {wanted} " in f" {given} "

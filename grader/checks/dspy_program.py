"""DSP001-005: what a DSPy program answers to questions that its author has not seen, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from grader.checks.api.context import Context, EvidenceRole, Verdict, failed, passed
from grader.checks.api.registry import check
from grader.checks.views.gain import GAIN_MEASURES, GainWords, gain_beside_guessing
from grader.checks.views.prompts import additions, prompts
from grader.core.constants import (
    ADDITION_SHARE_AT_LEAST,
    CHANGED_SHARE_AT_LEAST,
    PARSE_FAILURE_SHARE_AT_MOST,
)
from grader.core.metrics import exact_match, mean, normalise
from grader.core.payloads import Answer, Answers
from grader.core.text import counted
from grader.topics import get_topic
from grader.topics.topic import SPLITS
from grader.training_data.rules.rule import quoted

ORIGINAL: Final = EvidenceRole("dspy_original", Answers)
ENHANCED: Final = EvidenceRole("dspy_enhanced", Answers)
PERTURBED: Final = EvidenceRole("dspy_perturbed", Answers)
_DECIMALS: Final = 4


def _share(holds: Sequence[bool]) -> float:
    return round(mean([float(one) for one in holds]), _DECIMALS)


@check("DSP001", evidence=(ENHANCED,), measures=("answered_share", "n"))
def answers_every_question(ctx: Context) -> Verdict:
    """The program answers every question

    Why: A program that stops at one question stops at a user's. The grader makes the program as
    the assignment says, asks it one question after another, and takes the `answer` of what comes
    back.

    Fix: Make the program where the assignment expects it, let it take `question`, and return a
    prediction with a text in `answer` even when nothing was found. Try it on data/test.jsonl.
    """
    answers = ctx.read(ENHANCED).answers
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
    zero.

    Fix: Look at wrong answers on data/test.jsonl one by one: was the right passage in the prompt,
    did the model use it, and was its reply read as it was meant?
    """
    hint = (
        "Passages help most here: look the subject of the question up in data/passages.jsonl and "
        "give the model the best passage. Give the shortest correct answer, as the data does."
    )
    words = GainWords("with your program", "with the original", "the original")
    before, after = ctx.read(ORIGINAL).answers, ctx.read(ENHANCED).answers
    return gain_beside_guessing(before, after, words, hint)


@check(
    "DSP003",
    evidence=(ENHANCED, PERTURBED),
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
    run = ctx.read(ENHANCED)
    plain = {one.id: one for one in run.answers}
    again = ctx.read(PERTURBED).answers
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
    question: passages that belong to the question, demonstrations, and output fields beside the
    answer. One of them must be there for most questions.

    Fix: Print what is sent (`dspy.inspect_history()`) and look for your addition. A demonstration
    must be set on the predictor that is called, and a passage must be one of its input fields.
    """
    topic = get_topic(ctx.assignment.topic)
    known = [example.question for split in SPLITS for example in topic.public(split)]
    run = ctx.read(ENHANCED)
    known += [pair.question for pair in run.extra]
    added = additions(run, ctx.read(ORIGINAL), [k for k in known if k])
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
    for when, role in (("original_", ORIGINAL), ("", ENHANCED)):
        answers = ctx.read(role).answers
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

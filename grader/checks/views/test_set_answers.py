"""What models answered to the questions of the test set in one run, from its requests alone.

A prompt that gives the expected answer away counts for nothing: the test set lies beside the
program, with its answers. Passages of the topic may hold it, and so may what a model said before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from grader.checks.api.context import Verdict, failed, passed
from grader.checks.views.domain_test import TestQuestion
from grader.checks.views.gain import gain_verdict
from grader.checks.views.prompts import ChatPrompt, own_lines, prompt_of
from grader.checks.views.transcript import Chat, TrainedJob, Transcript
from grader.core.constants import PASSAGE_MIN_WORDS
from grader.core.metrics import Gain, exact_match, mean
from grader.core.text import counted
from grader.topics import get_topic
from grader.topics.topic import normalised
from grader.training_data.examples.overlap import overlap
from grader.training_data.read.examples import Example, Kind
from grader.training_data.read.fingerprint import folded

_MOST_ITEMS: Final = 100  # of a list in a prompt; no retrieval needs more


@dataclass(frozen=True, slots=True)
class TestSetAnswer:
    """One test question as one request put it to a model, with the answer in its reply.

    `key` is the question in folded form; `fair`: the prompt did not give the answer away.
    """

    key: str
    question: TestQuestion
    fair: bool
    chat: Chat
    prompt: ChatPrompt

    @property
    def right(self) -> float:
        """Exact match of the answer."""
        return exact_match(self.prompt.answer, self.question.answer)


def different(questions: Sequence[TestQuestion]) -> dict[str, TestQuestion]:
    """The test questions by their folded form, in order."""
    return {folded(question.asked): question for question in questions}


def asked_of(run: Transcript, questions: Sequence[TestQuestion], topic: str) -> list[TestSetAnswer]:
    """The requests with a test question, in order.

    A request counts for one question: the longest that its last message holds.
    """
    known = different(questions)
    longest_first = sorted(filter(None, known), key=len, reverse=True)
    public = public_sentences(topic)
    replies: dict[str, list[str]] = {}
    found = []
    for chat in run.chats:
        said = folded(chat.said)
        key = next((key for key in longest_first if key in said), None)
        if key is None:
            continue
        told = chat.call.told
        prompt = prompt_of(chat.call.asked, told if isinstance(told, dict) else {})
        before = replies.setdefault(key, [])
        fair = not gives_away(prompt, known[key], [*public, *before])
        if fair:
            before += [normalised(prompt.reply), normalised(prompt.answer)]
        found.append(TestSetAnswer(key, known[key], fair, chat, prompt))
    return found


def unfair(asked: Iterable[TestSetAnswer]) -> str:
    """What is said of prompts that do not count, "" where there are none."""
    return not_counted(sum(not one.fair for one in asked), "request")


def not_counted(number: int, what: str) -> str:
    """The same, of so many requests, or of what else is counted."""
    found = f"{what} already holds" if number == 1 else f"{what}s already hold"
    return f" {number} {found} the expected answer and do not count." if number else ""


def gives_away(prompt: ChatPrompt, question: TestQuestion, allowed: Sequence[str]) -> bool:
    """Whether the expected answer stands in what is asked now, outside of these texts.

    Or in what stands beside it, when the question does as well: an example of itself.
    """
    answer = f" {normalised(question.answer)} "
    asked = normalised(question.asked)
    beside = f" {normalised(prompt.beside)} "
    texts = [f" {normalised(_without_numbers(prompt.last))} "]
    if asked and f" {asked} " in beside:
        texts.append(beside)
    for left in texts:
        for text in (asked, *allowed):
            if answer in f" {text} ":
                left = left.replace(f" {text} ", "  ")
        if answer.strip() and answer in left:
            return True
    return False


def _without_numbers(text: str) -> str:
    """The text without the numbers that DSPy puts before the items of a list."""
    for number in range(1, _MOST_ITEMS + 1):
        mark = f"[{number}] «"
        if mark not in text:
            break
        text = text.replace(mark, "«")
    return text


@lru_cache(maxsize=4)
def public_sentences(topic: str) -> tuple[str, ...]:
    """The sentences of the passages that every student has."""
    facts = get_topic(topic)
    whole = (facts.passage(subject) for subject in facts.facts)
    sentences = (normalised(one) for passage in whole for one in passage.split(". "))
    return tuple(one for one in sentences if one.count(" ") + 1 >= PASSAGE_MIN_WORDS)


def share_of(asked: Iterable[TestSetAnswer], questions: Sequence[TestQuestion]) -> float:
    """The share of the test questions that were put fairly in these requests, 0 to 1."""
    return round(len({one.key for one in asked if one.fair}) / len(different(questions)), 3)


def gain(
    base: Sequence[TestSetAnswer],
    tuned: Sequence[TestSetAnswer],
    questions: Sequence[TestQuestion],
    who: str,
    hint: str,
) -> Verdict:
    """Whether the tuned answers are better; measures are GAIN_MEASURES.

    Of the base any right answer to a question counts, of the tuned model the share of right ones:
    a program that knows the expected answer could else ask until it comes. Where the base was not
    asked nothing is gained.
    """
    before: dict[str, float] = {}
    for one in filter(_fair, base):
        before[one.key] = max(before.get(one.key, 0.0), one.right)
    after = shares(tuned)
    keys = list(different(questions))
    first = [before.get(key, 0.0) for key in keys]
    second = [after.get(key, 0.0) if key in before else 0.0 for key in keys]

    def text(gain: Gain, interval: str) -> str:
        return (
            f"Of {counted(len(keys), 'test question')} the base answered {sum(first):.0f} rightly "
            f"and {who} {sum(second):.3g}, where both were asked: {interval})."
            f"{unfair([*base, *tuned])}"
        )

    expected = " Expected: a gain beyond luck."
    return gain_verdict(first, second, text, hint, expected=expected, decimals=3)


def _fair(one: TestSetAnswer) -> bool:
    return one.fair


def shares(tuned: Iterable[TestSetAnswer]) -> dict[str, float]:
    """The share of right answers by question; what asked for other fields than the last request
    was a step on the way."""
    by_question: dict[str, list[TestSetAnswer]] = {}
    for one in filter(_fair, tuned):
        by_question.setdefault(one.key, []).append(one)
    return {
        key: mean([one.right for one in every if one.prompt.outputs == every[-1].prompt.outputs])
        for key, every in by_question.items()
    }


def trained_on(run: Transcript, job: TrainedJob) -> list[Example]:
    """The examples that a job trained on; none where its file was not uploaded in this run."""
    return [one for upload in run.uploads if upload.id == job.file for one in upload.examples]


def keeps_apart(run: Transcript, questions: Sequence[TestQuestion]) -> Verdict:
    """Whether no test question stands in a file that a job trained on; measures: `leaked`.

    It may stand within a longer prompt, and a line of one may be nearly the same.
    """
    examples = [example for job in run.jobs for example in trained_on(run, job)]
    prompts = [f" {normalised(example.prompt)} " for example in examples]
    tests = [_chat(q.line, q.asked, q.answer) for q in questions]
    bare = {q.line: normalised(q.asked) for q in questions if normalised(q.asked)}
    inside = {n for n, asked in bare.items() if any(f" {asked} " in text for text in prompts)}
    parts = [_chat(e.line, line, e.answer) for e in examples for line in own_lines(e.prompt)]
    leaked = inside | {fault.line for fault in overlap(tests, parts) if fault.line is not None}
    measures = {"leaked": len(leaked)}
    if not run.jobs:
        hint = "Create a fine-tuning job, and train on questions of your own."
        return failed("No job was created, so nothing was trained.", hint, measures=measures)
    if not leaked:
        said = f"{counted(len(examples), 'example')} trained on, none of them a test question."
        return passed(said, measures=measures)
    return failed(
        f"{counted(len(leaked), 'test question')} of {len(questions)} stood in what was trained "
        f"on, word for word or nearly; the first is line {min(leaked)} of the test set.",
        "Train on other questions: a model repeats what it was trained on.",
        measures=measures,
    )


def _chat(line: int, asked: str, answer: str) -> Example:
    messages: list[Mapping[str, Any]] = [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": answer},
    ]
    return Example(line, b"", Kind.CHAT, {"messages": messages})

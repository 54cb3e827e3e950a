"""The gain between right answers to the same questions before and after, and the verdict on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from grader.checks.api.context import Verdict, failed, passed
from grader.core.metrics import Gain, exact_match, mean, paired_gain
from grader.core.nouns import Measures, Outcome
from grader.core.payloads import Answer, Prediction
from grader.core.text import about
from grader.topics.domain import states_fact

GAIN_MEASURES: Final = ("before", "after", "delta", "delta_low95", "delta_high95", "p_value", "n")


def correct(answers: Iterable[Answer | Prediction]) -> list[float]:
    """Exact match per question, shape [n]."""
    return [exact_match(answer.text, answer.reference) for answer in answers]


def stated(answers: Iterable[Answer | Prediction], topic: str) -> list[float]:
    """1.0 for each answer that is the expected one or a sentence that states it, shape [n].

    Students choose the form of their own training answers, and a model learns it.
    """
    return [
        float(
            exact_match(answer.text, answer.reference) == 1.0
            or states_fact(topic, answer.question, answer.text)
        )
        for answer in answers
    ]


def guessed(answers: Iterable[Answer | Prediction]) -> list[float]:
    """Exact match of the most frequent public answer to such a question, shape [n]."""
    return [exact_match(answer.guess, answer.reference) for answer in answers]


def gain_verdict(
    before: Sequence[float],
    after: Sequence[float],
    text: Callable[[Gain, str], str],
    hint: str,
    *,
    reference: Sequence[float] | None = None,
    expected: str = "",
    decimals: int | None = None,
    more: Measures | None = None,
) -> Verdict:
    """Whether the gain is real: the lower end of its 95 % interval is above zero.

    `before` and `after` are scores from 0 to 1 of the same questions, shape [n]; the gain counts
    from `reference`, by default from `before`. `text` says what was found, from the gain and from
    its size with the interval in words; `expected` is added where the gain is not real. Measures
    are GAIN_MEASURES, rounded to `decimals` if given, and `more`.
    """
    gain = paired_gain(before if reference is None else reference, after)
    shares = {
        "before": mean(before),
        "after": mean(after),
        "delta": gain.delta,
        "delta_low95": gain.low95,
        "delta_high95": gain.high95,
    }
    if decimals is not None:
        shares = {name: round(share, decimals) for name, share in shares.items()}
    measures = {**shares, **(more or {}), "p_value": gain.p_value, "n": gain.n}
    said = text(gain, f"{gain.delta:+.0%} (95 % interval {gain.low95:+.0%} to {gain.high95:+.0%}")
    if gain.low95 > 0:
        return passed(said, measures=measures)
    return failed(f"{said}{expected}", hint, measures=measures)


class GainWords(NamedTuple):
    """How the two sides are called: "with the adapter", "without it" and "the bare base"."""

    after: str
    before: str
    reference: str


def gain_beside_guessing(
    before: Sequence[Answer | Prediction],
    after: Sequence[Answer | Prediction],
    words: GainWords,
    hint: str,
    right_in: Callable[[Sequence[Answer | Prediction]], list[float]] = correct,
) -> Verdict:
    """The verdict on the gain over the higher of two references, on hidden questions.

    These are `before`, and always giving the most frequent public answer to that kind of question;
    the measure `chance` is the latter's share of right answers. A student reads tens of percent.
    `right_in` scores answers, 0 to 1 each.
    """
    right, tuned = right_in(before), right_in(after)
    guess = guessed(before)
    guessing = mean(guess) > mean(right)
    name = "guessing the most frequent answer" if guessing else words.reference

    def text(gain: Gain, interval: str) -> str:
        return (
            f"Exact match on {gain.n} held-out questions: {mean(tuned):.0%} {words.after}, "
            f"{mean(right):.0%} {words.before}, {mean(guess):.0%} by guessing. "
            f"Gain over {name}: {interval}, exact McNemar p = {gain.p_value:.2g})."
        )

    reference = guess if guessing else right
    chance = {"chance": mean(guess)}
    verdict = gain_verdict(right, tuned, text, hint, reference=reference, more=chance)
    real = "more" if verdict.outcome is Outcome.PASS else "no more"
    rounded = (
        f"Of the hidden questions {about(mean(tuned))} are right {words.after}, "
        f"{about(mean(right))} {words.before}, {about(mean(guess))} by guessing. The gain over "
        f"{name} is {real} than chance explains."
    )
    return replace(verdict, message=rounded, exact=verdict.message)

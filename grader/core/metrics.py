"""How close an answer is to its reference, and whether two sets of answers differ by chance.

Normalisation and token F1 follow SQuAD 1.1 (Rajpurkar et al. 2016, arXiv:1606.05250): lower case,
no punctuation, no articles, single spaces. BLEU is sacrebleu's sentence BLEU with effective order,
because reference answers of one or two words have no 4-grams. ROUGE-L is rouge-score's F-measure.

Gains are paired comparisons over the same questions, by scipy. Exact McNemar: McNemar 1947; with
few discordant pairs the exact binomial form is used. Paired percentile bootstrap: Efron &
Tibshirani 1993, ch. 13.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from grader.core.constants import BOOTSTRAP_RESAMPLES, BOOTSTRAP_SEED, CONFIDENCE

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Lower case, without punctuation, articles and extra spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, reference: str) -> float:
    """1.0 when both are the same after normalisation, else 0.0.

    A reference of which normalisation leaves nothing ("A", "%") is compared unchanged:
        otherwise an empty answer would be right.
    """
    if not normalise(reference):
        return float(answer.strip().lower() == reference.strip().lower())
    return float(normalise(answer) == normalise(reference))


def token_f1(answer: str, reference: str) -> float:
    """Harmonic mean of precision and recall over the shared words, 0 to 1."""
    got, expected = normalise(answer).split(), normalise(reference).split()
    shared = sum((Counter(got) & Counter(expected)).values())
    if not got or not expected:
        return exact_match(answer, reference)
    return 2 * shared / (len(got) + len(expected))


def bleu(answer: str, reference: str) -> float:
    """sacrebleu sentence BLEU (effective order), scaled to 0 to 1."""
    return float(_sacrebleu().sentence_score(answer, [reference]).score) / 100


def rouge_l(answer: str, reference: str) -> float:
    """ROUGE-L F-measure, 0 to 1."""
    return float(_rouge().score(reference, answer)["rougeL"].fmeasure)


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; ValueError on nothing, since no number would be honest."""
    if not values:
        raise ValueError("the mean of nothing")
    return sum(values) / len(values)


@cache
def _sacrebleu() -> Any:
    from sacrebleu.metrics import BLEU  # heavy; only grading needs it

    return BLEU(effective_order=True)


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # heavy (nltk); only grading needs it

    return RougeScorer(["rougeL"])


@dataclass(frozen=True, slots=True)
class Gain:
    """A paired difference. `delta` is the mean of after - before over `n` questions.

    `low95` and `high95` bound its two-sided 95 % bootstrap interval. `p_value` is the one-sided
    exact McNemar probability of as many wins by luck alone.
    """

    n: int
    delta: float
    low95: float
    high95: float
    wins: int
    losses: int
    p_value: float


def paired_gain(before: Sequence[float], after: Sequence[float]) -> Gain:
    """Compare two 0/1 correctness vectors of shape [n] over the same questions.

    Raises ValueError when they differ in length or are empty.
    """
    if len(before) != len(after) or not before:
        raise ValueError(f"paired vectors of length {len(before)} and {len(after)}")
    differences = [b - a for a, b in zip(before, after, strict=True)]
    wins = sum(d > 0 for d in differences)
    losses = sum(d < 0 for d in differences)
    low, high = _bootstrap(differences)
    return Gain(
        n=len(differences),
        delta=sum(differences) / len(differences),
        low95=low,
        high95=high,
        wins=wins,
        losses=losses,
        p_value=mcnemar_exact(wins, losses),
    )


def chance_apart(one: float, of_one: int, other: float, of_other: int) -> float:
    """The 99 % bound on the difference of two shares of equal probability.

    `one` is a share of `of_one` questions, `other` of `of_other`. The pooled two-proportion test:
    a small public test set is as much a matter of luck as the hidden questions are.
    """
    pooled = (one * of_one + other * of_other) / (of_one + of_other)
    return 2.58 * math.sqrt(pooled * (1 - pooled) * (1 / of_one + 1 / of_other))


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's rank correlation of two vectors of shape [n], -1 to 1; ties share their ranks.

    0.0 where one of them is constant.
    """
    from scipy.stats import spearmanr  # a second to import; only grading needs it

    if len(set(one)) < 2 or len(set(other)) < 2:
        return 0.0
    return float(spearmanr(one, other).statistic)


def mcnemar_exact(wins: int, losses: int) -> float:
    """P(at least `wins` of the discordant pairs | a fair coin), 1.0 without such pairs."""
    from scipy.stats import binomtest  # a second to import; only grading needs it

    if wins + losses == 0:
        return 1.0
    return float(binomtest(wins, wins + losses, 0.5, alternative="greater").pvalue)


def _bootstrap(differences: Sequence[float]) -> tuple[float, float]:
    if len(set(differences)) == 1:  # nothing to resample: scipy would warn and give the same
        return differences[0], differences[0]
    import numpy as np
    from scipy.stats import bootstrap

    result = bootstrap(
        (np.asarray(differences, dtype=float),),
        np.mean,
        n_resamples=BOOTSTRAP_RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(BOOTSTRAP_SEED),
    )
    interval = result.confidence_interval
    return float(interval.low), float(interval.high)

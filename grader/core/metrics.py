"""How close an answer is to its reference: five measures, each per question.

Normalisation and token F1 follow SQuAD 1.1 (Rajpurkar et al. 2016, arXiv:1606.05250): lower case,
no punctuation, no articles, single spaces. BLEU is sacrebleu's sentence BLEU with effective order,
because reference answers of one or two words have no 4-grams. ROUGE-L is rouge-score's F-measure.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

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

"""DSP020-027: a student's metric, on answers that its author has not seen.

Answers to the same question are compared with each other, since a metric is free in its scale; an
answer that got no score holds nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from grader.checks.api.context import Context, EvidenceRole, Verdict, failed, passed
from grader.checks.api.registry import check
from grader.core.constants import (
    AGREEMENT_AT_LEAST,
    METRIC_BOTTOM,
    METRIC_SAME,
    METRIC_SHARE_AT_LEAST,
)
from grader.core.metrics import rank_correlation
from grader.core.payloads import MetricScores, ScoredCase
from grader.core.text import counted
from grader.training_data.rules.rule import quoted

METRIC: Final = EvidenceRole("dspy_metric", MetricScores)
METRIC_ORIGINAL: Final = EvidenceRole("dspy_metric_original", MetricScores)
_WRONG: Final = frozenset({"wrong", "number_off", "negated", "stuffed", "hedge"})
_RIGHT_OTHERWISE: Final = frozenset({"paraphrase", "sentence"})
_NOTHING: Final = frozenset({"empty", "refusal"})
_SPELLING: Final = frozenset({"case", "punctuation"})
_GAMES: Final = frozenset({"duplicate", "reorder"})
_KINDS: Final = {
    "exact": "the exact answer",
    "wrong": "a wrong answer",
    "number_off": "a number that is off",
    "negated": "a denial of the right answer",
    "stuffed": "a list of keywords",
    "hedge": "a choice of several answers",
    "sentence": "a right answer in a sentence",
    "paraphrase": "a right answer in other words",
    "case": "a right answer in another case",
    "punctuation": "a right answer with punctuation",
    "duplicate": "a right answer given several times",
    "reorder": "a right answer in another order of words",
    "empty": "an empty answer",
    "refusal": "a refusal",
}
_DECIMALS: Final = 4

Pair = tuple[ScoredCase, ScoredCase]


def _score(case: ScoredCase) -> float:
    """The first score, not a number where there is none: it then compares with nothing."""
    score = case.scores[0]
    return math.nan if score is None else float(score)


def _pairs(scores: MetricScores, kinds: frozenset[str], others: frozenset[str]) -> Iterator[Pair]:
    """Every answer of one of `kinds` with every one of `others` to the same question."""
    groups: dict[str, list[ScoredCase]] = defaultdict(list)
    for case in scores.cases:
        groups[case.group].append(case)
    for group in groups.values():
        for one in group:
            if one.kind in kinds:
                yield from ((one, other) for other in group if other.kind in others)


def _above(better: float, worse: float) -> bool:
    return better > worse + METRIC_SAME


def _verdict(
    pairs: Sequence[Pair], holds: Callable[[Pair], bool], claim: str, hint: str
) -> Verdict:
    """Pass where the claim holds for nearly all pairs; the share is measured.

    The answers are the grader's, so a student reads neither how many nor which ones.
    """
    broken = [pair for pair in pairs if not holds(pair)]
    share = round(1 - len(broken) / len(pairs), _DECIMALS)
    measures = {"share": share, "n": len(pairs)}
    exact = f"In {share:.0%} of {counted(len(pairs), 'comparison')} {claim}."
    if share >= METRIC_SHARE_AT_LEAST:
        return passed(f"Nearly always {claim}.", exact=exact, measures=measures)
    one, other = broken[0]
    exact += f" Not so where {_told(one)} and {_told(other)}."
    note = f"{quoted(one.given)} and {quoted(other.given)} to {quoted(one.question)}"
    found = f"Too often it is not so that {claim}."
    return failed(found, hint, exact=exact, measures=measures, note=note)


def _told(case: ScoredCase) -> str:
    """What kind of answer got what score; the answer itself is shown to nobody but staff."""
    score = case.scores[0]
    scored = "no score" if score is None else f"{score:.2f}"
    return f"{_KINDS.get(case.kind, case.kind)} got {scored}"


_EXACT: Final = frozenset({"exact"})


@check("DSP020", evidence=(METRIC,), measures=("share", "n"))
def scores_lie_between_0_and_1(ctx: Context) -> Verdict:
    """The metric gives every answer a number from 0 to 1

    Why: An optimiser and a mean need a number for every answer, also for an empty or a very long
    one. One score outside the bounds outweighs all others.

    Fix: Return a float from 0 to 1 on every path, and try the metric on an empty answer.
    """
    cases = ctx.read(METRIC).cases
    out = [case for case in cases if not 0 <= _score(case) <= 1]
    share = round(1 - len(out) / len(cases), _DECIMALS)
    measures = {"share": share, "n": len(cases)}
    exact = f"{len(cases) - len(out)} of {counted(len(cases), 'answer')} got a number from 0 to 1"
    if not out:
        found = "Every answer got a number from 0 to 1."
        return passed(found, exact=f"{exact}.", measures=measures)
    hint = "Let the metric return a float from 0 to 1 whatever the answer is."
    note = f"{out[0].error or ''} {quoted(out[0].given)}".strip()
    found = "Not every answer got a number from 0 to 1."
    exact = f"{exact}; {_told(out[0])}."
    return failed(found, hint, exact=exact, measures=measures, note=note)


@check("DSP021", evidence=(METRIC,), measures=("share", "n"))
def scores_are_repeatable(ctx: Context) -> Verdict:
    """The metric gives the same answer the same score

    Why: Two programs can be compared only with a measure that does not change between them. The
    grader scores every answer twice, in two orders.

    Fix: Use no random numbers, and keep nothing from one call to the next.
    """
    cases = ctx.read(METRIC).cases
    other = [c for c in cases if None in c.scores or c.scores[0] != c.scores[1]]
    share = round(1 - len(other) / len(cases), _DECIMALS)
    measures = {"share": share, "n": len(cases)}
    if not other:
        exact = f"{counted(len(cases), 'answer')} scored alike twice."
        return passed("Every answer got the same score twice.", exact=exact, measures=measures)
    return failed(
        "Not every answer got the same score twice.",
        "Make the metric's score depend on its arguments alone.",
        measures=measures,
        exact=f"{len(other)} of {counted(len(cases), 'answer')} did not get the same score twice.",
    )


@check("DSP022", evidence=(METRIC,), measures=("share", "n"))
def right_answers_are_above_wrong_ones(ctx: Context) -> Verdict:
    """The metric scores exact answers above wrong ones

    Why: That is what a metric is for. Wrong here are another name, a number that is off, a
    negation, a list of keywords, and naming two answers to be safe.

    Fix: Give the exact answer the highest score. Look for "not", "or", and numbers that differ.
    """
    pairs = list(_pairs(ctx.read(METRIC), _EXACT, _WRONG))
    return _verdict(
        pairs,
        lambda pair: _above(_score(pair[0]), _score(pair[1])),
        "the exact answer scores more than a wrong one",
        "Let the metric compare whole words and numbers with the expected answer, and mind what is "
        "denied.",
    )


@check("DSP023", evidence=(METRIC,), measures=("share", "n"))
def paraphrases_are_above_keywords(ctx: Context) -> Verdict:
    """The metric scores right answers in other words above lists of keywords

    Why: Word matching gives full marks to whoever names every word that could be meant, and none
    to "twenty-six" or to a whole sentence.

    Fix: Leave out words that carry no meaning and those of the question, read numbers in words, and
    lower the score for words too many.
    """
    pairs = list(_pairs(ctx.read(METRIC), _RIGHT_OTHERWISE, frozenset({"stuffed"})))
    return _verdict(
        pairs,
        lambda pair: _above(_score(pair[0]), _score(pair[1])),
        "a right answer in other words scores more than a list of keywords",
        "Let the metric count extra words against an answer, but not those of a plain sentence.",
    )


@check("DSP024", evidence=(METRIC,), measures=("share", "n"))
def nothing_said_scores_nothing(ctx: Context) -> Verdict:
    """The metric gives nothing to an empty answer or a refusal

    Why: Who says nothing has answered nothing. A metric that pays for it makes an optimiser choose
    a program that never risks an answer.

    Fix: Return 0 for an empty answer, one of spaces, and phrases such as "I do not know".
    """
    pairs = list(_pairs(ctx.read(METRIC), _NOTHING, _EXACT))
    return _verdict(
        pairs,
        lambda pair: _score(pair[0]) <= METRIC_BOTTOM and _above(_score(pair[1]), _score(pair[0])),
        f"saying nothing scores at most {METRIC_BOTTOM}, and less than the exact answer",
        "Let the metric return 0 for no answer, and for one that says that there is none.",
    )


@check("DSP025", needs=("DSP022",), evidence=(METRIC,), measures=("share", "n"))
def case_and_punctuation_are_ignored(ctx: Context) -> Verdict:
    """The metric ignores case and punctuation

    Why: "paris." is as right as "Paris".

    Fix: Bring both texts into lower case and drop punctuation before you compare them.
    """
    pairs = list(_pairs(ctx.read(METRIC), _SPELLING, _EXACT))
    return _verdict(
        pairs,
        lambda pair: abs(_score(pair[0]) - _score(pair[1])) <= METRIC_SAME,
        "another spelling scores as the exact answer does",
        "Let the metric normalise the answer and the expected answer in the same way.",
    )


@check("DSP026", evidence=(METRIC,), measures=("share", "n"))
def games_are_not_rewarded(ctx: Context) -> Verdict:
    """The metric does not reward copies and shuffled words

    Why: Repeating the answer, or giving its words in any order, says less than the answer. Where
    it earns as much, an optimiser finds out.

    Fix: Count how often each word occurs, and let the order of words matter.
    """
    pairs = list(_pairs(ctx.read(METRIC), _GAMES, _EXACT))
    return _verdict(
        pairs,
        lambda pair: _above(_score(pair[1]), _score(pair[0])),
        "copies and shuffled words score less than the exact answer",
        "Let the metric compare counts of words, not sets, and look at their order.",
    )


@check(
    "DSP027",
    evidence=(METRIC, METRIC_ORIGINAL),
    measures=("agreement", "original_agreement", "n"),
)
def agrees_with_people(ctx: Context) -> Verdict:
    """The metric ranks answers as people do, and better than word matching does

    Why: A metric stands in for somebody's judgement. The grader compares its scores with
    judgements made by hand (Spearman's rank correlation), beside those of the kit's word matching.

    Fix: Score the answers of data/test.jsonl by hand on a small sample, look where the metric
    ranks two of them the other way round, and mend the reason.
    """
    cases = ctx.read(METRIC).cases
    mine, theirs = (_agreement(ctx.read(role)) for role in (METRIC, METRIC_ORIGINAL))
    measures = {
        "agreement": round(mine, _DECIMALS),
        "original_agreement": round(theirs, _DECIMALS),
        "n": len(cases),
    }
    exact = (
        f"Rank correlation with our judgement of {counted(len(cases), 'answer')}: {mine:.2f}; word "
        f"matching: {theirs:.2f}."
    )
    if mine >= AGREEMENT_AT_LEAST and mine > theirs:
        found = "It ranks answers as we do, and better than word matching does."
        return passed(found, exact=exact, measures=measures)
    found = "It ranks answers too differently from us, or no better than word matching does."
    hint = "Mend the metric first where word matching is wrong: sentences, lists, negations."
    return failed(found, hint, exact=exact, measures=measures)


def _agreement(found: MetricScores) -> float:
    """Rank correlation with the judgements; an answer without a score counts as the lowest."""
    cases = found.cases
    scores = [-1.0 if math.isnan(_score(case)) else _score(case) for case in cases]
    return rank_correlation(scores, [case.judgement for case in cases])

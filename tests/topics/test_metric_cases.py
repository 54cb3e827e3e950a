"""The judged answers are of one mind, and nobody but the grader has them."""

from __future__ import annotations

from collections import Counter

import pytest
from support.paths import ROOT

from grader.evidence.metric_scores import metric_cases

CASES = metric_cases("educational-qa")
KINDS = {
    *("exact", "case", "punctuation", "sentence", "paraphrase", "partial", "long", "reorder"),
    *("duplicate", "hedge", "stuffed", "wrong", "number_off", "negated", "refusal", "empty"),
}


def test_each_question_has_one_exact_answer_and_wrong_ones() -> None:
    exact = Counter(case.group for case in CASES if case.kind == "exact")
    assert exact == dict.fromkeys({case.group for case in CASES}, 1)
    assert len({(case.group, case.question, case.reference) for case in CASES}) == len(exact)
    for group in exact:
        kinds = {case.kind for case in CASES if case.group == group}
        assert {"stuffed"} < kinds
        assert kinds & {"wrong", "number_off", "negated"}
        assert kinds & {"paraphrase", "sentence"}
        assert kinds & {"empty", "refusal"}


def test_judgements_fit_what_the_answers_are() -> None:
    assert {case.kind for case in CASES} == KINDS
    assert len({(case.group, case.given) for case in CASES}) == len(CASES)
    for case in CASES:
        low, high = {
            "exact": (1, 1),
            "case": (1, 1),
            "punctuation": (1, 1),
            "sentence": (0.9, 1),
            "paraphrase": (0.9, 1),
            "empty": (0, 0),
            "refusal": (0, 0),
            "wrong": (0, 0.1),
            "number_off": (0, 0),
            "negated": (0, 0.05),
            "stuffed": (0, 0.05),
        }.get(case.kind, (0.1, 0.9))
        assert low <= case.judgement <= high, case


def test_no_kit_and_no_solution_has_them() -> None:
    telling = {case.given for case in CASES if case.kind in ("stuffed", "negated", "hedge")}
    files = [
        path
        for folder in ("starter", "datasets", "solutions", "rubrics")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".md", ".jsonl", ".json", ".yaml", ".txt"} and path.is_file()
    ]
    assert files
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not [given for given in telling if given in text], path


def test_a_topic_without_cases_says_so() -> None:
    with pytest.raises(LookupError, match="iot-diagnostics has no cases"):
        metric_cases("iot-diagnostics")

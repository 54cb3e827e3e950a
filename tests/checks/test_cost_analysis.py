"""The numbers of a cost analysis, worked out again: right, rounded, wrong, and missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from support.paths import SOLUTION

from grader.assignment.load import load_assignment
from grader.assignment.rubric import score
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Context
from grader.checks.api.registry import all_checks, in_order, run_check
from grader.core.nouns import Finding, Outcome
from grader.course import grade
from grader.intake.find import FoundSubmission
from grader.intake.submission import take_in

NUMBERS = json.loads((SOLUTION / "cost_analysis.json").read_text())
CODES = [code for code in all_checks() if code.startswith("TOK1")]

Findings = Mapping[str, Finding]
Judge = Callable[..., Findings]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Findings on the solution's dataset and these numbers; changes are paths into them."""

    def judged(raw: bytes | None = None, data: bytes | None = None, **changes: Any) -> Findings:
        home = tmp_path / "s01"
        home.mkdir(exist_ok=True)
        numbers = deepcopy(NUMBERS)
        for name, value in changes.items():
            *path, last = name.split("__")
            at = numbers
            for step in path:
                at = at[step]
            at[last] = value
        examples = (SOLUTION / "openai_train.jsonl").read_bytes()
        (home / "openai_train.jsonl").write_bytes(examples if data is None else data)
        written = json.dumps(numbers).encode() if raw is None else raw
        (home / "cost_analysis.json").write_bytes(written)
        return findings(home, tmp_path)

    return judged


def findings(home: Path, work: Path) -> Findings:
    assignment = load_assignment("llm-methods")
    context = Context(
        assignment, take_in(FoundSubmission("s01", home), work, assignment.deliverables), {}
    )
    found: dict[str, Finding] = {}
    for check in in_order(CODES, assignment):
        found[check.code] = run_check(check, context, found, {})
    return found


def failed(found: Findings) -> list[str]:
    return [code for code, finding in found.items() if finding.outcome is not Outcome.PASS]


def cost_points(home: Path, work: Path) -> dict[str, float | None]:
    """What each criterion on the numbers of the cost analysis earns."""
    assignment = grade.load("llm-methods")
    context = Context(
        assignment, take_in(FoundSubmission("s01", home), work, assignment.deliverables), {}
    )
    found: dict[str, Finding] = {}
    for check in in_order(assignment.refs, assignment):
        found[check.code] = run_check(check, context, found, {})
    scores = score(assignment, list(found.values()))
    return {s.id: s.points for s in scores if s.id.startswith("cost_") and s.id != "cost_document"}


def test_the_solution_earns_all_points_on_costs(tmp_path: Path) -> None:
    home = tmp_path / "s01"
    home.mkdir()
    for name in ("openai_train.jsonl", "cost_analysis.json"):
        shutil.copyfile(SOLUTION / name, home / name)
    worth = {c.id: c.points for c in grade.load("llm-methods").criteria}
    earned = cost_points(home, tmp_path)
    assert earned == {id: worth[id] for id in earned}
    assert sum(points or 0.0 for points in earned.values()) == 2.5


def test_without_the_numbers_nothing_else_is_judged(tmp_path: Path) -> None:
    home = tmp_path / "s01"
    home.mkdir()
    shutil.copyfile(SOLUTION / "openai_train.jsonl", home / "openai_train.jsonl")
    found = findings(home, tmp_path)
    assert found["LAY021"].outcome is Outcome.FAIL
    assert "cost_analysis.json" in found["LAY021"].hint
    assert {found[code].outcome for code in CODES} == {Outcome.SKIP}
    assert set(cost_points(home, tmp_path).values()) == {0.0}


def test_rounding_costs_nothing(judge: Judge) -> None:
    found = judge(training__usd=0.0143, per_query__base__usd=0.00014, break_even=17_500)
    assert failed(found) == []


def test_one_mistake_is_one_mistake(judge: Judge) -> None:
    """Epochs forgotten at the start, and everything after it worked out rightly."""
    usd = 573 * 5 / 1e6
    volume = (usd + 2) / (NUMBERS["per_query"]["base"]["usd"] - 0.0000288)
    found = judge(training__billed_tokens=573, training__usd=usd, break_even=round(volume))
    assert failed(found)[0] == "TOK103"
    assert set(failed(found)) <= {"TOK103"}
    assert "in 5 epochs are 2,865" in found["TOK103"].message


def test_a_measure_says_how_far_off_a_number_is(judge: Judge) -> None:
    found = judge(training__tokens_per_epoch=544, training__billed_tokens=2720)
    assert found["TOK102"].outcome is Outcome.FAIL
    assert found["TOK102"].measures["agreement"] == pytest.approx(544 / 573)
    assert found["TOK102"].location.pointer == "/training/tokens_per_epoch"
    assert found["TOK103"].outcome is Outcome.PASS


def test_another_number_of_examples_is_told(judge: Judge) -> None:
    found = judge(training__examples=17)
    assert "17 examples stated, 18 found" in found["TOK102"].message


def test_epochs_of_ones_own_are_fine_and_the_services_are_named(judge: Judge) -> None:
    found = judge(training__epochs=3, training__billed_tokens=573 * 3)
    assert found["TOK103"].outcome is Outcome.PASS
    assert "would choose 5" in found["TOK103"].message
    found = judge(training__epochs=50, training__billed_tokens=573 * 50)
    assert "more than the service ever chooses" in found["TOK103"].message


def test_never_is_right_with_equal_prompts(judge: Judge) -> None:
    tuned = NUMBERS["per_query"]["tuned"]
    same = {**tuned, "usd": 0.0000144}
    found = judge(per_query__base=same, break_even="never")
    assert failed(found) == []
    found = judge(per_query__base=same, break_even=5000, retirement__pays_before=True)
    assert failed(found) == ["TOK108"]
    assert "5,000 queries stated, never expected" in found["TOK108"].message


def test_a_cached_prompt_is_priced_as_such(judge: Judge) -> None:
    """1,250 of 1,500 tokens from the cache: a tuned query is then the dearer one."""
    words = "Answer in one word. " * 290
    base: dict[str, Any] = {"input_tokens": 1475, "cached_tokens": 1250, "output_tokens": 150}
    tuned: dict[str, Any] = {
        "input_tokens": 250,
        "cached_tokens": 0,
        "output_tokens": 150,
        "usd": 0.00068,
    }
    base |= {"instructions": words, "usd": (225 * 0.4 + 1250 * 0.1 + 150 * 1.6) / 1e6}
    changes: dict[str, Any] = {"break_even": "never", "alternatives": []}
    found = judge(per_query={"base": base, "tuned": tuned}, **changes)
    assert failed(found) == ["TOK106"]  # the dataset's answers are far shorter
    uncached = {**base, "usd": (1475 * 0.4 + 150 * 1.6) / 1e6}
    found = judge(per_query={"base": uncached, "tuned": tuned}, **changes)
    assert failed(found) == ["TOK106", "TOK107"]


def test_the_bases_own_instructions_are_counted(judge: Judge) -> None:
    words = "Answer in one word. " * 100
    query: dict[str, Any] = {
        "instructions": words,
        "input_tokens": 520,
        "cached_tokens": 0,
        "output_tokens": 2,
    }
    query |= {"usd": (520 * 0.4 + 2 * 1.6) / 1e6}
    assert judge(per_query__base=query)["TOK106"].outcome is Outcome.PASS
    short = {**query, "instructions": "Answer."}
    assert judge(per_query__base=short)["TOK106"].outcome is Outcome.FAIL


def test_every_alternative_is_judged(judge: Judge) -> None:
    wrong = {"name": "RAG", "fixed_usd": 0, "usd_per_query": 0.001, "break_even": 1}
    found = judge(alternatives=[*NUMBERS["alternatives"], wrong])
    assert failed(found) == ["TOK108"]
    assert found["TOK108"].location.pointer == "/alternatives/2/break_even"


def test_a_wrong_price_is_named(judge: Judge) -> None:
    found = judge(prices__tuned__cached=None, prices__base__input=0.15)
    assert "base input 0.15 stated, 0.4 in the table" in found["TOK105"].message
    assert "tuned cached none stated, 0.2 in the table" in found["TOK105"].message
    assert found["TOK105"].measures == {"wrong": 2}


def test_prices_of_another_date_are_for_a_person(judge: Judge) -> None:
    found = judge(prices__training=6, prices__valid_from="2026-12")
    assert found["TOK105"].outcome is Outcome.REVIEW
    assert judge(prices__valid_from="2026-12")["TOK105"].outcome is Outcome.PASS


def test_a_model_that_the_table_has_not_is_for_a_person(judge: Judge) -> None:
    found = judge(model="../../etc/passwd")
    assert {code for code in CODES if found[code].outcome is Outcome.REVIEW} == {"TOK105", "TOK109"}
    assert found["TOK102"].outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"retirement__date": None}, "/retirement/date"),
        ({"retirement__date": "2027-06-01"}, "/retirement/date"),
        ({"retirement__pays_before": True}, "/retirement/pays_before"),
        ({"assumptions__queries_per_day": 1000}, "/retirement/pays_before"),
        ({"date": "2027-01-07", "retirement__pays_before": True}, "/retirement/pays_before"),
    ],
)
def test_the_end_of_the_model_is_considered(
    judge: Judge, changes: dict[str, Any], place: str
) -> None:
    found = judge(**changes)
    assert failed(found) == ["TOK109"]
    assert found["TOK109"].location.pointer == place


def test_where_a_day_decides_either_answer_is_right(judge: Judge) -> None:
    for answer in (True, False):
        found = judge(assumptions__queries_per_day=327, retirement__pays_before=answer)
        assert found["TOK109"].outcome is Outcome.PASS


def test_what_cannot_be_read_is_told_with_its_place(judge: Judge) -> None:
    found = judge(training__usd="2 cents")
    assert found["TOK101"].location.pointer == "/training/usd"
    assert found["TOK102"].outcome is Outcome.SKIP
    assert judge(raw=b'{\n"a": 1,\n}')["TOK101"].location.line == 3
    assert "at most" in judge(raw=b"[" + b" " * 100_000 + b"]")["TOK101"].message


def test_two_files_of_the_name_are_told(judge: Judge, tmp_path: Path) -> None:
    judge()
    home = tmp_path / "s01"
    for folder in ("a", "b"):
        (home / folder).mkdir()
        shutil.copyfile(home / "cost_analysis.json", home / folder / "cost_analysis.json")
    (home / "cost_analysis.json").unlink()
    found = findings(home, tmp_path)
    assert found["TOK101"].outcome is Outcome.FAIL
    assert "2 places" in found["TOK101"].message


def test_a_dataset_without_examples_agrees_with_nothing(judge: Judge) -> None:
    found = judge(data=b"not json\n")
    assert {"TOK102", "TOK106"} <= set(failed(found))
    assert Outcome.ERROR not in {finding.outcome for finding in found.values()}

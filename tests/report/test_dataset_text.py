"""What was found in training files, in lines that people and their tools read."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.file_reports import COST, TOKENS, file_report, finding

from grader.report.dataset_text import cost_words, money, report_lines, summary_line, tokens_words
from grader.training_data.rules import RULES


def shown(*findings, shown: int | None = 3, **changes) -> list[str]:
    report = file_report(*findings, **changes)
    return ["".join(span.text for span in line) for line in report_lines(report, shown)]


def summary(*reports) -> str:
    return "".join(span.text for span in summary_line(reports))


def test_a_file_is_introduced_by_what_it_is_and_what_it_costs() -> None:
    assert shown() == [
        'train.jsonl: 2,438 examples of kind chat (its examples have "messages")',
        "  61,204 tokens (min 9, mean 25.1, p95 34, max 51)",
        "  3 epochs × 61,204 tokens = 183,612 billed tokens, USD 0.92 at gpt-4.1-mini-2025-04-14 "  # noqa: RUF001
        "(prices of 2026-10; retires 2027-01-14)",
    ]


def test_what_is_not_known_is_left_out() -> None:
    lines = shown(finding("JSL001"), kind=None, examples=0, tokens=None, cost=None)
    assert lines[:2] == ["train.jsonl: 0 examples", ""]


def test_an_estimate_says_so() -> None:
    assert tokens_words(replace(TOKENS, estimated=True)).startswith("about 61,204 tokens")
    words = cost_words(replace(COST, estimated=True), TOKENS)
    assert "about 61,204 tokens = about 183,612 billed tokens" in words


@pytest.mark.parametrize(
    ("usd", "words"),
    [(0.0, "USD 0.00"), (0.004, "under USD 0.01"), (0.005, "USD 0.01"), (1234.5, "USD 1,234.50")],
)
def test_money_reads_as_money(usd: float, words: str) -> None:
    assert money(replace(COST, usd=usd)) == words


def test_a_model_without_a_price_still_has_its_tokens() -> None:
    unknown = replace(COST, usd=None, train_per_m=None, valid_from=None, source=None, retires=None)
    words = cost_words(unknown, TOKENS)
    assert "183,612 billed tokens" in words
    assert "no price of gpt-4.1-mini-2025-04-14 is known" in words
    assert "USD" not in words


def test_a_place_stands_at_the_start_of_its_line_for_editors_to_jump_to() -> None:
    lines = shown(finding("JSL204", 12, 'the role is "bot"', pointer="/messages/1/role"))
    assert 'train.jsonl:12: the role is "bot" (/messages/1/role)' in lines
    assert "train.jsonl: 4 examples" in shown(finding("JSL601", None, "4 examples"))


def test_a_rule_is_said_once_with_its_first_places_and_its_fix() -> None:
    places = [finding("JSL204", line) for line in range(1, 45)]
    lines = shown(*places)
    heading = f"JSL204 error   {RULES['JSL204'].title} (44 places)"
    start = lines.index(heading)
    assert lines[start + 1 :] == [
        "train.jsonl:1: the role is odd",
        "train.jsonl:2: the role is odd",
        "train.jsonl:3: the role is odd",
        "  … and 41 more (--all shows them)",
        f"  Fix: {RULES['JSL204'].fix}",
    ]


def test_all_places_are_shown_on_request_and_what_was_not_kept_is_counted() -> None:
    places = [finding("JSL204", line) for line in range(1, 45)]
    lines = shown(*places, shown=None, counts={"JSL204": 5_044})
    assert sum(line.startswith("train.jsonl:") for line in lines[1:]) == 44
    assert "  … and 5,000 more" in lines


def test_no_line_says_that_one_more_line_is_left_out() -> None:
    lines = shown(*[finding("JSL204", line) for line in range(1, 5)])
    assert "train.jsonl:4: the role is odd" in lines
    assert not any("more" in line for line in lines)


def test_the_service_is_quoted_where_its_words_are_known() -> None:
    lines = shown(finding("JSL101", 2))
    assert lines[-1] == f"  OpenAI says: {RULES['JSL101'].service}"


def test_errors_come_before_warnings_before_notes_and_codes_in_order() -> None:
    found = [finding(code, 1) for code in ("JSL010", "JSL327", "JSL602", "JSL601", "JSL101")]
    headings = [line[:6] for line in shown(*found) if line.startswith("JSL")]
    assert headings == ["JSL101", "JSL601", "JSL010", "JSL602", "JSL327"]


def test_notes_are_shown() -> None:
    assert "  Note: only the first 20,000 were compared" in shown(
        notes=("only the first 20,000 were compared",)
    )


def test_the_last_line_counts_all_faults_of_all_files() -> None:
    one = file_report(finding("JSL204", 1), finding("JSL602", 2), counts={"JSL204": 7, "JSL602": 1})
    two = file_report(finding("JSL216", 1), finding("JSL327", None))
    assert summary(one, two) == "7 errors, 2 warnings, 1 note in 2 files"
    assert summary(file_report(examples=1)) == "No faults found in 1 example."
    assert summary(file_report(), file_report()) == "No faults found in 4,876 examples."


@given(st.text(), st.text(), st.text(), st.text())
def test_text_from_a_file_cannot_act(path: str, message: str, pointer: str, reason: str) -> None:
    found = finding("JSL204", 1, message, path=path, pointer=pointer)
    lines = shown(found, path=path, kind_reason=reason, notes=(message,))
    for line in lines:
        assert not {unicodedata.category(c) for c in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_a_long_path_is_not_cut() -> None:
    path = "folder/" * 100 + "train.jsonl"
    assert f"{path}:3: the role is odd" in shown(finding("JSL204", 3, path=path))

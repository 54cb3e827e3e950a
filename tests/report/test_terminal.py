"""Tables for a terminal, on which no student's text acts."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

from grader.core.nouns import Finding, Outcome
from grader.report.terminal import clean, findings_table, gradebook_table

BEYOND = "\x1b\x9b\x07\u202e\u2066\x00"


def _shown(table: Table) -> str:
    out = io.StringIO()
    Console(file=out, width=120, color_system=None).print(table)
    return out.getvalue()


def test_the_gradebook_shows_a_range_where_points_are_open(make_result, refused) -> None:
    text = _shown(gradebook_table([refused, make_result("s01-careful")]))
    assert text.index("s01-careful") < text.index("s04-bad-archive")
    assert " to " in text
    assert "? pending" in text
    assert "✗ not taken in" in text


def test_findings_say_what_and_what_next(make_result) -> None:
    result = make_result(outcomes={"SRC003": Outcome.FAIL})
    text = _shown(findings_table([f for f in result.findings if f.code == "SRC003"]))
    assert "✗ warning" in text
    assert "huggingface_custom_lora.py, line 42" in text
    assert "Next: Do what helps with SRC003." in text
    assert "NOTE-FOR-THE-INSTRUCTOR" not in text


def test_what_is_to_be_mended_comes_last_and_what_has_one_reason_is_one_row() -> None:
    def finding(code: str, outcome: Outcome, message: str = "") -> Finding:
        return Finding(code, outcome, f"Title of {code}", message)

    text = _shown(
        findings_table(
            [
                finding("AAA001", Outcome.FAIL, "No adapter."),
                finding("AAA002", Outcome.SKIP, "Not looked at, because AAA001 did not hold."),
                finding("AAA003", Outcome.SKIP, "Not looked at, because AAA001 did not hold."),
                finding("AAA004", Outcome.SKIP, "Voluntary."),
                finding("AAA005", Outcome.PASS),
                finding("AAA006", Outcome.PASS),
            ]
        )
    )
    assert "2 checks AAA002, AAA003" in text
    assert "2 checks AAA005, AAA006" in text
    assert text.count("because AAA001 did not hold") == 1
    assert text.index("AAA005") < text.index("AAA002") < text.index("No adapter.")
    assert "Title of AAA004" in text


def test_markup_and_escapes_of_students_are_only_text(hostile_class) -> None:
    text = _shown(gradebook_table(hostile_class.results))
    assert "[bold red]markup[/]" in text
    text += "".join(_shown(findings_table(r.findings)) for r in hostile_class.results)
    assert not set(text) & set(BEYOND)


def test_clean_is_at_hand_for_other_lines() -> None:
    assert clean("\x1b[2Jgone\u202e") == "gone"

"""Tables for a terminal, on which no student's text acts."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

from grader.model import Outcome
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


def test_markup_and_escapes_of_students_are_only_text(hostile_class) -> None:
    text = _shown(gradebook_table(hostile_class.results))
    assert "[bold red]markup[/]" in text
    text += "".join(_shown(findings_table(r.findings)) for r in hostile_class.results)
    assert not set(text) & set(BEYOND)


def test_clean_is_at_hand_for_other_lines() -> None:
    assert clean("\x1b[2Jgone\u202e") == "gone"

"""gradebook.csv: complete, exact, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.report.exports.gradebook import gradebook_csv, safe_cell

HEADER = ["student", "status", "points", "max_points", "lower", "upper"]


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_row_a_student_and_a_column_a_criterion(assignment, make_result, refused) -> None:
    criteria = [c.id for c in assignment.criteria]
    text = gradebook_csv([refused, make_result("s02"), make_result("s01")], criteria)
    assert text.splitlines()[0].split(",") == [f'"{name}"' for name in HEADER + criteria]
    rows = _rows(text)
    assert [row["student"] for row in rows] == ["s01", "s02", "s04-bad-archive"]
    assert rows[2]["status"] == "Failed"
    assert rows[2]["points"] == "0"


def test_unknown_is_blank_and_zero_is_zero(assignment, make_result) -> None:
    result = make_result("s01", 0.0)
    row = _rows(gradebook_csv([result], [c.id for c in assignment.criteria]))[0]
    assert row["points"] == ""
    assert row["innovation"] == ""
    assert row["lora_improvement"] == "0"


@pytest.mark.parametrize(
    ("points", "cell"), [(100.0, "100"), (0.1 + 0.2, "0.3"), (12.345678, "12.345678"), (7.5, "7.5")]
)
def test_numbers_are_exact_and_plain(make_result, points: float, cell: str) -> None:
    result = make_result()
    known = replace(result, total=replace(result.total, points=points))
    assert _rows(gradebook_csv([known], []))[0]["points"] == cell


STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001


@pytest.mark.parametrize("start", [*STARTS, "\t=", "\r+", " =", "\u200b="])
def test_no_text_starts_as_a_formula(make_result, start: str) -> None:
    row = _rows(gradebook_csv([make_result(f"{start}HYPERLINK(1)")], []))[0]
    assert row["student"].startswith("'")


def test_a_negative_number_is_no_text(make_result) -> None:
    result = make_result()
    odd = replace(result, total=replace(result.total, lower=-1.0))
    assert _rows(gradebook_csv([odd], []))[0]["lower"] == "-1"


# The text of cells as programs may see it that split at any separator and know no quotes.
TROUBLE = st.text(st.sampled_from([*STARTS, *",;\t\r\n|\"' \u200b\ufeff\ufe62\u2212\u00a0a1()"]))


def test_no_part_of_a_text_is_a_formula_whatever_separates(make_result) -> None:
    result = make_result()

    @given(TROUBLE, st.sampled_from([",", ";", "\t", "|"]), st.booleans())
    def holds(text: str, separator: str, quoted: bool) -> None:
        lines = gradebook_csv([replace(result, student=text)], [f"c {text}"]).splitlines()
        assert len(lines) == 2
        if quoted:  # behind a first cell in quotes Python's reader splits at any separator
            parts = [cell for row in csv.reader(lines, delimiter=separator) for cell in row]
        else:
            parts = [part for line in lines for part in line.split(separator)]
        for part in parts:
            bare = unicodedata.normalize("NFKC", part).strip().lstrip('" \t')
            assert not bare.startswith(("=", "+", "-", "@", "\N{MINUS SIGN}")), part

    holds()


def test_a_name_is_no_formula_behind_a_semicolon(make_result) -> None:
    text = gradebook_csv([make_result("x;=1+1"), make_result('y\t"@SUM(A1)')], [])
    _, first, second = text.splitlines()
    assert first.startswith('"x;\'=1+1","PendingManual","",')
    assert second.startswith('"y ""@SUM(A1)","PendingManual","",')


@given(st.text())
def test_a_cell_is_one_line_without_controls_and_never_a_formula(text: str) -> None:
    cell = safe_cell(text)
    assert not cell.startswith((*STARTS, "\t", "\r"))
    assert not {unicodedata.category(character) for character in cell} & {"Cc", "Cf"}
    assert len(cell.splitlines()) <= 1

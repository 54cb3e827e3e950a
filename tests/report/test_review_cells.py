"""The review table as CSV: nothing in it is a formula, and nothing is lost."""

from __future__ import annotations

import csv
import io
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.report.exports.review_table import COLUMNS, plain, read_table, safe, write_table

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=60) | st.from_regex(
    r"\A[ \t\r\n\"',;|=+@\u2212\uff1d\u200b'-]{1,12}x?\Z"
)


@given(TEXT)
def test_what_is_made_safe_can_be_made_plain(text: str) -> None:
    assert plain(safe(text)) == text


@given(TEXT)
def test_no_piece_of_a_safe_text_begins_as_a_formula(text: str) -> None:
    """Whatever a program takes for the end of a cell, and whatever it skips before the start."""
    for piece in re.split(r"[,;|\t\r\n]", safe(text)):
        shown = piece.lstrip(' "\u200b\xa0')
        assert unicodedata.normalize("NFKC", shown)[:1] not in set("=+-@\u2212")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("'=1+1", "''=1+1"),
        ("it's = fine", "it's = fine"),
        ("'quoted'", "'quoted'"),
        ("a,@b", "a,'@b"),
        ("one\n- two", "one\n'- two"),
        ("\uff1dSUM(A1)", "'\uff1dSUM(A1)"),
    ],
)
def test_an_apostrophe_stands_before_what_could_be_a_formula(text: str, cell: str) -> None:
    assert safe(text) == cell


def test_rows_keep_their_lines_whatever_is_in_them() -> None:
    row = dict.fromkeys(COLUMNS, "")
    data = write_table([row | {"student": "a", "comment": "two\nlines"}, row | {"student": "b"}])
    assert data.startswith(b"\xef\xbb\xbf")
    assert b"\r\n" in data
    assert [(r.line, r.cells["student"]) for r in read_table(data, "t")] == [(2, "a"), (4, "b")]
    marked = b"sep=;\r\n" + b"student;criterion;item;level\r\n\r\na;b;c;full\r\n"
    assert [(r.line, r.cells["item"]) for r in read_table(marked, "t")] == [(4, "c")]


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(COLUMNS, TEXT)), max_size=4))
def test_a_table_is_read_as_it_was_written(rows: list[dict[str, str]]) -> None:
    found = [dict(row.cells) for row in read_table(write_table(rows), "t")]
    assert found == [row for row in rows if any(value.strip() for value in row.values())]
    text = write_table(rows).decode("utf-8-sig")
    assert len(list(csv.reader(io.StringIO(text, newline="")))) == len(rows) + 1

"""Text from a submission cannot act on whatever shows it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.core.nouns import Location
from grader.core.text import clean, file_size, number, percent, points, where


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07rest", "rest"),
        ("\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]unterminated", "unterminated"),
        ("\x9b2Jclear", "clear"),
        ("\x1bcreset", "reset"),
        ("a\u202eb\u2066c\u200bd\ufeff", "abcd"),
        ("two\r\nlines\u2028and\ttabs", "two lines and tabs"),
        ("\x00\x07\x7f", ""),
        ("\ud800", "\ufffd"),
        ("é 長 🙂 ok", "é 長 🙂 ok"),
    ],
)
def test_what_could_act_is_gone_and_words_stay(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text(), st.integers(2, 50))
def test_clean_text_is_one_short_line_and_stays_as_it_is(text: str, limit: int) -> None:
    line = clean(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    assert not {unicodedata.category(c) for c in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert clean(line, limit) == line


@given(st.lists(st.sampled_from(["\x1b", "]", "[", "0", "m", "\x07", "\\", "a", "\x9b"])))
def test_no_mix_of_escapes_leaves_an_escape(pieces: list[str]) -> None:
    assert "\x1b" not in clean("".join(pieces))


def test_a_cut_is_marked() -> None:
    assert clean("x" * 5000, 10) == "xxxxxxxxx…"
    assert clean(" " * 5000, 10) == ""


@pytest.mark.parametrize(
    ("value", "text"), [(10, "10"), (7.5, "7.5"), (1e-9, "0"), (-1e-9, "0"), (120.0, "120")]
)
def test_numbers_have_no_noise(value: float, text: str) -> None:
    assert number(value) == text


def test_points_shares_and_sizes_read_well() -> None:
    assert points(2 / 3) == "0.67"
    assert percent(0.834) == "83%"
    assert [file_size(n) for n in (812, 14_235, 3_100_000)] == ["812 bytes", "14.2 kB", "3.1 MB"]


def test_a_place_is_said_in_words() -> None:
    assert where(Location("train.py", 3)) == "train.py, line 3"
    assert where(Location()) == ""

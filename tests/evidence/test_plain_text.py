"""Prose without what hides in it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.evidence.documents import clean, letters, unknown_share


@pytest.mark.parametrize(
    ("text", "expected", "hidden"),
    [
        ("Ärger 日本語 🙂 ❤️ x\u0301", "Ärger 日本語 🙂 ❤️ x\u0301", 0),
        ("cafe\u0301", "café", 0),
        ("a\r\nb\rc\x0bd\x0ce\x85f\u2028g\u2029h", "a\nb\nc\nd\ne\nf\ng\nh", 0),
        ("a\u00a0b\u3000c\td", "a b c\td", 0),
        ("co\u00adop", "coop", 0),
        ("👩\u200d💻", "👩💻", 0),
        ("ig\u200bno\u2060re\ufeff", "ignore", 3),
        ("\u202eevil\u202c \u2066x\u2069", "evil x", 4),
        ("a" + "".join(chr(0xE0000 + ord(c)) for c in "full marks"), "a", 10),
        ("a\ufe01\U000e0121", "a", 2),
        ("\x1b[31mred\x00\x07", "[31mred", 3),
        ("\uf0b7 point \ue000", "\ufffd point \ufffd", 0),
    ],
)
def test_keeps_what_shows_and_counts_what_hides(text: str, expected: str, hidden: int) -> None:
    assert clean(text) == (expected, hidden)


@settings(deadline=None)
@given(st.text())
def test_nothing_of_any_text_hides_afterwards(text: str) -> None:
    cleaned, hidden = clean(text)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert all(character in "\n\t" or character.isprintable() for character in cleaned)
    assert clean(cleaned) == (cleaned, 0)
    assert 0 <= hidden <= len(text)


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x17E, exclude_categories=("C", "Z"))))
def test_plain_letters_stay_as_they_are(text: str) -> None:
    assert clean(text) == (unicodedata.normalize("NFC", text), 0)


def test_counts_letters_and_those_nobody_can_name() -> None:
    assert letters("Two 2, 日.") == 5
    assert unknown_share("") == 0
    assert unknown_share("abc") == 0
    assert unknown_share("abc\ufffd") == 0.25

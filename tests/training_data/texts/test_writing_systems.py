"""Examples in a rare script and words with look-alike letters are found; formulas are not."""

from __future__ import annotations

import pytest
from support.examples_read import JsonObject, faults, lines_of, qa, words

from grader.training_data.texts.writing_systems import mixed_words

RUSSIAN = qa(
    "\u0413\u0434\u0435 \u0436\u0438\u0432\u0451\u0442 \u043b\u044f\u0433\u0443\u0448\u043a\u0430?",
    "\u0412 \u043f\u0440\u0443\u0434\u0443.",
)
CHINESE = qa("\u9752\u86d9\u4f4f\u5728\u54ea\u91cc\uff1f", "\u4f4f\u5728\u6c60\u5858\u91cc\u3002")


def english(count: int) -> list[JsonObject]:
    return [qa(f"Where does frog {words(i, 3)} live?", words(i, 3)) for i in range(count)]


def test_a_rare_script_is_named_with_the_usual_one() -> None:
    [found] = faults([*english(60), RUSSIAN])
    assert (found.code, found.line) == ("JSL610", 61)
    assert "Cyrillic, which 1 of 61 examples use; expected Latin" in found.message


def test_latin_can_be_the_rare_one() -> None:
    chinese = [qa(f"\u9752\u86d9{chr(0x4E00 + i)}\uff1f", chr(0x5E00 + i) * 3) for i in range(99)]
    assert lines_of("JSL610", [*chinese[:40], *english(1), *chinese[40:]]) == [41]


@pytest.mark.parametrize(
    "values",
    [
        [*english(40), RUSSIAN],  # few examples
        [*english(60), RUSSIAN, CHINESE, RUSSIAN],  # no longer rare, but for Chinese
        [*english(60), qa("What does \u043f\u0440\u0443\u0434 mean in English?", "a pond")],
        [qa(f"Translate: {words(i, 2)}", "\u043f\u0440\u0443\u0434 " * (i % 9)) for i in range(80)],
        [qa(f"{i} + {i} =", str(2 * i)) for i in range(80)],  # no letters
    ],
)
def test_quotations_translations_and_numbers_are_none(values: list[JsonObject]) -> None:
    assert set(lines_of("JSL610", values)) <= {62}


def test_latin_with_chinese_is_no_rare_script() -> None:
    mixed = [
        qa(f"\u8bf7\u89e3\u91ca Python {words(i, 1)}", "\u4e00\u79cd\u8bed\u8a00")
        for i in range(60)
    ]
    assert lines_of("JSL610", [*mixed, *english(30)]) == []


@pytest.mark.parametrize(
    ("word", "letter"),
    [
        ("p\u0430ssword", "U+0430"),  # a Cyrillic letter in a Latin word
        ("\u0397ello", "U+0397"),  # a Greek one
        ("\u0420\u0430y\u0420\u0430l", "U+0420"),
        ("c\u043b\u043e\u0432\u043e", "U+0063"),  # a Latin one in a Cyrillic word
    ],
)
def test_look_alike_letters_are_named(word: str, letter: str) -> None:
    [found] = mixed_words(f"This is a {word}, and more.")
    assert letter in found
    assert lines_of("JSL610", [qa(f"A {word}?", "yes")]) == [1]


@pytest.mark.parametrize(
    "text",
    [
        "5 \u00b5m, 3 k\u2126, 7 k\u03a9 and \u0394t",
        "TNF\u03b1 and NF\u03baB",
        "x\u00b2 + \u03b1\u03b2 = \u03c0r",
        "SMS\u043a\u0430 \u0438 USB-\u043a\u0430\u0431\u0435\u043b\u044c",
        "\u4f60\u597dabc",
        "\u041c\u043e\u0441\u043a\u0432\u0430 is Moscow",
        "\u03bf \u0391 \u0430",
        "plain",
    ],
)
def test_units_formulas_and_foreign_words_are_none(text: str) -> None:
    assert list(mixed_words(text)) == []

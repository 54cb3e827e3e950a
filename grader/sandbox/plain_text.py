"""A student's prose as plain text: one form for equal texts, and nothing in it that hides."""

from __future__ import annotations

import re
import unicodedata

_NEW_LINE = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# Selectors of rare glyphs and of emoji: they show nothing, and any text can be spelled with them.
_SPELLING = re.compile("[\ufe00-\ufe0e\U000e0100-\U000e01ef]")
_SOFT_HYPHEN = "\u00ad"
# Emoji and several scripts are spelled with these; between words they say nothing.
_JOINERS = "\u200c\u200d"
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"


def clean(text: str) -> tuple[str, int]:
    """The text in NFC with "\\n" between lines, and how many characters that hide went from it.

    Only new lines and tabs stay of all control characters. Format characters go (zero-width ones,
    those that turn text around, tags); soft hyphens and the joiners of emoji are not counted, for
    honest texts have them. Characters without a meaning in Unicode become U+FFFD.
    """
    text = _NEW_LINE.sub("\n", text)
    text, hidden = _SPELLING.subn("", text)
    kept: list[str] = []
    for character in text:
        if character in "\n\t" or character.isprintable():
            kept.append(character)
            continue
        match unicodedata.category(character):
            case "Cn" | "Co" | "Cs":
                kept.append(_UNKNOWN)
            case "Cc" | "Cf":
                hidden += character not in _JOINERS and character != _SOFT_HYPHEN
            case _:  # spaces of other kinds than the usual one
                kept.append(" ")
    return unicodedata.normalize("NFC", "".join(kept)), hidden


def letters(text: str) -> int:
    """How many letters and digits it has."""
    return sum(map(str.isalnum, text))


def unknown_share(text: str) -> float:
    """Which share of its letters nobody can name; 0 of a text without any."""
    unknown = text.count(_UNKNOWN)
    return unknown / (unknown + letters(text)) if unknown else 0.0

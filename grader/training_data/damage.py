"""Texts that a wrong encoding or a bad copy has damaged (JSL611)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from grader.training_data.faults import quoted

_AROUND_CHARACTERS: Final = 20  # shown on either side of the damage
_TRIED: Final = 20  # places of a text where ftfy is asked for a repair

_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SPOILT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ud800-\udfff]")

# Joiners belong inside emoji and to several scripts, tags behind a black flag; not elsewhere.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u180e\u200b\u2060-\u2064\ufeff]"
    "|(?<![^\x00-\u024f])[\u200c\u200d](?![^\x00-\u024f])"
    "|(?<![\U0001f3f4\U000e0000-\U000e007f])[\U000e0000-\U000e007f]"
)
_DIRECTION: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
_RIGHT_TO_LEFT: Final = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_ODD: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ud800-\udfff"
    "\u00ad\u180e\u200b-\u200d\u2060-\u2064\ufeff\U000e0000-\U000e007f"
    "\u202a-\u202e\u2066-\u2069]"
)

# UTF-8 that was read as something else: a first byte, and one or two others behind it, as
# Windows-1252, 1251, 1253, 1257, Mac Roman and code page 437 show them. Wide enough to lose
# little, narrow enough that ordinary French or Russian does not load ftfy (60 ms). It begins with
# one set of characters, because that is what `re` searches fast.
_FIRST: Final = (
    "\u0101\u0392\u0393\u039e\u039f\u03b2\u0412\u0413\u0420\u0421\u0432"  # Baltic, Greek, Cyrillic
)
_OTHER: Final = "[\x80-\xbf\u0152-\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
_MISREAD: Final = re.compile(
    f"[\x80-\x9f\xc2-\xf4{_FIRST}\u221a\u2248\u201a\u252c\u251c](?:"
    "(?<=[\x80-\x9f\xc2\xc3])"
    f"|(?<=[\xc4-\xdf{_FIRST}]){_OTHER}|(?<=[\xe0-\xf4]){_OTHER}{_OTHER}"
    "|(?<=[\u0420\u0421])[\u0402-\u040f\u0452-\u045f]"
    "|(?<=[\u221a\u2248\u201a])[^\x00-\x7f]|(?<=[\u252c\u251c])[^\x00-\x7f\u2500-\u257f])"
)


def looks_damaged(text: str) -> bool:
    """Whether the text should be looked at. Cheap, above all for ASCII."""
    if text.isascii():
        return not text.isprintable() and _CONTROL.search(text) is not None
    return _ODD.search(text) is not None or _MISREAD.search(text) is not None


def damage(text: str) -> Iterator[str]:
    """The first damage of the text in words, if there is any."""
    if _MISREAD.search(text) is not None:
        for place, mended in _misread(text):
            yield f"{quoted(place)} is probably {quoted(mended)}, read in the wrong encoding"
            return
    spoilt = _SPOILT.search(text)
    if spoilt is not None:
        what = "the replacement character" if spoilt[0] == "\ufffd" else "the control character"
        yield f"{what} {_code(spoilt)} {_where(text, spoilt)}; expected plain text"
        return
    hidden = _INVISIBLE.search(text)
    if hidden is None and _RIGHT_TO_LEFT.search(text) is None:
        hidden = _DIRECTION.search(text)
    if hidden is not None:
        yield f"the invisible character {_code(hidden)} {_where(text, hidden)}; expected none"


def _misread(text: str) -> Iterator[tuple[str, str]]:
    """Places that ftfy takes for misread, and can read rightly."""
    from ftfy import fix_encoding
    from ftfy.badness import BADNESS_RE

    for match in islice(BADNESS_RE.finditer(text), _TRIED):
        place = _around(text, match)
        mended = fix_encoding(place)
        if mended != place:
            yield place, mended


def _code(match: re.Match[str]) -> str:
    return f"U+{ord(match[0]):04X}"


def _where(text: str, match: re.Match[str]) -> str:
    return f"in {quoted(_around(text, match))}"


def _around(text: str, match: re.Match[str]) -> str:
    return text[max(0, match.start() - _AROUND_CHARACTERS) : match.end() + _AROUND_CHARACTERS]

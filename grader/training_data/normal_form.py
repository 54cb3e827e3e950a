"""Texts in Unicode's normal forms, in bounded time."""

from __future__ import annotations

import re
import unicodedata
from typing import Final, Literal

# Python puts a run of combining marks in order by moving each one step at a time: 40,000 of them
# take four seconds, and a hostile line of 16 MB days. Marks are no word characters.
_LONG_RUN: Final = re.compile(r"[^\w\s\x00-\x7f]{200}")


def normalized(form: Literal["NFC", "NFKC"], text: str) -> str:
    """The text in that normal form; as it is if that could take longer than reading it."""
    if text.isascii() or _LONG_RUN.search(text) is not None:
        return text
    return unicodedata.normalize(form, text)

"""Examples in a rare script, and words that mix scripts of look-alike letters (JSL610)."""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from grader.training_data.read.faults import Fault, quoted
from grader.training_data.read.fingerprint import Fingerprint

_MIN_EXAMPLES: Final = 50  # with fewer, one example is already 2 %
_RARE_SHARE: Final = 0.02
_USED_SHARE: Final = 0.1  # of an example's letters: less is a quotation or a formula
_LOOKED_AT_CHARACTERS: Final = 500  # at the beginning of prompt and of answer

_TOGETHER: Final = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "FULLWIDTH": "LATIN"}
_NAMES: Final = {"CJK": "Chinese or Japanese", "CANADIAN": "Canadian syllabic"}

_LATIN_LETTER: Final = re.compile("[A-Za-z]")
_NEIGHBOUR: Final = re.compile("[\u0370-\u03ff\u0400-\u04ff]")  # Greek and Cyrillic
_MIXED_WORD: Final = re.compile(
    "(?<![^\\W_])(?=[^\\W\\d_]*[A-Za-z])(?=[^\\W\\d_]*[\u0370-\u03ff\u0400-\u04ff])[^\\W\\d_]{2,60}+"
    "(?![^\\W_])"
)
# Letters that a reader cannot tell from those of the other script: Greek, Cyrillic, Latin.
_LIKE_LATIN: Final = frozenset(
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf"
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0405\u0406\u0408"
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458\u04bb\u0501"
)
_LIKE_OTHER: Final = frozenset("ABCEHIJKMNOPSTXYZaceopxysijhd")


class WritingSystems:
    """Finds examples mostly in a script that under 2 % of the examples use.

    Keeps 4 bytes for each example.
    """

    def __init__(self) -> None:
        self._total = 0
        self._used: Counter[str] = Counter()
        self._mostly: dict[str, array[int]] = {}

    def add(self, fingerprint: Fingerprint) -> None:
        """Take note of an example's scripts."""
        self._total += 1
        prompt, answer = fingerprint.prompt, fingerprint.answer
        if prompt.isascii() and answer.isascii():
            if _LATIN_LETTER.search(prompt) or _LATIN_LETTER.search(answer):
                self._note("LATIN", fingerprint.line)
            return
        letters = _scripts(prompt[:_LOOKED_AT_CHARACTERS] + answer[:_LOOKED_AT_CHARACTERS])
        all_letters = letters.total()
        for script, count in letters.items():
            if 2 * count > all_letters:
                self._note(script, fingerprint.line)
            elif count >= _USED_SHARE * all_letters:
                self._used[script] += 1

    def _note(self, script: str, line: int) -> None:
        self._used[script] += 1
        if script not in self._mostly:
            self._mostly[script] = array("I")
        self._mostly[script].append(line)

    def faults(self) -> Iterator[Fault]:
        """Examples in a rare script, in the order of lines."""
        if self._total < _MIN_EXAMPLES:
            return
        rare = {s: n for s, n in self._used.items() if n < _RARE_SHARE * self._total}
        usual, _ = max(self._used.items(), key=lambda item: (item[1], item[0]), default=("", 0))
        found = sorted((line, s) for s in rare for line in self._mostly.get(s, ()))
        for line, script in found:
            message = (
                f"most letters are {_name(script)}, which {rare[script]} of {self._total} examples "
                f"use; expected {_name(usual)}"
            )
            yield Fault("JSL610", message, line)


def looks_mixed(text: str) -> bool:
    """Whether a word of the text may mix scripts."""
    return (
        not text.isascii()
        and _NEIGHBOUR.search(text) is not None
        and _LATIN_LETTER.search(text) is not None
    )


def mixed_words(text: str) -> Iterator[str]:
    """The first word of Latin letters and others that only look like Latin ones, or the reverse.

    Words that mix scripts openly (a Greek letter in a formula, an ending on a foreign name) are
    left alone.
    """
    for match in _MIXED_WORD.finditer(text) if looks_mixed(text) else ():
        word = match[0]
        others = set(_NEIGHBOUR.findall(word))
        latin = set(_LATIN_LETTER.findall(word))
        if not others:  # it was a sign, no letter
            continue
        if others <= _LIKE_LATIN or (latin <= _LIKE_OTHER and len(others) > len(latin)):
            odd = min(others) if others <= _LIKE_LATIN else min(latin)
            message = f"in the word {quoted(word)}, {quoted(odd)} (U+{ord(odd):04X}) is a letter "
            yield message + "of another script that looks the same; expected one script in a word"
            return


def _scripts(text: str) -> Counter[str]:
    """Letters of each script."""
    found: Counter[str] = Counter()
    for character, count in Counter(text).items():
        if character.isalpha():
            found[_script(character)] += count
    return found


@lru_cache(maxsize=65_536)
def _script(letter: str) -> str:
    """The first word of its Unicode name, which is its script for all that matter here."""
    first = unicodedata.name(letter, "UNKNOWN").split()[0].split("-")[0]
    return _TOGETHER.get(first, first)


def _name(script: str) -> str:
    return _NAMES.get(script, script.capitalize())

"""Checks the texts of one example; of all examples, which are in a rare script.

JSL610 look-alike letters, JSL611 mojibake (text that was decoded with the wrong encoding),
JSL612 secrets, JSL613 personal data, JSL614 words that usually trip moderation, JSL616 form.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from grader.core.text import normalized
from grader.training_data.read.fingerprint import Fingerprint, fixed_texts, folded
from grader.training_data.rules.rule import Fault, quoted
from grader.training_data.texts.private_data import (
    looks_personal,
    looks_secret,
    personal_data,
    secrets,
)

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


_LIST: Final = Path(__file__).with_name("unsafe_words.txt")


def looks_unsafe(text: str) -> bool:
    """Whether the text may hold one of the words. Cheap on ordinary text."""
    return any(map(text.casefold().__contains__, _rarest()))


def unsafe_words(text: str) -> Iterator[str]:
    """The words of the list that stand in the text as whole words, each once."""
    for words in dict.fromkeys(_whole_words().findall(folded(text))):
        yield f"the words {quoted(words)}, which moderation usually refuses; expected none"


@cache
def _words() -> tuple[str, ...]:
    """The list, longer ones first, so that of "child porn" and "porn" the longer is named."""
    words = [line.strip() for line in _LIST.read_text(encoding="utf-8").splitlines()]
    return tuple(sorted((w for w in words if w and w[0] != "#"), key=lambda w: (-len(w), w)))


@cache
def _rarest() -> tuple[str, ...]:
    """The last word of each entry, without those that contain another."""
    last = {words.split()[-1] for words in _words()}
    return tuple(word for word in sorted(last) if not any(w in word for w in last - {word}))


@cache
def _whole_words() -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, _words()))})(?!\w)")


_AROUND_CHARACTERS: Final = 20  # shown on either side of the mojibake
_TRIED: Final = 20  # places of a text that ftfy tries to repair

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


def may_be_mojibake(text: str) -> bool:
    """Whether the text may hold mojibake. Cheap, above all for ASCII."""
    if text.isascii():
        return not text.isprintable() and _CONTROL.search(text) is not None
    return _ODD.search(text) is not None or _MISREAD.search(text) is not None


def mojibake(text: str) -> Iterator[str]:
    """Describe the first mojibake of the text, if there is any."""
    if _MISREAD.search(text) is not None:
        for place, repaired in _misread(text):
            yield f"{quoted(place)} is probably {quoted(repaired)}, read in the wrong encoding"
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
    """The places that ftfy takes for mojibake and can repair."""
    from ftfy import fix_encoding
    from ftfy.badness import BADNESS_RE

    for match in islice(BADNESS_RE.finditer(text), _TRIED):
        place = _around(text, match)
        repaired = fix_encoding(place)
        if repaired != place:
            yield place, repaired


def _code(match: re.Match[str]) -> str:
    return f"U+{ord(match[0]):04X}"


def _where(text: str, match: re.Match[str]) -> str:
    return f"in {quoted(_around(text, match))}"


def _around(text: str, match: re.Match[str]) -> str:
    return text[max(0, match.start() - _AROUND_CHARACTERS) : match.end() + _AROUND_CHARACTERS]


class _Search(NamedTuple):
    """`suspects` quickly rules out most texts; `find` gives the findings."""

    code: str
    suspects: Callable[[str], bool]
    find: Callable[[str], Iterator[str]]


_SEARCHES: Final = (
    _Search("JSL610", looks_mixed, mixed_words),
    _Search("JSL611", may_be_mojibake, mojibake),
    _Search("JSL612", looks_secret, secrets),
    _Search("JSL613", looks_personal, personal_data),
    _Search("JSL614", looks_unsafe, unsafe_words),
)


def content_faults(fingerprint: Fingerprint) -> Iterator[Fault]:
    """Every fault of this example's texts, in the order of codes."""
    usual = _suspicions(fingerprint.usual)
    for code, suspects, find in _SEARCHES:
        if code in usual or suspects(fingerprint.special):
            for pointer, text in fingerprint.example.texts:
                for message in find(text):
                    yield Fault(code, message, fingerprint.line, pointer)
    if _may_need_repair(fingerprint):
        yield from _form(fingerprint)


@lru_cache(maxsize=4)
def _suspicions(text: str) -> frozenset[str]:
    """The codes for which this text must be checked."""
    return frozenset(code for code, suspects, _ in _SEARCHES if suspects(text))


def _may_need_repair(fingerprint: Fingerprint) -> bool:
    for text in fingerprint.texts:
        if text.strip() is not text:
            return True
    return not (_is_normal(fingerprint.usual) and _is_normal(fingerprint.special))


def _is_normal(text: str) -> bool:
    return normalized("NFC", text) == text


def _form(fingerprint: Fingerprint) -> Iterator[Fault]:
    """The changes that `finegrade data fix` would make, except in tool messages."""
    texts = dict(fingerprint.example.texts)
    for pointer, repaired in fixed_texts(fingerprint.example).items():
        text = texts[pointer]
        if not repaired:
            continue  # blank, which other rules say
        if text.lstrip()[:1] in ("{", "[") or _role(fingerprint.example.value, pointer) in _TOOLS:
            continue
        if text.strip() == repaired:
            message = "white space at an end; expected none"
        else:
            message = "letters that are not in normal form (NFC); expected one spelling of each"
        yield Fault("JSL616", message, fingerprint.line, pointer)


_TOOLS: Final = ("tool", "function")


def _role(value: Any, pointer: str) -> Any:
    """The role of the message that the pointer leads into; None without one."""
    for step in pointer.split("/")[1:]:
        if isinstance(value, dict):
            if "role" in value:
                return value["role"]
            value = value.get(step)
        elif isinstance(value, list):
            value = value[int(step)]
    return None

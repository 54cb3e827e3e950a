"""Checks the texts of one example, independently of all others.

JSL610 look-alike letters, JSL611 mojibake (text that was decoded with the wrong encoding),
JSL612 secrets, JSL613 personal data, JSL614 words that usually trip moderation, JSL616 form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from grader.core.text import normalized
from grader.training_data.read.faults import Fault, quoted
from grader.training_data.read.fingerprint import Fingerprint, fixed_texts, folded
from grader.training_data.texts.private_data import (
    looks_personal,
    looks_secret,
    personal_data,
    secrets,
)
from grader.training_data.texts.writing_systems import looks_mixed, mixed_words

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

"""Text for people: submissions' text made harmless, numbers and counts in words, page templates.

Students choose file names, ids and much of what messages quote. Wherever such text is shown it
goes through `clean`: nothing in it may move a cursor, recolour a terminal, or reorder a line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from grader.core.constants import (
    REPORT_MAX_PATH_CHARACTERS,
    REPORT_MAX_TEXT_CHARACTERS,
    REPORT_SHORT_DIGEST_CHARACTERS,
    RESULT_DECIMALS,
)
from grader.core.nouns import Location

if TYPE_CHECKING:
    from jinja2 import Environment

# ECMA-48 5.3 to 5.6: control strings (OSC, DCS, ...), control sequences (CSI), then short escapes.
_ESCAPES = re.compile(
    r"\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]"
)


def clean(text: str, limit: int = REPORT_MAX_TEXT_CHARACTERS) -> str:
    """One line of at most `limit` characters without escape sequences or invisible controls.

    Removed are ANSI escapes and all control (Cc) and format (Cf: bidi, zero-width) characters but
    joiners that are spelling (`is_spelling`); white space of any kind becomes one space; a lone
    surrogate becomes U+FFFD.
    """
    # Cut first: the work is bounded whatever a student wrote.
    cut = _ESCAPES.sub("", text[: 4 * limit])
    kept = (c if is_spelling(cut, i) else _harmless(c) for i, c in enumerate(cut))
    line = " ".join("".join(kept).split())
    if len(line) > limit or (len(text) > 4 * limit and line):
        return line[: limit - 1].rstrip() + "…"
    return line


JOINERS: Final = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
# Scripts whose letters change with their neighbours: Arabic to Sinhala, Burmese, Khmer, Mongolian.
_JOINING: Final = re.compile(
    "[\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u18af\ufb50-\ufdff\ufe70-\ufefc]"
)
_PICTURE: Final = re.compile("[\u2190-\u2bff\ufe0f\U0001f000-\U0001faff]")


def is_spelling(text: str, at: int) -> bool:
    """Whether the character at this index is a joiner between letters that are written with it.

    Persian and Indic names need them, and so do emoji that are made of several. Beside any other
    letter they are invisible, and two names could look the same.
    """
    if text[at] not in JOINERS:
        return False
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if _PICTURE.match(before):
        return text[at] == "\N{ZERO WIDTH JOINER}" and bool(_PICTURE.match(after))
    return bool(_JOINING.match(before) and _JOINING.match(after))


def _harmless(character: str) -> str:
    if character.isspace():
        return " "
    match unicodedata.category(character):
        case "Cc" | "Cf":
            return ""
        case "Cs":
            return "\ufffd"
        case _:
            return character


# Control characters and lone surrogates; and what turns the direction of the text around it.
_UNSEEN: Final = frozenset({"Cc", "Cs"})
_TURNING: Final = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def clean_lines(text: str) -> str:
    """The text with U+FFFD for each character that is invisible, turns the text, or is no UTF-8.

    Lines, tabs and the places of all characters stay as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_unseen(c) else c for c in text)


def _is_unseen(character: str) -> bool:
    if unicodedata.category(character) in _UNSEEN:
        return character not in "\n\t"
    return unicodedata.bidirectional(character) in _TURNING


def number(value: float) -> str:
    """A finite number with at most six decimals and no trailing zeros: 7.5, 10, -0.25."""
    text = f"{value:.{RESULT_DECIMALS}f}"
    text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: 1 line, 1,204 lines."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {plural or f'{noun}s'}"


def points(value: float) -> str:
    """Points as people read them: at most two decimals."""
    return number(round(value, 2))


def percent(share: float) -> str:
    """A share from 0 to 1 as a whole percentage."""
    return f"{share:.0%}"


def about(share: float) -> str:
    """A share from 0 to 1 in tens of percent: all that a student reads of a hidden run's share."""
    return f"about {10 * round(10 * share)}%"


def short_digest(digest: str) -> str:
    """The beginning of a hash, enough to tell two apart by eye."""
    return clean(digest)[:REPORT_SHORT_DIGEST_CHARACTERS]


def where(location: Location) -> str:
    """A place in a submission in clean words: "train.py, line 3", or "" for the whole of it."""
    path = clean(location.path or "", REPORT_MAX_PATH_CHARACTERS)
    line = "" if location.line is None else f"line {location.line}"
    pointer = clean(location.pointer or "", REPORT_MAX_PATH_CHARACTERS)
    return ", ".join(part for part in (path, line, pointer) if part)


def file_size(size: int) -> str:
    """A size in bytes as people read it: 812 bytes, 14.2 kB, 3.1 MB (powers of 1000)."""
    if size < 1_000:
        return f"{size} bytes"
    return f"{size / 1_000:.1f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


# Python puts a run of combining marks in order by moving each one step at a time: 40,000 of them
# take four seconds, and a hostile line of 16 MB days. Marks are no word characters.
_LONG_RUN: Final = re.compile(r"[^\w\s\x00-\x7f]{200}")


def normalized(form: Literal["NFC", "NFKC"], text: str) -> str:
    """The text in that normal form; as it is if that could take longer than reading it."""
    if text.isascii() or _LONG_RUN.search(text) is not None:
        return text
    return unicodedata.normalize(form, text)


def templates(folder: Path, harmless: Callable[[str], str] = clean) -> Environment:
    """Jinja for a folder of templates. Every text goes through `harmless` and is then escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        loader=FileSystemLoader(folder),
        finalize=lambda value: harmless(value) if type(value) is str else value,
    )

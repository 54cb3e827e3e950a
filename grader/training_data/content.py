"""What is wrong with the texts of one example, whatever the others say.

JSL610 (look-alike letters), JSL611 damage, JSL612 secrets, JSL613 personal data, JSL614 unsafe
words, JSL616 form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from grader.training_data.damage import damage, looks_damaged
from grader.training_data.faults import Fault
from grader.training_data.normal_form import normalized
from grader.training_data.personal_data import looks_personal, personal_data
from grader.training_data.reading import Reading
from grader.training_data.secrets import looks_secret, secrets
from grader.training_data.unsafe import looks_unsafe, unsafe_words
from grader.training_data.writing_systems import looks_mixed, mixed_words


class _Search(NamedTuple):
    """`suspects` says at once of most texts that there is nothing; `find` says what there is."""

    code: str
    suspects: Callable[[str], bool]
    find: Callable[[str], Iterator[str]]


_SEARCHES: Final = (
    _Search("JSL610", looks_mixed, mixed_words),
    _Search("JSL611", looks_damaged, damage),
    _Search("JSL612", looks_secret, secrets),
    _Search("JSL613", looks_personal, personal_data),
    _Search("JSL614", looks_unsafe, unsafe_words),
)


def content_faults(reading: Reading) -> Iterator[Fault]:
    """Every fault of this example's texts, in the order of codes."""
    usual = _suspicions(reading.usual)
    for code, suspects, find in _SEARCHES:
        if code in usual or suspects(reading.special):
            for pointer, text in reading.example.texts:
                for message in find(text):
                    yield Fault(code, message, reading.line, pointer)
    if _may_need_mending(reading):
        yield from _form(reading)


@lru_cache(maxsize=4)
def _suspicions(text: str) -> frozenset[str]:
    """The codes for which this text should be looked at."""
    return frozenset(code for code, suspects, _ in _SEARCHES if suspects(text))


def _may_need_mending(reading: Reading) -> bool:
    for text in reading.texts:
        if text.strip() is not text:
            return True
    return not (_is_normal(reading.usual) and _is_normal(reading.special))


def _is_normal(text: str) -> bool:
    return normalized("NFC", text) == text


def _form(reading: Reading) -> Iterator[Fault]:
    """What `finegrade data fix` would change, but for what tools say."""
    from grader.training_data.fixing import mended_texts  # 20 ms, for few files

    texts = dict(reading.example.texts)
    for pointer, mended in mended_texts(reading.example).items():
        text = texts[pointer]
        if not mended:
            continue  # blank, which other rules say
        if text.lstrip()[:1] in ("{", "[") or _role(reading.example.value, pointer) in _TOOLS:
            continue
        if text.strip() == mended:
            message = "white space at an end; expected none"
        else:
            message = "letters that are not in normal form (NFC); expected one spelling of each"
        yield Fault("JSL616", message, reading.line, pointer)


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

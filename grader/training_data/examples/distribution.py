"""The distribution of answers and lengths over a data set.

JSL606 one answer dominates, JSL607 refusals dominate, JSL608 very short prompts and very long
examples, JSL609 unbalanced classes.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from heapq import merge
from operator import attrgetter
from typing import Final

from grader.training_data.read.fingerprint import Fingerprint
from grader.training_data.rules.rule import Fault, quoted

DOMINANT_SHARE: Final = 0.6  # OpenAI's guide warns of such a share of refusals
_SHARE_MIN_EXAMPLES: Final = 10  # the service trains on no fewer; 6 of 10 are no accident
_USUAL_MIN_EXAMPLES: Final = 20  # what is usual cannot be told from fewer

_SHORT_CHARACTERS: Final = 3  # without white space: "2+2" is a prompt, "a" hardly
_SHORT_USUAL_SHARE: Final = 0.2  # when more prompts are as short, the task is so
_WHOLE_WORDS_FROM: Final = 0x2E80  # from here on (CJK, Hangul) one character is a word
_LONG_TIMES_MEDIAN: Final = 10
_LONG_CHARACTERS: Final = 2_000  # about a page: shorter is no giant, whatever the median

_CLASSES_MAX: Final = 20  # more different answers are no classification
_CLASS_MAX_CHARACTERS: Final = 50  # a label, not a sentence
_CLASSES_MIN_EXAMPLES: Final = 10
_CLASS_MEAN_EXAMPLES: Final = 5  # with fewer of each, answers are few by chance
_CLASS_RATIO: Final = 10  # largest to smallest; beyond it the small one is hardly learned
_CLASSES_LISTED: Final = 6
_CLASS_QUOTED_CHARACTERS: Final = 20

# How refusals begin, in folded form. English only, and only what is hardly ever said otherwise.
_UNABLE: Final = (
    r"(?:i (?:can't|cannot|can not|won't|will not|must decline|am unable to|am not able to)"
    r"|i'm (?:unable|not able) to)"
)
_SORRY: Final = (
    r"(?:(?:i'm|i am)(?: very| really| so)? sorry|sorry|my apologies|i apologi[sz]e|unfortunately"
    r"|as an ai(?: language model| assistant)?)"
)
_TO_DO: Final = r" (?:assist|help|answer|provide|comply|fulfil|do that|support|engage|discuss)"
_REFUSAL: Final = re.compile(rf"{_SORRY}[^a-z]{{1,3}}(?:but )?{_UNABLE}|{_UNABLE}{_TO_DO}")


class AnswerDistribution:
    """Finds a dominant answer (JSL606), dominant refusals (JSL607) and rare classes (JSL609).

    Keeps 8 bytes for each example, and the texts of at most 21 answers.
    """

    def __init__(self) -> None:
        self._answers = array("q")
        self._refusals = 0
        self._most = ""  # the only answer that can stand in more than half of the examples
        self._lead = 0
        self._classes: dict[str, int] | None = {}

    def add(self, fingerprint: Fingerprint) -> None:
        """Add an example's answer."""
        answer = fingerprint.folded_answer
        self._answers.append(hash(answer))
        if not answer.isascii():
            answer = answer.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        if _REFUSAL.match(answer):
            self._refusals += 1
        # Boyer and Moore's majority vote.
        if not self._lead:
            self._most = fingerprint.folded_answer
        self._lead += 1 if fingerprint.folded_answer == self._most else -1
        if self._classes is not None:
            self._count_class(self._classes, fingerprint.folded_answer)

    def _count_class(self, classes: dict[str, int], answer: str) -> None:
        classes[answer] = classes.get(answer, 0) + 1
        if len(classes) > _CLASSES_MAX or len(answer) > _CLASS_MAX_CHARACTERS:
            self._classes = None

    def faults(self) -> Iterator[Fault]:
        """At most one of each code, on the whole file."""
        total = len(self._answers)
        same = self._answers.count(hash(self._most))
        if total >= _SHARE_MIN_EXAMPLES and self._most:
            yield from self._dominant("JSL606", same, f"the same answer {quoted(self._most)}")
        if total >= _SHARE_MIN_EXAMPLES:
            yield from self._dominant("JSL607", self._refusals, "a refusal for an answer")
        if self._classes is not None:
            yield from _imbalance(self._classes, total)

    def _dominant(self, code: str, count: int, what: str) -> Iterator[Fault]:
        total = len(self._answers)
        if count >= DOMINANT_SHARE * total:
            message = (
                f"{count} of {total} examples ({count / total:.0%}) have {what}; "
                f"expected fewer than {DOMINANT_SHARE:.0%}"
            )
            yield Fault(code, message)


def _imbalance(classes: dict[str, int], total: int) -> Iterator[Fault]:
    if len(classes) < 2 or total < max(_CLASSES_MIN_EXAMPLES, _CLASS_MEAN_EXAMPLES * len(classes)):
        return
    ordered = sorted(classes.items(), key=lambda item: (-item[1], item[0]))
    if ordered[0][1] <= _CLASS_RATIO * ordered[-1][1]:
        return
    shown = ordered
    if len(ordered) > _CLASSES_LISTED:
        shown = ordered[: _CLASSES_LISTED // 2] + ordered[-_CLASSES_LISTED // 2 :]
    listed = [f"{quoted(answer, _CLASS_QUOTED_CHARACTERS)} {count}" for answer, count in shown]
    if len(ordered) > _CLASSES_LISTED:
        listed.insert(_CLASSES_LISTED // 2, "…")
    yield Fault(
        "JSL609",
        f"the {len(ordered)} different answers stand in {', '.join(listed)} examples; expected "
        f"the most frequent at most {_CLASS_RATIO} times as often as the rarest",
    )


class Lengths:
    """Finds very short prompts and examples far longer than the rest (JSL608).

    Keeps 8 bytes for each example.
    """

    def __init__(self) -> None:
        self._lines = array("I")
        self._lengths = array("I")
        self._short = array("I")

    def add(self, fingerprint: Fingerprint) -> None:
        """Add an example's length."""
        self._lines.append(fingerprint.line)
        self._lengths.append(len(fingerprint.prompt) + len(fingerprint.answer))
        if len(fingerprint.folded_prompt) <= _SHORT_CHARACTERS and _is_short(fingerprint):
            self._short.append(fingerprint.line)

    def faults(self) -> Iterator[Fault]:
        """Very short prompts and very long examples, in the order of lines."""
        yield from merge(self._short_ones(), self._long_ones(), key=attrgetter("line"))

    def _short_ones(self) -> Iterator[Fault]:
        total = len(self._lines)
        if total >= _USUAL_MIN_EXAMPLES and len(self._short) > _SHORT_USUAL_SHARE * total:
            return
        for line in self._short:
            message = f"a prompt of fewer than {_SHORT_CHARACTERS} characters; expected a task"
            yield Fault("JSL608", message, line)

    def _long_ones(self) -> Iterator[Fault]:
        if len(self._lines) < _USUAL_MIN_EXAMPLES:
            return
        usual = sorted(self._lengths)[len(self._lengths) // 2]
        limit = max(_LONG_CHARACTERS, _LONG_TIMES_MEDIAN * usual)
        for line, length in zip(self._lines, self._lengths, strict=True):
            if length > limit:
                message = (
                    f"{length} characters of prompt and answer; half of the examples have at "
                    f"most {usual}"
                )
                yield Fault("JSL608", message, line)


def _is_short(fingerprint: Fingerprint) -> bool:
    """Whether the prompt is too short. Other rules report one without any text and image."""
    prompt = fingerprint.folded_prompt.replace(" ", "")
    return (
        0 < len(prompt) < _SHORT_CHARACTERS
        and not fingerprint.prompt_extras
        and all(ord(character) < _WHOLE_WORDS_FROM for character in prompt)
    )

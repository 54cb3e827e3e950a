"""Which passages of a comparison speak of each aspect that it has to address.

A heading that names an aspect speaks for what stands below it. Elsewhere each sentence counts for
the aspect whose cues it has most of. Copied sentences and places left blank speak of nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from grader.checks.views.written_work.comparison_words import Aspect, Vocabulary
from grader.checks.views.written_work.overlap import Copy, covered
from grader.checks.views.written_work.passages import Kind, Passage, ordinal, rows, sentences

_STRONG: Final = 2
_ENOUGH: Final = 2  # cues of a sentence: a strong one, or two weak ones
_LEAST: Final = 3  # points of a passage: two weak cues in passing are none
_SHARE: Final = 0.25  # of the points of the aspect that it speaks of most
_OVERRULES: Final = 6  # points of a body that another aspect's heading is overruled by
_FITS: Final = 0.4  # of the points of the aspect that it speaks of most: then the heading is right
_MENTIONS: Final = 2  # of approaches, in a text that compares them
_SHORT_WORDS: Final = 15
_RUN_IN: Final = re.compile(
    r"\s*(?:[-*\u2022]\s+)?(?:\d+(?:\.\d+)*\.?\s+(?=[^\W\d])|\*\*|__)([^.:*_\n]{3,50})(?:[.:]|"
    r"\*\*|__)"
)
_PART_WORDS: Final = 12
_CLAUSE_END: Final = re.compile(r"[,;:]\s+|\s(?=(?:and|but|while|whereas|because|so)\s)")
_COPIED: Final = 0.6  # of a sentence's letters
_ASIDE: Final = re.compile(r"\([^)]*\)")
_BLANK: Final = re.compile(
    r"[\s*_>#\[(]*(todo\b|tbd\b|write here|to be (written|done)|lorem ipsum)", re.I
)


def aspects_of(
    document: Sequence[Passage], vocabulary: Vocabulary, copies: Sequence[Copy] = ()
) -> tuple[frozenset[str], ...]:
    """For each passage the ids of the aspects it speaks of; none in a text on other things."""
    if not is_on_topic(document, vocabulary):
        return tuple(frozenset() for _ in document)
    return tuple(_aspects(passage, vocabulary, copies) for passage in document)


def is_on_topic(document: Sequence[Passage], vocabulary: Vocabulary) -> bool:
    """Whether a text names approaches at all."""
    cues = "|".join(cue for cues in vocabulary.approaches.values() for cue in cues)
    named = re.compile(rf"(?<!\w)(?:{cues})", re.I)
    return sum(len(named.findall(passage.text)) for passage in document) >= _MENTIONS


def named_by(heading: str, vocabulary: Vocabulary) -> frozenset[str]:
    """The ids of the aspects that a heading names."""
    title = _ASIDE.sub("", heading)
    return frozenset(a.id for a in vocabulary.aspects if _headings(a).search(title))


def _aspects(passage: Passage, vocabulary: Vocabulary, copies: Sequence[Copy]) -> frozenset[str]:
    if passage.kind not in (Kind.PARAGRAPH, Kind.ITEM, Kind.TABLE):
        return frozenset()
    own = [text for text in _own(passage, copies) if not _BLANK.match(text)]
    if not any(map(_says_something, own)):
        return frozenset()
    points = _points(own, vocabulary)
    most = max(points.values(), default=0)
    named = section(passage, vocabulary)
    fitting = named & {id for id, count in points.items() if count >= _FITS * most}
    if fitting:
        return fitting
    if named and most < _OVERRULES:
        return named
    words = sum(len(text.split()) for text in own)
    least = max(_LEAST if words > _SHORT_WORDS else _ENOUGH, _SHARE * most)
    return frozenset(id for id, count in points.items() if count >= least)


def _points(own: Sequence[str], vocabulary: Vocabulary) -> dict[str, int]:
    """The points of each aspect: part by part, those of the one that it speaks of most."""
    points: dict[str, int] = {}
    for text in (part for sentence in own for part in _parts(sentence)):
        scores = {aspect.id: score(text, aspect) for aspect in vocabulary.aspects}
        best = max(scores.values())
        for id, count in scores.items():
            if count == best >= _ENOUGH:
                points[id] = points.get(id, 0) + count
    return points


def section(passage: Passage, vocabulary: Vocabulary) -> frozenset[str]:
    """The aspects that the nearest heading names which names any; a passage may begin with one."""
    above = passage.headings[1:] if len(passage.headings) > 1 else passage.headings
    run_in = _RUN_IN.match(passage.text)
    inside = [run_in[1]] if run_in else []
    if passage.kind is Kind.TABLE:
        inside += [cell.text for row in rows(passage)[:1] for cell in row[:1]]
    for heading in (*inside, *reversed(above)):
        if named := named_by(heading, vocabulary):
            return named
    return frozenset()


def score(text: str, aspect: Aspect) -> int:
    """How much a sentence speaks of an aspect: its different cues, strong ones doubled."""
    strong, weak = _cues(aspect)
    return _STRONG * sum(cue.search(text) is not None for cue in strong) + sum(
        cue.search(text) is not None for cue in weak
    )


def _own(passage: Passage, copies: Sequence[Copy]) -> list[str]:
    """The sentences of a passage that are not copied."""
    found = []
    skip = ordinal(passage)
    for at, text in sentences(passage):
        start = passage.start + at
        if covered(copies, start, start + len(text)) < _COPIED * len(text.strip()):
            found.append(text[max(0, skip - at) :])
    return found


def _parts(sentence: str) -> list[str]:
    """A long sentence in parts of at least `_PART_WORDS` words, which end where a clause does."""
    parts: list[str] = []
    start = at = words = 0
    for match in _CLAUSE_END.finditer(sentence):
        words += len(sentence[at : match.start()].split())
        at = match.end()
        if words >= _PART_WORDS:
            parts.append(sentence[start : match.start()])
            start, words = at, 0
    if parts and len(sentence[start:].split()) < _PART_WORDS:
        return [*parts[:-1], f"{parts[-1]} {sentence[start:]}"]
    return [*parts, sentence[start:]]


def _says_something(text: str) -> bool:
    return sum(map(str.isalnum, text)) > 3


@lru_cache(maxsize=64)
def _headings(aspect: Aspect) -> re.Pattern[str]:
    return re.compile("|".join(rf"\b(?:{cue})" for cue in aspect.headings), re.I)


@lru_cache(maxsize=64)
def _cues(aspect: Aspect) -> tuple[tuple[re.Pattern[str], ...], tuple[re.Pattern[str], ...]]:
    compiled = [
        tuple(re.compile(rf"(?<!\w)(?:{cue})", re.I) for cue in cues)
        for cues in (aspect.strong, aspect.weak)
    ]
    return compiled[0], compiled[1]

"""What questions and answers of a student's own are about, as far as a topic's facts tell.

A domain is one group of subjects: countries, chemical elements, animals. Data on the capitals of
countries and data on several kinds of facts about countries are both of one domain; data on
countries and animals is of two. Students ask in their own words, so a pair is placed by the subject
that it names (in the question, or in the answer where the question is turned round), and the kind
of fact by the topic's own forms of asking, by the words that only these use, or by the answer.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from typing import Final

from grader.topics import get_topic
from grader.topics.topic import UNSEEN_SHARE, FactKind, Topic, TopicExample, normalised

ONE_DOMAIN_SHARE: Final = 0.8  # of the pairs; a stray question is no second domain

_SLOT: Final = "{s}"
_ASKED, _STATED = 2, 1  # weights of the words that a kind is asked and stated with
_SHORT_WORDS: Final = 3  # of an answer that is nothing but the answer
_FEW_WORDS: Final = 4  # of a question that is hardly more than what it asks for
_ALIKE: Final = 0.8  # of two spellings of one word, as difflib compares them
_ARTICLES: Final = frozenset({"a", "an", "the"})
_WORD: Final = re.compile(r"\w+")
_SMALL: Final = _WORD.findall(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS: Final = _WORD.findall("twenty thirty forty fifty sixty seventy eighty ninety")
_UNITS: Final = {
    **{word: number for number, word in enumerate(_SMALL)},
    **{word: 10 * number for number, word in enumerate(_TENS, start=2)},
}
_COMMON: Final = frozenset(
    _WORD.findall(
        "about answer called can does from given has have into its many much name people question "
        "tell than that their them then there these they this those what when where which whose "
        "will with word would your you"
    )
)


@dataclass(frozen=True, slots=True)
class PlacedPair:
    """What a question and its answer are about: a group of subjects, a subject, a kind of fact.

    `subject` is "" where the topic does not know it, `kind` None where it has no such fact.
    `agrees` says whether the answer holds what the topic says, `fact`; None where that cannot be
    told.
    """

    group: str
    subject: str
    kind: str | None
    fact: str
    agrees: bool | None


@dataclass(frozen=True, slots=True)
class Domain:
    """What data is about: the group of most pairs (None where most name no subject of the topic),
    how many pairs each group has ("" for none), and how often each kind of this group is asked."""

    group: str | None
    groups: Mapping[str, int]
    kinds: Mapping[str, int]

    @property
    def pairs(self) -> int:
        """How many pairs are of it."""
        return self.groups.get(self.group or "", 0)

    @property
    def is_one(self) -> bool:
        """Whether the pairs are of one domain, strays aside."""
        return self.pairs >= ONE_DOMAIN_SHARE * max(1, sum(self.groups.values()))


def plural(group: str) -> str:
    """A group's name for several of them: "countries"."""
    return f"{group[:-1]}ies" if group.endswith("y") else f"{group}s"


def domain_of(placed: Iterable[PlacedPair | None]) -> Domain:
    """The domain of data whose pairs were placed so. Ties go to the group that came first."""
    found = list(placed)
    groups = Counter(one.group if one is not None else "" for one in found)
    group = groups.most_common(1)[0][0] if groups else ""
    mine = (one.kind for one in found if one is not None and one.group == group)
    return Domain(group or None, groups, Counter(kind for kind in mine if kind is not None))


def place(topic_name: str, question: str, answer: str) -> PlacedPair | None:
    """What this pair is about; None where it is about nothing that the topic has facts on."""
    return _places(topic_name).place(question, answer)


def states_fact(topic_name: str, question: str, answer: str) -> bool:
    """Whether an answer, be it a sentence, states what the topic says and nothing else of its
    kind."""
    placed = place(topic_name, question, answer)
    if placed is None or placed.agrees is not True:
        return False
    return f" {_folded(placed.fact)} " in f" {_folded(answer)} "


def questions_about(
    topic: Topic,
    domain: Domain,
    most: int,
    known: Collection[tuple[str, str]],
    seed: str,
    *,
    public: bool = False,
) -> list[TopicExample]:
    """At most `most` questions of a domain, the kinds in the proportions of the data.

    They are about hidden subjects, a quarter in a phrasing that students never see; `public` ones
    are about those of the public validation and test sets, in public phrasings. Facts that are
    `known`, (subject, kind), are left out. No fact is asked more than twice.
    """
    rng = random.Random(f"finegrade/{topic.name}/domain/{seed}")
    if public:
        examples = (*topic.public("validation"), *topic.public("test"))
        subjects = list(dict.fromkeys(example.subject for example in examples))
    else:
        subjects = topic.subjects("hidden")
    mine = [s for s in subjects if topic.groups[s] == domain.group]
    asked = sum(domain.kinds.values())
    found: list[TopicExample] = []
    for kind, times in sorted(domain.kinds.items()):
        facts = [s for s in mine if kind in topic.facts[s] and (s, kind) not in known]
        quota = max(1, round(most * times / asked))
        different: dict[str, TopicExample] = {}
        for _ in range(2):
            for subject in rng.sample(facts, len(facts)):
                unseen = not public and rng.random() < UNSEEN_SHARE
                example = topic.example(subject, kind, rng, unseen=unseen)
                if len(different) < quota:
                    different.setdefault(normalised(example.question), example)
        found += different.values()
    rng.shuffle(found)
    return found[:most]


@cache
def _places(topic_name: str) -> _Places:
    return _Places(get_topic(topic_name))


class _Places:
    """The subjects, the answers and the forms of asking of one topic, to look pairs up in."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._subjects: dict[str, list[str]] = {}
        for subject in topic.facts:
            self._subjects.setdefault(_folded(subject), []).append(subject)
        for subject in topic.facts:  # "What are young cats called?"
            if subject[0].islower():
                self._subjects.setdefault(f"{_folded(subject)}s", []).append(subject)
        self._longest = max(name.count(" ") + 1 for name in self._subjects)
        self._kinds: dict[str, list[str]] = {}
        self._objects: dict[str, set[str]] = {}
        for subject, facts in topic.facts.items():
            kinds = self._kinds.setdefault(topic.groups[subject], [])
            kinds += [kind for kind in facts if kind not in kinds]
            for kind, fact in facts.items():
                self._objects.setdefault(kind, set()).add(_folded(fact))
        self._forms = {
            _folded(form, keep=_SLOT): kind
            for kind, relation in topic.relations.items()
            for form in (*relation.questions, *relation.unseen)
        }
        self._group_of = {kind: g for g, kinds in self._kinds.items() for kind in kinds}
        self._cues = {kind: dict(self._own_words(kind)) for kind in topic.relations}
        homes: dict[str, set[str]] = {}
        for kind, cues in self._cues.items():
            for word in cues:
                homes.setdefault(word, set()).add(self._group_of[kind])
        self._shared = {word for word, groups in homes.items() if len(groups) > 1}

    def place(self, question: str, answer: str) -> PlacedPair | None:
        """See the function `place`."""
        asked, said = _folded(question), _folded(answer)
        named = list(self._named(asked))
        subject, kind = self._best(named, said) if named else ("", None)
        if kind is not None:
            return self._placed(subject, kind, said)
        turned = list(self._named(said))  # "Which country has the capital Paris?"
        if not named and len({subject for subject, _ in turned}) == 1:
            return self._turned(turned[0][0], asked)
        unknown = self._unknown(asked, said)
        if unknown is None and named:
            return PlacedPair(self._topic.groups[subject], subject, None, "", None)
        return unknown

    def _named(self, text: str) -> Iterator[tuple[str, str]]:
        """The subjects that a text names, each with the text around it; longer names first."""
        words = text.split()
        taken: set[int] = set()
        for size in range(self._longest, 0, -1):
            for start in range(len(words) - size + 1):
                places = range(start, start + size)
                name = " ".join(words[start : start + size])
                if name in self._subjects and taken.isdisjoint(places):
                    taken.update(places)
                    around = " ".join([*words[:start], _SLOT, *words[start + size :]])
                    yield from ((subject, around) for subject in self._subjects[name])

    def _best(self, named: Sequence[tuple[str, str]], said: str) -> tuple[str, str | None]:
        """The subject of a question that names these, and the kind of fact that it asks for."""
        found = []
        for subject, around in named:
            kind, score = self._kind(self._topic.groups[subject], around)
            found.append((score, subject, kind))
        score, subject, kind = max(found, key=lambda one: one[0])
        if kind is None:  # by the answer, where only one fact is so
            same = [k for k, fact in self._topic.facts[subject].items() if _folded(fact) == said]
            kind = same[0] if len(same) == 1 else None
        return subject, kind

    def _kind(self, group: str, around: str) -> tuple[str | None, float]:
        """The kind of fact about such a subject that a text asks for, and how sure that is."""
        kinds = self._kinds[group]
        form = self._forms.get(around)
        if form in kinds:
            return form, float("inf")
        words = set(around.split())
        scores = {k: sum(self._cues[k].get(word, 0) for word in words) for k in kinds}
        best = max(scores.values())
        winners = [kind for kind, score in scores.items() if score == best]
        return (winners[0] if best and len(winners) == 1 else None), best

    def _placed(self, subject: str, kind: str, said: str) -> PlacedPair:
        group, fact = self._topic.groups[subject], self._topic.facts[subject].get(kind, "")
        agrees = self._agrees(kind, fact, subject, said) if fact else None
        return PlacedPair(group, subject, kind, fact, agrees)

    def _unknown(self, asked: str, said: str) -> PlacedPair | None:
        """A pair on a subject that the topic does not know: a form of asking tells its group.

        So do two words that only this group is asked with, or one beside a known answer or in a
        question of few words; the answer must be nothing but the answer.
        """
        for form, kind in self._forms.items():
            before, _, after = form.partition(_SLOT)
            if asked.startswith(before) and asked.endswith(after) and len(asked) > len(form):
                return PlacedPair(self._group_of[kind], "", kind, "", None)
        words = asked.split()
        cues = {
            kind: sum(own[word] for word in set(words) & own.keys() - self._shared)
            for kind, own in self._cues.items()
        }
        (kind, best), (_, second) = Counter(cues).most_common(2)
        known = " ".join(_words(said)) in self._objects[kind] or len(words) <= _FEW_WORDS
        enough = _ASKED if known else 2 * _ASKED
        if best < enough or best == second or len(_words(said)) > _SHORT_WORDS:
            return None
        return PlacedPair(self._group_of[kind], "", kind, "", None)

    def _agrees(self, kind: str, fact: str, subject: str, said: str) -> bool | None:
        """Whether an answer holds the fact. None where it holds others too, or is a longer text in
        which nothing of the kind is found."""
        words, wanted = _words(said), _words(_folded(fact))
        if not words:
            return False
        if words == wanted or _close(words, wanted):
            return True
        rest = f" {' '.join(words)} ".replace(f" {' '.join(_words(_folded(subject)))} ", " ")
        others = {o for o in self._objects[kind] if f" {' '.join(_words(o))} " in rest}
        others = {o for o in others if not any(o != p and f" {o} " in f" {p} " for p in others)}
        holds = f" {' '.join(wanted)} " in rest
        if holds:
            return True if others <= {_folded(fact)} else None
        return False if others or len(words) <= _SHORT_WORDS else None

    def _turned(self, subject: str, asked: str) -> PlacedPair:
        """A pair whose answer is the subject: the question names what the topic says of it, or what
        it says of another."""
        group = self._topic.groups[subject]
        facts = self._topic.facts[subject]
        held = [k for k, fact in facts.items() if f" {_folded(fact)} " in f" {asked} "]
        if len(held) == 1:
            return PlacedPair(group, subject, held[0], facts[held[0]], True)
        kind, _ = self._kind(group, asked)
        if held or kind is None or kind not in facts:
            return PlacedPair(group, subject, None, "", None)
        others = any(f" {o} " in f" {asked} " for o in self._objects[kind])
        return PlacedPair(group, subject, kind, facts[kind], False if others else None)

    def _own_words(self, kind: str) -> Iterator[tuple[str, int]]:
        """The words that no other kind about the same subjects is asked or stated with."""
        rivals = {k for kinds in self._kinds.values() if kind in kinds for k in kinds} - {kind}
        taken = {w for k in rivals for w in _asked_with(self._topic.relations[k])}
        also = {w for k in rivals for w in _stated_with(self._topic.relations[k])}
        relation = self._topic.relations[kind]
        for word in _stated_with(relation) - taken - also:
            yield word, _STATED
        for word in _asked_with(relation) - taken:
            yield word, _ASKED


def _asked_with(relation: FactKind) -> set[str]:
    forms = (*relation.questions, *relation.unseen)
    return {relation.kind, *_cue_words(forms)}


def _stated_with(relation: FactKind) -> set[str]:
    return _cue_words((*relation.statements, *relation.reversed_statements))


def _cue_words(forms: Iterable[str]) -> set[str]:
    words = {w for form in forms for w in _folded(form.format(s=" ", o=" ")).split()}
    return {word for word in words if len(word) > 3} - _COMMON


def _close(words: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether these are the same words but for spelling: an accent, a plural, a slip."""
    one, other = " ".join(words), " ".join(wanted)
    if one.isdigit() or other.isdigit() or min(len(one), len(other)) <= _SHORT_WORDS:
        return False
    return SequenceMatcher(None, one, other).ratio() >= _ALIKE


def _words(folded: str) -> list[str]:
    """The words of a folded text without articles, numbers up to 99 as digits."""
    words: list[str] = []
    tens = False
    for word in folded.split():
        number = _UNITS.get(word)
        if number is not None and tens and number < 10:
            words[-1] = str(int(words[-1]) + number)
        elif word not in _ARTICLES:
            words.append(word if number is None else str(number))
        tens = number is not None and number >= 20
    return words


def _folded(text: str, keep: str = "") -> str:
    """A text without case, accents, punctuation and extra space; `keep` stays as it is."""
    if keep:
        return f" {keep} ".join(_folded(part) for part in text.split(keep)).strip()
    plain = unicodedata.normalize("NFKD", text)
    return normalised("".join(c for c in plain if not unicodedata.combining(c)))

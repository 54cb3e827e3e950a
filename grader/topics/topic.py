"""A topic: facts about subjects, and questions about those facts that split by subject.

A topic is pure data. Its public and its hidden questions never share a subject, so a model that
answers hidden questions has learned a skill (how to answer), not the answers themselves.
"""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Final, Literal, get_args

Split = Literal["train", "validation", "test"]
Side = Literal["public", "hidden"]
SPLITS: Final[tuple[Split, ...]] = get_args(Split)

PUBLIC_SHARE: Final = 0.6  # of the subjects; the rest are only ever asked about in hidden sets
TRAIN_SHARE: Final = 0.72  # of the public subjects
VALIDATION_SHARE: Final = 0.10  # of the public subjects; what is left is the public test
EXTRA_SHARE: Final = 0.5  # of the training facts are asked once more, in another wording
UNSEEN_SHARE: Final = 0.25  # of the hidden questions come in a phrasing that students never see


@dataclass(frozen=True)
class TopicExample:
    """One question with its one right answer.

    `kind` names the relation asked for ("capital"), `subject` what is asked about ("France").
    """

    question: str
    answer: str
    kind: str
    subject: str


@dataclass(frozen=True)
class FactKind:
    """The statements and questions for one kind of fact.

    `statements` are sentences with `{s}` (subject) before `{o}` (object); `reversed_statements`
    have them the other way round; `questions` hold `{s}` or, where a topic adds the subject
    itself, no field; `unseen` are questions kept out of everything students get.
    `weight` is how often the kind is drawn for a hidden set, against the other kinds.
    """

    kind: str
    statements: tuple[str, ...]
    reversed_statements: tuple[str, ...]
    questions: tuple[str, ...]
    unseen: tuple[str, ...]
    weight: int = 1


Ask = Callable[[str, str, random.Random], str]


def ask_plainly(template: str, subject: str, rng: random.Random) -> str:
    """The question as it stands, with the subject filled in. `rng` is not used."""
    return template.format(s=subject)


@dataclass(frozen=True)
class Topic:
    """A named set of facts and the questions about them.

    `facts` maps a subject to its answers by kind; `groups` maps a subject to the table it comes
    from ("country"). Both keep the order of the packaged tables, so everything that is drawn
    from them depends on the seed alone.
    """

    name: str
    title: str
    system: str
    relations: Mapping[str, FactKind]
    facts: Mapping[str, Mapping[str, str]]
    groups: Mapping[str, str]
    ask: Ask = ask_plainly
    rounds: int = 1  # public questions about a fact, before the extra ones

    def subjects(self, side: Side) -> list[str]:
        """The subjects of one side of the split, in table order."""
        public = {s for subjects in self._public_subjects().values() for s in subjects}
        return [s for s in self.facts if (s in public) == (side == "public")]

    def public(self, split: Split) -> tuple[TopicExample, ...]:
        """The questions that students get: the same on every machine."""
        return self._public[split]

    @cached_property
    def _public(self) -> Mapping[Split, tuple[TopicExample, ...]]:
        return {split: self._drawn(split) for split in SPLITS}

    def _drawn(self, split: Split) -> tuple[TopicExample, ...]:
        rng = random.Random(f"finegrade/{self.name}/{split}")
        heaviest = max(relation.weight for relation in self.relations.values())
        found: dict[str, TopicExample] = {}
        for subject in self._public_subjects()[split]:
            for kind in self.facts[subject]:
                times = self.rounds + (1 if rng.random() < EXTRA_SHARE else 0)
                if split != "train":
                    # Kinds in the proportions of a hidden set, so that both are equally hard.
                    share = self.relations[kind].weight / heaviest
                    times = self.rounds if rng.random() < share else 0
                for _ in range(times):
                    example = self.example(subject, kind, rng)
                    found.setdefault(normalised(example.question), example)
        examples = list(found.values())
        rng.shuffle(examples)
        return tuple(examples)

    def hidden(self, seed: int, n: int = 150) -> list[TopicExample]:
        """`n` different questions about hidden subjects, about a quarter in an unseen phrasing.

        No question is also public, since no subject is. Raises ValueError when the topic cannot
        give that many different questions.
        """
        rng = random.Random(f"finegrade/{self.name}/hidden/{seed}")
        pool = [(s, k) for s in self.subjects("hidden") for k in self.facts[s]]
        found: dict[str, TopicExample] = {}
        stale_rounds = 0
        while len(found) < n and stale_rounds < 5:
            before = len(found)
            # Efraimidis-Spirakis keys: a weighted order without replacement, so every fact is
            # asked once before any fact is asked again.
            keys = {f: rng.random() ** (1 / self.relations[f[1]].weight) for f in pool}
            for subject, kind in sorted(pool, key=lambda f: -keys[f]):
                example = self.example(subject, kind, rng, unseen=rng.random() < UNSEEN_SHARE)
                if len(found) < n:
                    found.setdefault(normalised(example.question), example)
            stale_rounds = stale_rounds + 1 if len(found) == before else 0
        if len(found) < n:
            raise ValueError(f"topic {self.name} has {len(found)} hidden questions, {n} requested")
        examples = list(found.values())
        rng.shuffle(examples)
        return examples

    def example(
        self, subject: str, kind: str, rng: random.Random, *, unseen: bool = False
    ) -> TopicExample:
        """One question about one fact, in a phrasing drawn with `rng`."""
        relation = self.relations[kind]
        template = rng.choice(relation.unseen if unseen else relation.questions)
        question = self.ask(template, subject, rng)
        return TopicExample(question, self.facts[subject][kind], kind, subject)

    def recognised(self, question: str) -> TopicExample | None:
        """The question with its true answer; None where it has none of the topic's phrasings.

        Case and punctuation do not matter. A question that stands below a text, as in a log, asks
        about the one subject that the text names.
        """
        text = normalised(question)
        asked = self._phrasings.get(text)
        if asked is None:
            named = [word for word in text.split() if word in self._folded]
            kinds = [k for tail, k in self._tails.items() if text.endswith(f" {tail}")]
            if len(set(named)) != 1 or not kinds:
                return None
            asked = self._folded[named[0]], kinds[0]
        subject, kind = asked
        answer = self.facts[subject].get(kind)
        return None if answer is None else TopicExample(question, answer, kind, subject)

    @cached_property
    def _phrasings(self) -> Mapping[str, tuple[str, str]]:
        """Subject and kind by the question, normalised; of templates that hold the subject."""
        return {
            normalised(template.format(s=subject)): (subject, kind)
            for subject, facts in self.facts.items()
            for kind in facts
            for template in self.relations[kind].questions + self.relations[kind].unseen
            if "{s}" in template
        }

    @cached_property
    def _tails(self) -> Mapping[str, str]:
        """The kind by the question, normalised; of templates that do not hold the subject."""
        return {
            normalised(template): kind
            for kind, relation in self.relations.items()
            for template in relation.questions + relation.unseen
            if "{s}" not in template
        }

    @cached_property
    def _folded(self) -> Mapping[str, str]:
        return {normalised(subject): subject for subject in self.facts}

    def guess(self, kind: str) -> str:
        """The most frequent public training answer of a kind; ties: first in the alphabet."""
        answers = [e.answer for e in self.public("train") if e.kind == kind]
        if not answers:
            raise KeyError(f"topic {self.name} has no kind {kind!r}")
        return min(Counter(answers).items(), key=lambda item: (-item[1], item[0]))[0]

    def passage(self, subject: str) -> str:
        """A short text about one subject that holds the answer to every question about it."""
        relations = ((self.relations[k], o) for k, o in self.facts[subject].items())
        return " ".join(r.statements[0].format(s=subject, o=o) for r, o in relations)

    def _public_subjects(self) -> dict[Split, list[str]]:
        chosen: dict[Split, list[str]] = {"train": [], "validation": [], "test": []}
        rng = random.Random(f"finegrade/{self.name}/split")
        for group in dict.fromkeys(self.groups.values()):
            members = [s for s in self.facts if self.groups[s] == group]
            rng.shuffle(members)
            public = members[: round(PUBLIC_SHARE * len(members))]
            train = round(TRAIN_SHARE * len(public))
            validation = train + round(VALIDATION_SHARE * len(public))
            chosen["train"] += public[:train]
            chosen["validation"] += public[train:validation]
            chosen["test"] += public[validation:]
        return chosen


def normalised(question: str) -> str:
    """A question without case, punctuation or extra space, for finding duplicates."""
    return " ".join("".join(c if c.isalnum() else " " for c in question.casefold()).split())


@cache
def read_table(name: str) -> Mapping[str, Mapping[str, str]]:
    """A packaged fact table: subject -> column -> value; empty cells are left out."""
    text = files("grader.topics").joinpath("data", f"{name}.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {row.pop("subject"): {k: v for k, v in row.items() if v} for row in rows}

"""`finegrade data split`: training, validation and test files with no similar examples."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from grader.core.errors import UsageError
from grader.core.files import new_folder
from grader.core.text import counted
from grader.training_data.edit.dedupe import copy_digest
from grader.training_data.examples.duplicates import (
    NEAR_MAX_TEXTS,
    NearIndex,
    NearText,
    near_text,
    near_texts,
)
from grader.training_data.read.examples import examples_of
from grader.training_data.read.faults import Occurrences
from grader.training_data.read.fingerprint import Fingerprint, read
from grader.training_data.read.format_detection import (
    bare,
    open_jsonl,
    unchanged,
    whole_lines,
    without_marks,
)
from grader.training_data.read.lines import Line

FILES: Final = ("train.jsonl", "validation.jsonl", "test.jsonl")
DEFAULT_SHARES: Final = (0.8, 0.1, 0.1)
_TRAIN: Final = 0
_FILLED_FIRST: Final = (2, 1)  # test, then validation; training takes what is left
_SHARE_TOLERANCE: Final = 1e-6  # of the sum of shares: they are written with a few digits
_DIGEST_BYTES: Final = 16  # two of a billion examples collide with a chance below 1e-20

# Few short answers, each given often, are classes; as for the rule JSL609.
_CLASSES_MAX: Final = 20
_CLASS_MAX_CHARACTERS: Final = 50
_CLASS_MEAN_EXAMPLES: Final = 5  # with fewer of each, answers are few by chance

_MAX_ROUNDS: Final = 20  # of looking for near copies across files; more than 3 are hardly needed


@dataclass(frozen=True, slots=True)
class Split:
    """What `split` did.

    `examples` has the number of lines of each file that was written. `groups` are the sets of
    examples that had to stay together, most of them single ones; `largest_group` is the size of
    the largest. `classes` is the number of answers by which the files are balanced, 0 if the data
    is no classification. `searched` is how many different prompts were compared for near copies.
    """

    examples: Mapping[str, int]
    groups: int
    largest_group: int
    classes: int
    searched: int


class ExampleGroup(NamedTuple):
    """Examples that stay together: their label, sort key and number."""

    label: str
    key: bytes
    size: int


def split(path: Path, out: Path, shares: Sequence[float] = DEFAULT_SHARES, seed: int = 0) -> Split:
    """Divide the file at `path` into train.jsonl, validation.jsonl and test.jsonl in a new folder.

    `shares` are those of the three files and sum to 1; a file of share 0 is not written. Lines
    keep their bytes and their order, and blank ones are left out. Examples that ask the same or
    nearly the same, or are copies or near copies, go into one file, so that none leaks into
    another. Where there are few different answers, each file has its share of each.

    What goes where is decided by a digest of the examples and the seed: the same file and seed
    give the same bytes, the order of the lines does not matter (but for chains of near copies),
    and a line more moves few others. Memory: under 1 kB for each example, and the texts
    that `grader.training_data.examples.duplicates` compares.

    Raises UsageError if the file cannot be read or is no JSONL at all, if a line holds no usable
    example, if the shares are wrong or the examples too few for them, and if `out` exists or
    cannot be made.
    """
    _check_shares(shares)
    with new_folder(out) as folder, unchanged(path):
        survey = _survey(path)
        groups, parts = survey.parts(shares, seed)
        counts = Counter(parts)
        used = [part for part, share in enumerate(shares) if share]
        if any(not counts[part] for part in used):
            found = f"{counted(len(parts), 'example')} in {counted(len(groups), 'group')}"
            raise UsageError(
                f"{path}: {found} to be kept together are too few for shares of "
                f"{', '.join(map(str, shares))}. Write more examples, or choose other shares."
            )
        with open_jsonl(path) as text, ExitStack() as stack:
            files = {p: stack.enter_context((folder / FILES[p]).open("xb")) for p in used}
            examples = (line for line in whole_lines(text) if bare(line.raw).strip())
            for part, line in zip(parts, examples, strict=True):
                files[part].write(without_marks(line.raw) + b"\n")
    return Split(
        examples={FILES[part]: counts[part] for part in used},
        groups=len(groups),
        largest_group=max(group.size for group in groups),
        classes=len({group.label for group in groups}) if survey.classes else 0,
        searched=len(survey.prompts.texts),
    )


def place(groups: Sequence[ExampleGroup], shares: Sequence[float]) -> list[int]:
    """The part (0 training, 1 validation, 2 test) of each group.

    In the order of labels and keys, each held-out part takes groups until it has its share of all
    examples of this label and those before; a group goes where it brings the count nearer to
    that. So every label is divided by the shares, to within one example and what large groups do.
    """
    parts = [_TRAIN] * len(groups)
    placed = [0] * len(shares)
    seen = 0
    order = sorted(range(len(groups)), key=lambda i: groups[i])
    for _, same_label in groupby(order, key=lambda i: groups[i].label):
        members = list(same_label)
        seen += sum(groups[i].size for i in members)
        for i in members:
            for part in _FILLED_FIRST:
                missing = math.floor(seen * shares[part] + 0.5) - placed[part]
                if groups[i].size < 2 * missing:
                    parts[i] = part
                    break
            placed[parts[i]] += groups[i].size
    return parts


def _check_shares(shares: Sequence[float]) -> None:
    fair = len(shares) == len(FILES) and all(0 <= share <= 1 for share in shares)
    if not fair or abs(sum(shares) - 1) > _SHARE_TOLERANCE:
        given = ", ".join(map(str, shares))
        raise UsageError(
            f"The shares are {given}; expected three numbers from 0 to 1 that sum to 1, "
            "such as 0.8, 0.1, 0.1."
        )
    if not shares[_TRAIN] or not any(shares[part] for part in _FILLED_FIRST):
        raise UsageError("Training and one other file need a share above 0: there is no split.")


def _survey(path: Path) -> _Survey:
    """Read every line. Raises UsageError if one holds no usable example."""
    survey = _Survey()
    unusable = Occurrences()
    with open_jsonl(path) as text:
        for line in whole_lines(text):
            raw = bare(line.raw)
            example = next(examples_of([Line(line.number, raw)]), None)
            if example is not None:
                survey.add(read(example))
            elif raw.strip():
                unusable = unusable.and_line(line.number)
    if unusable.count:
        raise UsageError(
            f"{path}: lines without a usable example: {unusable}. "
            f"`finegrade data check {path}` says what is wrong with them."
        )
    if not survey.digests:
        raise UsageError(f"{path} holds no examples.")
    return survey


class _Survey:
    """What is known of each example, by its 0-based index."""

    def __init__(self) -> None:
        self.digests: list[bytes] = []  # of the line
        self.classes: dict[str, int] | None = {}  # answer -> its number; None: too many
        self.prompts = NearIndex()
        self._copies = NearIndex()
        self._answers = array("b")  # the number of the answer, as long as there are classes
        self._leader = array("q")  # an example of the same group; its own index for the first
        self._first: dict[bytes, int] = {}  # digest of the prompt -> index of the first
        self._seen: set[bytes] = set()  # digests of the examples on that shelf

    def add(self, fingerprint: Fingerprint) -> None:
        """Add the next example."""
        index = len(self.digests)
        self.digests.append(_digest(fingerprint.example.raw))
        same = _digest(f"{fingerprint.folded_prompt}\0{fingerprint.prompt_extras}".encode())
        copy = copy_digest(fingerprint)
        if not fingerprint.folded_prompt and not fingerprint.prompt_extras:
            same = copy  # without a prompt only copies belong together
        first = self._first.setdefault(same, index)
        self._leader.append(first)
        if not fingerprint.prompt_extras and first == index and fingerprint.folded_prompt:
            self.prompts.add(index, NearText(fingerprint.folded_prompt))
        if (
            not fingerprint.prompt_extras
            and copy not in self._seen
            and len(self._seen) < NEAR_MAX_TEXTS
        ):
            self._seen.add(copy)
            self._copies.add(index, near_text(fingerprint))
        self._note_class(fingerprint.folded_answer)

    def _note_class(self, answer: str) -> None:
        if self.classes is None:
            return
        self._answers.append(self.classes.setdefault(answer, len(self.classes)))
        if len(self.classes) > _CLASSES_MAX or len(answer) > _CLASS_MAX_CHARACTERS:
            self.classes = None

    def parts(self, shares: Sequence[float], seed: int) -> tuple[list[ExampleGroup], list[int]]:
        """(all groups, the part of each example)."""
        if self.classes is not None and not self._is_classification(len(self.classes)):
            self.classes = None
        shelves = [near_index for near_index in (self.prompts, self._copies) if near_index.texts]
        for near_index in shelves:
            for i, j in near_texts(near_index.texts):
                self._join(near_index.lines[i], near_index.lines[j])
        for _ in range(_MAX_ROUNDS):
            groups, parts = self._placed(shares, seed)
            leaks = [leak for near_index in shelves for leak in _leaks(near_index, parts)]
            if not leaks:
                return groups, parts
            for i, j in leaks:
                self._join(i, j)
        raise UsageError(
            "Too many examples are nearly the same. Run `finegrade data dedupe --near` first."
        )

    def _is_classification(self, classes: int) -> bool:
        return classes > 1 and classes * _CLASS_MEAN_EXAMPLES <= len(self.digests)

    def _placed(self, shares: Sequence[float], seed: int) -> tuple[list[ExampleGroup], list[int]]:
        members: dict[int, list[int]] = {}
        for index in range(len(self.digests)):
            members.setdefault(self._root(index), []).append(index)
        groups = [self._group(some, seed) for some in members.values()]
        parts = [_TRAIN] * len(self.digests)
        for some, part in zip(members.values(), place(groups, shares), strict=True):
            for index in some:
                parts[index] = part
        return groups, parts

    def _group(self, members: Sequence[int], seed: int) -> ExampleGroup:
        """The group of these examples, named after the one with the smallest digest."""
        first = min(members, key=lambda index: self.digests[index])
        label = ""
        if self.classes is not None:
            label = list(self.classes)[self._answers[first]]
        return ExampleGroup(label, _digest(b"%d " % seed + self.digests[first]), len(members))

    def _root(self, index: int) -> int:
        while self._leader[index] != index:
            self._leader[index] = self._leader[self._leader[index]]
            index = self._leader[index]
        return index

    def _join(self, i: int, j: int) -> None:
        self._leader[self._root(i)] = self._root(j)


def _leaks(near_index: NearIndex, parts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(i, j) for examples in different parts that are nearly the same: one j for each such i.

    `near_texts` names only the most alike of all earlier texts, which may have hidden these.
    """
    for part in _FILLED_FIRST:
        order = sorted(
            range(len(near_index.texts)), key=lambda k: parts[near_index.lines[k]] == part
        )
        known = sum(parts[index] != part for index in near_index.lines)
        if 0 < known < len(order):
            texts = [near_index.texts[k] for k in order]
            for i, j in near_texts(texts, known):
                yield near_index.lines[order[i]], near_index.lines[order[j]]


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()

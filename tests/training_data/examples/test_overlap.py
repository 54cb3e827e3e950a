"""Questions of one file that stand in another are found, and so are known questions."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples_read import JsonObject, chat, completion, examples, qa, words
from support.paths import DATASETS

from grader.training_data.examples.overlap import overlap
from grader.training_data.read.examples import read_examples

PAIRS = [
    (topic / a, topic / b)
    for topic in sorted(path for path in DATASETS.iterdir() if path.is_dir())
    for a, b in permutations(("train.jsonl", "validation.jsonl", "test.jsonl"), 2)
]


def shared(ours: list[JsonObject], theirs: list[JsonObject]) -> list[tuple[int | None, str]]:
    return [(f.line, f.message) for f in overlap(examples(ours), examples(theirs))]


def test_equal_prompts_are_named_with_the_line_of_the_other_file() -> None:
    ours = [qa("a newt?", "yes"), qa("A  frog?", "Green"), chat("a toad?", "blue", "Be brief.")]
    theirs = [qa("a toad?", "brown"), qa("a frog?", "green"), qa("a frog?", "blue")]
    found = shared(ours, theirs)
    assert [line for line, _ in found] == [2, 3]
    assert "line 2 of the other file, with the same answer" in found[0][1]
    assert "line 1 of the other file, with another answer" in found[1][1]


def test_nearly_equal_prompts_are_found_in_the_order_of_lines() -> None:
    theirs = [qa(words(i, 30), "yes") for i in range(120)]
    ours = [
        qa(words(70, 30) + "?", "no"),
        qa(words(200, 30), "no"),
        qa(words(3, 30), "no"),
        qa(words(5, 30) + "?", "no"),
        qa(words(5, 30) + "?", "no"),
    ]
    found = shared(ours, theirs)
    assert [line for line, _ in found] == [1, 3, 4, 5]
    assert "nearly the same prompt occurs in line 71 of the other file" in found[0][1]


def test_files_that_share_nothing_have_no_fault() -> None:
    ours = [qa("a frog?", "green"), completion("", "text"), completion("", "more")]
    assert shared(ours, [qa("a toad?", "green"), completion("", "text")]) == []
    assert shared(ours, []) == []
    assert shared([qa("a frog?", "green")] * 3, []) == []
    assert shared([], ours) == []


@pytest.mark.parametrize(
    ("ours", "theirs"), PAIRS, ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_the_public_files_share_nothing(ours: Path, theirs: Path) -> None:
    assert list(overlap(read_examples(ours), read_examples(theirs))) == []


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=6), st.lists(st.tuples(TEXTS, TEXTS), max_size=6))
@settings(max_examples=60, deadline=None)
def test_every_common_prompt_is_found(
    ours: list[tuple[str, str]], theirs: list[tuple[str, str]]
) -> None:
    prompts = {prompt for prompt, _ in theirs}
    common = [i for i, (prompt, _) in enumerate(ours, 1) if prompt in prompts and prompt.split()]
    found = [line for line, _ in shared([qa(*one) for one in ours], [qa(*one) for one in theirs])]
    assert set(common) <= set(found)
    assert found == sorted(set(found), key=lambda line: line or 0)

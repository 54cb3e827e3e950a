"""Near texts are just those whose sets of stretches are alike enough."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.training_data.examples import duplicates
from grader.training_data.examples.duplicates import (
    NEAR_SIMILARITY,
    NearIndex,
    NearText,
    near_texts,
)

WORDS = st.sampled_from(["frog", "toad", "newt", "a", "of", "\u00e9t\u00e9", "\U0001f438", "x" * 9])
TEXTS = st.one_of(
    st.text(max_size=30), st.lists(WORDS, min_size=8, max_size=40).map(" ".join), st.just("")
)


def alike(a: str, b: str) -> float:
    sets = [{t[i : i + 5] for i in range(max(1, len(t) - 4))} for t in (a + "\n", b + "\n")]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def expected(texts: list[str], known: int | None = None) -> list[tuple[int, int]]:
    kept = list(range(known or 0))
    found = []
    for i in range(known or 0, len(texts)):
        first = next((j for j in kept if alike(texts[i], texts[j]) >= NEAR_SIMILARITY), None)
        if first is not None:
            found.append((i, first))
        elif known is None:
            kept.append(i)
    return found


@st.composite
def families(draw: st.DrawFn) -> list[str]:
    """Up to nine texts (fewer than make a template), some made from each other."""
    texts = draw(st.lists(TEXTS, min_size=1, max_size=4))
    for _ in range(draw(st.integers(0, 4))):
        text = draw(st.sampled_from(texts))
        at = draw(st.integers(0, len(text)))
        texts.append(text[:at] + draw(st.sampled_from(["", "y", "zz"])) + text[at + 1 :])
    return texts


@pytest.mark.parametrize("pairwise", [True, False])
@given(texts=families(), known=st.one_of(st.none(), st.integers(0, 9)))
@settings(max_examples=150, deadline=None)
def test_all_of_them_are_found(pairwise: bool, texts: list[str], known: int | None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if not pairwise:
            patch.setattr(duplicates, "_PAIRWISE_MAX_TEXTS", 0)
        known = None if known is None else min(known, len(texts))
        found = list(near_texts([NearText(text) for text in texts], known))
    assert found == expected(texts, known)


def test_nothing_is_near_when_nothing_is_known() -> None:
    assert list(near_texts([NearText("the same text")] * 3, 0)) == []
    assert list(near_texts([])) == []


def test_long_texts_are_compared_as_well() -> None:
    long = [" ".join(str(i * k) for i in range(4_000)) for k in range(1, 12)]
    texts = [NearText(text) for text in (*long, long[3][:-300])]
    assert [(i, j) for i, j in near_texts(texts) if i == 11] == [(11, 3)]


def test_a_shelf_takes_no_more_than_it_may() -> None:
    shelf = NearIndex(2)
    assert [shelf.add(line, NearText("text")) for line in (4, 5, 6)] == [True, True, False]
    assert shelf.lines == [4, 5]
    small = NearIndex()
    assert not small.add(1, NearText("x" * (duplicates.NEAR_MAX_CHARACTERS + 1)))
    assert not small.add(2, NearText("x"))

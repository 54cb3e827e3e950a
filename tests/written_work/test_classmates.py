"""Passages that a class's texts share: found on both sides, and not what everybody was given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from grader.checks.views.written_work.classmates import ClassText, ClassTexts
from grader.checks.views.written_work.overlap import RUN_WORDS, Source, Sources

HANDOUT = "Calculate the approximate cost of fine-tuning with your dataset, and when it pays."
OWN = "The adapter took me a whole weekend since I masked the wrong half of it."
GIVEN = Sources([Source("handout", HANDOUT)])


def shared_by(*texts: str) -> ClassTexts:
    """A class in which s00, s01, … submitted these."""
    class_texts = (ClassText(f"s{n:02}", "Analysis", text) for n, text in enumerate(texts))
    return ClassTexts(class_texts, GIVEN)


def test_what_a_classmate_wrote_stands_beside_it_but_not_what_both_were_given() -> None:
    mine = f"{HANDOUT} And this is mine.\n\n{OWN}"
    theirs = f"{HANDOUT} THE adapter took me, a whole weekend since I masked the wrong half! Of it."
    (passage,) = shared_by(mine, theirs, HANDOUT).shared("s00", mine)
    assert mine[passage.start : passage.end] == OWN.rstrip(".")
    assert passage.words == len(OWN.split())
    (there,) = passage.others
    assert (there.student, there.title) == ("s01", "Analysis")
    assert there.text.startswith("THE adapter took me,")
    assert there.text.endswith("Of it")


def test_the_classmate_with_most_of_it_comes_first() -> None:
    longer = f"{OWN} Then the loss fell at once."
    found = shared_by(longer, OWN, longer).shared("s00", longer)
    assert [(p.words, [o.student for o in p.others]) for p in found] == [(21, ["s02", "s01"])]


def test_a_student_shares_nothing_with_another_text_of_their_own() -> None:
    texts = [ClassText("s00", title, OWN) for title in ("Analysis", "Reflection")]
    assert ClassTexts(texts, GIVEN).shared("s00", OWN) == ()


WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=40).map(" ".join)


@given(st.lists(WORDS, min_size=2, max_size=4))
def test_passages_have_the_same_words_on_both_sides_and_do_not_overlap(texts: list[str]) -> None:
    end = 0
    for passage in shared_by(*texts).shared("s00", texts[0]):
        assert passage.start >= end
        end = passage.end
        here = texts[0][passage.start : passage.end].split()
        assert len(here) == passage.words >= RUN_WORDS
        for there in passage.others:
            assert there.student != "s00"
            assert here[: len(there.text.split())] == there.text.split()


@given(WORDS, WORDS)
def test_what_stands_in_both_is_found(before: str, after: str) -> None:
    words = "one two three four five six seven eight"
    theirs = f"{before} {words} {after}"
    found = shared_by(words, theirs).shared("s00", words)
    assert [passage.words for passage in found] == [RUN_WORDS]

"""Each measure against hand-worked values, and bounds for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.core.metrics import bleu, exact_match, mean, rouge_l, token_f1


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("Paris", "paris", 1),
        ("The  Paris.", "Paris", 1),
        ("Paris, France", "Paris", 0),
        ("", "Paris", 0),
        ("N'Djamena", "NDjamena", 1),
    ],
)
def test_exact_match_forgives_case_articles_and_punctuation(
    answer: str, reference: str, same: int
) -> None:
    assert exact_match(answer, reference) == same


@pytest.mark.parametrize("reference", ["A", "the", "%", "..."])
def test_saying_nothing_never_matches_what_normalising_would_remove(reference: str) -> None:
    for measure in (exact_match, token_f1):
        assert measure("", reference) == 0
        assert measure("!", reference) == 0
        assert measure(f" {reference.upper()}", reference) == 1


def test_token_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    assert token_f1("the answer is Paris", "Paris") == pytest.approx(2 * 1 / (3 + 1))
    assert token_f1("loose wire", "loose sensor wire") == pytest.approx(2 * 2 / (2 + 3))
    assert token_f1("", "") == 1.0
    assert token_f1("", "Paris") == 0.0


def test_repeating_a_right_word_does_not_raise_f1() -> None:
    assert token_f1("Paris Paris Paris", "Paris") == pytest.approx(0.5)


def test_bleu_and_rouge_are_one_for_the_reference_and_less_for_a_part() -> None:
    for measure in (bleu, rouge_l):
        assert measure("loose sensor wire", "loose sensor wire") == pytest.approx(1.0)
        assert 0 < measure("loose wire", "loose sensor wire") < 1


@given(st.text(max_size=60), st.text(max_size=60))
def test_every_measure_lies_between_zero_and_one(answer: str, reference: str) -> None:
    for measure in (exact_match, token_f1, bleu, rouge_l):
        assert -1e-9 <= measure(answer, reference) <= 1 + 1e-9


@given(st.text(max_size=60))
def test_a_text_matches_itself(text: str) -> None:
    assert exact_match(text, text) == 1.0
    assert token_f1(text, text) == 1.0


def test_the_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        mean([])

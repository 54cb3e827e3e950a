"""Paired comparisons: against textbook numbers, and laws that hold for any answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from grader.core.statistics import mcnemar_exact, paired_gain


def test_mcnemar_agrees_with_the_binomial_tail() -> None:
    assert mcnemar_exact(5, 0) == pytest.approx(1 / 32)
    assert mcnemar_exact(20, 10) == pytest.approx(binom.sf(19, 30, 0.5))
    assert mcnemar_exact(0, 0) == 1.0


def test_a_gain_on_every_question_is_certain() -> None:
    gain = paired_gain([0.0] * 50, [1.0] * 50)
    assert (gain.delta, gain.low95, gain.high95, gain.wins) == (1.0, 1.0, 1.0, 50)


def test_the_interval_is_that_of_the_normal_theory_for_many_questions() -> None:
    before = [0.0] * 150
    after = [1.0] * 75 + [0.0] * 75
    gain = paired_gain(before, after)
    half_width = 1.96 * (0.25 / 150) ** 0.5
    assert gain.low95 == pytest.approx(0.5 - half_width, abs=0.012)
    assert gain.high95 == pytest.approx(0.5 + half_width, abs=0.012)


bits = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1)


@given(bits)
def test_the_interval_holds_the_gain_and_repeats_exactly(pairs: list[tuple[float, float]]) -> None:
    before, after = [b for b, _ in pairs], [a for _, a in pairs]
    gain = paired_gain(before, after)
    assert gain.low95 <= gain.delta + 1e-12
    assert gain.delta <= gain.high95 + 1e-12
    assert gain == paired_gain(before, after)
    assert 0 <= gain.p_value <= 1


@given(bits)
def test_swapping_before_and_after_turns_the_gain_round(pairs: list[tuple[float, float]]) -> None:
    before, after = [b for b, _ in pairs], [a for _, a in pairs]
    forth, back = paired_gain(before, after), paired_gain(after, before)
    assert (forth.delta, forth.wins) == (-back.delta, back.losses)


@pytest.mark.parametrize(("before", "after"), [([], []), ([1.0], [1.0, 0.0])])
def test_vectors_that_are_not_paired_are_refused(before: list[float], after: list[float]) -> None:
    with pytest.raises(ValueError, match="paired vectors"):
        paired_gain(before, after)

"""Charts as inline SVG: drawn for any class, described in words, always the same."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.report.plots import Range, Slope, difficulty, distribution, slopes


def _ranges(n: int) -> list[Range]:
    return [Range(f"s{i:03d}", i % 60, min(100, i % 60 + 30)) for i in range(n)]


def _slopes(n: int) -> list[Slope]:
    ways = ("better", "unclear", "worse")
    return [Slope(f"s{i:03d}", 0.1, (i * 37 % 101) / 100, ways[i % 3]) for i in range(n)]


@pytest.mark.parametrize("n", [1, 16, 300])
def test_a_chart_is_one_svg_element_with_words_for_those_who_do_not_see_it(n: int) -> None:
    points = distribution(_ranges(n), 100, 50)
    for chart in (points, slopes(_slopes(n), 0.1, 0.25), difficulty([0.5] * n)):
        assert re.match(rf'<svg viewBox="[\d. ]+" role="img" aria-label="[^"]*\b{n}\b', chart)
        assert chart.endswith("</svg>")
        assert not re.search(r"xmlns|<metadata|<style|https?:|20\d\d-\d\d", chart)


@pytest.mark.parametrize("n", [3, 60])
def test_a_chart_is_always_the_same(n: int) -> None:
    assert slopes(_slopes(n), 0.1, 0.25) == slopes(_slopes(n), 0.1, 0.25)


def test_a_small_class_is_named_and_a_large_one_counted() -> None:
    assert "s007" in distribution(_ranges(16), 100, 50)
    assert "s007" not in distribution(_ranges(300), 100, 50)
    assert "s007" not in slopes(_slopes(300), 0.1, 0.25)


def test_extra_points_stay_on_the_axis() -> None:
    some = [Range(f"s{i}", 104, 109) for i in range(60)]
    rows = distribution(some[:3], 100, 50)
    clip = re.search(r'<clipPath[^>]*>\s*<rect x="([\d.]+)"[^>]*? width="([\d.]+)"', rows)
    assert clip is not None
    dots = [float(x) for x in re.findall(r'<use [^>]*x="([\d.]+)"[^>]*fill: #0072b2', rows)]
    assert len(dots) > 3  # one of the legend
    assert max(dots) < float(clip[1]) + float(clip[2])
    assert ">50<" in distribution(some, 100, 50)  # the axis of how many students


def test_direction_is_said_in_words() -> None:
    chart = slopes(_slopes(9), 0.1, 0.25)
    assert "9 adapters: 3 better, 3 worse, 3 no clear change." in chart
    assert "Base model 10%, guessing 25%." in chart


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(max_examples=15, deadline=None)
def test_names_beside_the_slopes_never_cover_each_other(ends: list[float]) -> None:
    lines = [Slope(f"s{i:02d}", 0.1, after, "better") for i, after in enumerate(ends)]
    chart = slopes(lines, 0.1, 0.25)
    heights = sorted(float(y) for y in re.findall(r' y="([\d.]+)"[^>]*>s\d\d<', chart))
    assert len(heights) == len(ends)
    assert all(below - above > 7.5 for above, below in pairwise(heights))


def test_hostile_names_are_only_labels() -> None:
    names = ["<script>", "$\\frac{1}{", "長い名前🙂" * 500, "a\u202eb", '& "quoted" -->', ""]
    chart = distribution([Range(name, 1, 2) for name in names], 100, 50)
    assert "<script" not in chart
    assert "&lt;script&gt;" in chart
    assert "$\\frac{1}{" in chart

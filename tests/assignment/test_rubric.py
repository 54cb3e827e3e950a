"""Facts become points; what is unknown stays unknown, and never turns into a zero."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.assignment.load import load_assignment
from grader.assignment.rubric import best_parts, score, status, total
from grader.core.nouns import Band, Category, Criterion, Finding, Outcome, Status
from grader.core.result import Score
from grader.core.review import Decision, Item, Level

WHOLE = load_assignment("llm-methods")
ON_TOP = {category.id for category in WHOLE.categories if category.extra}
ASSIGNMENT = replace(
    WHOLE,
    categories=tuple(c for c in WHOLE.categories if not c.extra),
    criteria=tuple(c for c in WHOLE.criteria if c.category not in ON_TOP),
)
"""What the course's 100 points are for."""


def finding(code: str, outcome: Outcome, **measures: float) -> Finding:
    return Finding(code, outcome, "title", "message", measures=measures)


def scored(criterion: Criterion, *findings: Finding) -> Score:
    one = replace(ASSIGNMENT, criteria=(criterion,))
    return score(one, findings)[0]


PLAIN = Criterion("c", "C", "functionality", 4, "ADP001", requires=("INT001",))
BANDED = replace(
    PLAIN, source="EVL001.delta_low95", bands=(Band(0.0, 1), Band(0.5, 4)), requires=()
)


@pytest.mark.parametrize(
    ("outcome", "points"),
    [
        (Outcome.PASS, 4),
        (Outcome.FAIL, 0),
        (Outcome.SKIP, 0),
        (Outcome.ERROR, None),
        (Outcome.REVIEW, None),
    ],
)
def test_only_a_students_fault_costs_points(outcome: Outcome, points: float | None) -> None:
    got = scored(PLAIN, finding("INT001", Outcome.PASS), finding("ADP001", outcome))
    assert got.points == points
    assert got.status is (Status.PENDING_MANUAL if points is None else Status.FULLY_GRADED)
    assert got.because == ("ADP001",)


@pytest.mark.parametrize(
    ("outcome", "points"),
    [(Outcome.FAIL, 0), (Outcome.SKIP, 0), (Outcome.ERROR, None), (Outcome.REVIEW, None)],
)
def test_a_requirement_decides_before_the_check(outcome: Outcome, points: float | None) -> None:
    got = scored(PLAIN, finding("INT001", outcome), finding("ADP001", Outcome.PASS))
    assert (got.points, got.because) == (points, ("INT001",))


def test_what_earns_nothing_is_not_kept_open_by_an_unknown_requirement() -> None:
    got = scored(PLAIN, finding("INT001", Outcome.REVIEW), finding("ADP001", Outcome.SKIP))
    assert (got.points, got.because) == (0, ("ADP001",))


def test_a_failed_requirement_outweighs_an_unknown_one() -> None:
    both = replace(PLAIN, requires=("INT001", "ADP010"))
    findings = [finding("INT001", Outcome.ERROR), finding("ADP010", Outcome.FAIL)]
    assert scored(both, *findings, finding("ADP001", Outcome.PASS)).points == 0


@pytest.mark.parametrize(("value", "points"), [(-0.1, 0), (0.0, 1), (0.49, 1), (0.5, 4), (1.0, 4)])
def test_a_measure_earns_the_best_band_it_reaches(value: float, points: float) -> None:
    for outcome in (Outcome.PASS, Outcome.FAIL):
        assert scored(BANDED, finding("EVL001", outcome, delta_low95=value)).points == points


def test_a_passed_check_without_its_measure_leaves_points_unknown() -> None:
    assert scored(BANDED, finding("EVL001", Outcome.PASS)).points is None
    assert scored(BANDED, finding("EVL001", Outcome.FAIL)).points == 0
    assert scored(BANDED, finding("EVL001", Outcome.SKIP)).points == 0


def test_work_that_a_person_must_judge_is_pending_and_missing_work_is_zero() -> None:
    review = Criterion("c", "C", "understanding", 24, "review", requires=("LAY040",))
    assert scored(review, finding("LAY040", Outcome.PASS)).points is None
    assert scored(review, finding("LAY040", Outcome.FAIL)).points == 0


JUDGED = Criterion(
    "c", "C", "understanding", 12, "review", requires=("LAY040",),
    items=(Item("a", "A", 8, "f", "n", "h"), Item("b", "B", 4, "f", "n")),
)  # fmt: skip


def judged(outcome: Outcome, **levels: Level) -> Score:
    """The score of JUDGED with these levels, by item (LAY040 is one where it is open)."""
    decisions = {("c", item): Decision(level) for item, level in levels.items()}
    one = replace(ASSIGNMENT, criteria=(JUDGED,))
    return score(one, [finding("LAY040", outcome)], decisions)[0]


@pytest.mark.parametrize(
    ("levels", "points", "bounds"),
    [
        ({}, None, (0, 12)),
        ({"a": Level.HALF}, None, (4, 8)),
        ({"a": Level.HALF, "b": Level.FULL}, 8, (8, 8)),
        ({"a": Level.FULL, "b": Level.NONE}, 8, (8, 8)),
        ({"a": Level.NONE, "b": Level.NONE}, 0, (0, 0)),
        ({"a": Level.FULL, "b": Level.HALF}, None, (8, 12)),  # b has two levels
        ({"other": Level.FULL}, None, (0, 12)),
    ],
)
def test_points_follow_from_the_levels_of_items(
    levels: dict[str, Level], points: float | None, bounds: tuple[float, float]
) -> None:
    got = judged(Outcome.PASS, **levels)
    assert got.points == points
    assert [item.id for item in got.items] == ["a", "b"]
    assert total(ASSIGNMENT, [got]).categories["understanding"] == bounds


@pytest.mark.parametrize("outcome", [Outcome.REVIEW, Outcome.ERROR])
def test_a_person_decides_what_a_check_could_not(outcome: Outcome) -> None:
    full = {"a": Level.FULL, "b": Level.FULL}
    waiting = judged(outcome, **full)
    assert (waiting.points, [item.id for item in waiting.items]) == (None, ["LAY040", "a", "b"])
    assert total(ASSIGNMENT, [waiting]).categories["understanding"] == (0, 12)
    assert judged(outcome, **full, LAY040=Level.FULL).points == 12
    refused = judged(outcome, **full, LAY040=Level.NONE)
    assert (refused.points, refused.because) == (0, ("LAY040",))
    assert judged(outcome, **full, LAY040=Level.HALF).points is None


def test_where_a_check_is_the_source_its_level_gives_the_points() -> None:
    one = replace(ASSIGNMENT, criteria=(PLAIN,))
    findings = [finding("INT001", Outcome.PASS), finding("ADP001", Outcome.REVIEW)]
    for level, points in ((Level.FULL, 4), (Level.HALF, 2), (Level.NONE, 0)):
        got = score(one, findings, {("c", "ADP001"): Decision(level, "why")})[0]
        assert (got.points, got.items[0].comment) == (points, "why")


def test_nobody_judges_what_is_lost_anyway() -> None:
    assert judged(Outcome.FAIL, a=Level.FULL, b=Level.FULL).points == 0
    assert judged(Outcome.FAIL).items == ()
    known = [finding("INT001", Outcome.REVIEW), finding("ADP001", Outcome.FAIL)]
    assert scored(PLAIN, *known).items == ()


def test_an_error_on_which_no_point_hangs_is_left_once_a_person_judged_the_rest() -> None:
    findings = [finding("LAY040", Outcome.PASS), finding("EVL003", Outcome.ERROR)]
    done = judged(Outcome.PASS, a=Level.FULL, b=Level.FULL)
    assert status([done], findings) is Status.FULLY_GRADED
    assert status([judged(Outcome.PASS, a=Level.FULL)], findings) is Status.PENDING_MANUAL


def part_score(part: str, points: float | None, worth: float = 20) -> Score:
    state = Status.PENDING_MANUAL if points is None else Status.FULLY_GRADED
    return Score(part, part, "functionality", part, points, worth, state, ())


CATEGORY = Category("functionality", "Functionality", 40, best_parts=2)


def test_the_best_two_parts_count() -> None:
    scores = [part_score("a", 5), part_score("b", 20), part_score("c", 12)]
    assert best_parts(CATEGORY, scores) == ((32, 32), ["b", "c"])


def test_an_unknown_part_makes_a_range() -> None:
    scores = [part_score("a", 15), part_score("b", None), part_score("c", 0)]
    assert best_parts(CATEGORY, scores)[0] == (15, 35)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=2, max_size=5))
def test_the_true_best_parts_always_lie_within_the_range(
    parts: list[tuple[int, int]],
) -> None:
    """Whatever an unknown part turns out to be worth, the range held it."""
    unknown = [part_score(str(i), None, worth=20) for i, _ in enumerate(parts)]
    half = [u if i % 2 else replace(u, points=float(parts[i][0])) for i, u in enumerate(unknown)]
    (low, high), _ = best_parts(CATEGORY, half)
    known = [
        replace(h, points=float(b)) if h.points is None else h
        for h, (_, b) in zip(half, parts, strict=True)
    ]
    (exact, same), _ = best_parts(CATEGORY, known)
    assert exact == same
    assert low <= exact <= high


ALL_PASSED = [finding(code, Outcome.PASS) for code in ASSIGNMENT.refs]


def test_full_marks_add_up_to_one_hundred_and_nothing_to_zero() -> None:
    for outcome, points in ((Outcome.PASS, 100.0), (Outcome.FAIL, 0.0)):
        findings = [finding(code, outcome, delta_low95=0.9) for code in ASSIGNMENT.refs]
        scores = tuple(
            replace(s, points=s.max_points) if s.points is None else s
            for s in score(ASSIGNMENT, findings)
        )
        expected = total(ASSIGNMENT, scores)
        if outcome is Outcome.PASS:
            assert expected.points == points
        else:
            # A measure earns its band whatever its check says; everything else is lost.
            assert expected.upper <= 10


EXTRA = Criterion("more", "More", "more", 9, "EVL003")
WITH_EXTRA = replace(
    ASSIGNMENT,
    categories=(*ASSIGNMENT.categories, Category("more", "More", 9, extra=True)),
    criteria=(*ASSIGNMENT.criteria, EXTRA),
)


@pytest.mark.parametrize(
    ("outcome", "lower", "upper"),
    [
        (Outcome.PASS, 109, 109),
        (Outcome.SKIP, 100, 100),
        (Outcome.FAIL, 100, 100),
        (Outcome.ERROR, 100, 109),
    ],
)
def test_extra_points_come_on_top_of_full_marks(
    outcome: Outcome, lower: float, upper: float
) -> None:
    full = [replace(s, points=s.max_points) for s in score(ASSIGNMENT, ALL_PASSED)]
    got = total(WITH_EXTRA, [*full, scored(EXTRA, finding("EVL003", outcome))])
    assert (got.lower, got.upper, got.max_points) == (lower, upper, 100)
    assert got.categories["more"] == (lower - 100, upper - 100)


def test_an_error_anywhere_leaves_the_submission_pending() -> None:
    done = [part_score("a", 5.0)]
    assert status(done, [finding("EVL002", Outcome.ERROR)]) is Status.PENDING_MANUAL
    assert status(done, [finding("EVL002", Outcome.FAIL)]) is Status.FULLY_GRADED

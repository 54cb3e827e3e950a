"""The picture of a job's losses says what its events say."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.openai_sim.pages.overview import PLOT, Series, loss_curve
from grader.openai_sim.store.records import CheckpointRow, EventRow


def events(
    losses: list[float], total: int | None = None, **valid: dict[int, float]
) -> list[EventRow]:
    """Events of steps from 1 on, newest first; `valid` gives losses by name and step."""
    told = []
    for step, loss in enumerate(losses, 1):
        data = {"step": step, "total_steps": total or len(losses), "train_loss": loss}
        data |= {name: by_step[step] for name, by_step in valid.items() if step in by_step}
        told.append(EventRow(f"e{step}", "job", 0, "info", "Step", "metrics", data))
    return told[::-1]


def points(series: Series) -> list[tuple[float, float]]:
    """The points of a line, as numbers."""
    pairs = [point.split(",") for point in series.points.split()]
    return [(float(x), float(y)) for x, y in pairs]


def test_one_step_is_no_curve() -> None:
    assert loss_curve(events([1.0]), []) is None
    assert loss_curve([EventRow("e", "job", 0, "info", "Created")], []) is None


def test_the_line_of_a_running_job_ends_where_the_job_is() -> None:
    curve = loss_curve(events([2.0, 1.5, 1.0], total=5), [])
    assert curve is not None
    assert points(curve.train) == [(0, 0), (250, 250), (500, 500)]
    assert [(tick.at, tick.text) for tick in curve.x] == [
        (0, "1"),
        (25, "2"),
        (50, "3"),
        (75, "4"),
        (100, "5"),
    ]
    assert [tick.text for tick in curve.y] == ["0", "0.5", "1", "1.5", "2"]
    assert not curve.logarithmic


def test_losses_far_apart_are_on_a_logarithmic_axis() -> None:
    curve = loss_curve(events([10.0, 1.0, 0.1, 0.01]), [])
    assert curve is not None
    assert curve.logarithmic
    assert [tick.text for tick in curve.y] == ["0.01", "0.1", "1", "10"]
    assert [round(y) for _, y in points(curve.train)] == [0, 333, 667, 1000]


def test_a_loss_of_zero_is_at_the_bottom() -> None:
    for losses in ([0.0, 0.0], [100.0, 0.0]):
        curve = loss_curve(events(losses), [])
        assert curve is not None
        assert points(curve.train)[-1][1] == PLOT


def test_checkpoints_stand_at_their_steps() -> None:
    saved = [CheckpointRow(f"c{step}", "job", 0, step, "ft:x", {}) for step in (11, 6)]
    curve = loss_curve(events([1.0] * 11), saved)
    assert curve is not None
    assert [(tick.at, tick.text) for tick in curve.checkpoints] == [(50, "6"), (100, "11")]


def test_the_whole_validation_file_goes_before_batches_of_it() -> None:
    batches = {2: 9.0, 4: 9.0}
    curve = loss_curve(events([1.0] * 4, valid_loss=batches, full_valid_loss={2: 3.0, 4: 2.0}), [])
    assert curve is not None
    assert curve.valid is not None
    assert (curve.valid.first, curve.valid.last, curve.of_batches) == (3.0, 2.0, False)
    early = loss_curve(events([1.0] * 4, valid_loss=batches, full_valid_loss={2: 3.0}), [])
    assert early is not None
    assert early.valid is not None
    assert (early.valid.last, early.of_batches) == (9.0, True)


@given(
    st.lists(st.floats(0, 1e6), min_size=2, max_size=900),
    st.integers(0, 5000),
)
def test_every_line_stays_on_the_plot_and_goes_to_the_right(losses: list[float], more: int) -> None:
    curve = loss_curve(events(losses, total=len(losses) + more), [])
    assert curve is not None
    drawn = points(curve.train)
    assert 2 <= len(drawn) <= 201
    assert all(0 <= x <= PLOT and -0.1 <= y <= PLOT + 0.1 for x, y in drawn)
    assert all(before[0] <= after[0] for before, after in pairwise(drawn))
    assert (curve.train.first, curve.train.last) == (losses[0], losses[-1])
    assert curve.train.steps == len(losses)
    for ticks in (curve.x, curve.y):
        assert all(-0.01 <= tick.at <= 100.01 for tick in ticks)
        assert len({tick.text for tick in ticks}) == len(ticks) <= 12


@pytest.mark.parametrize("last", [2, 3, 7, 12, 36, 100, 406, 1218, 99_999])
def test_numbers_on_the_axis_of_steps_are_apart(last: int) -> None:
    curve = loss_curve(events([1.0, 1.0], total=last), [])
    assert curve is not None
    places = [tick.at for tick in curve.x]
    assert places[0] == 0
    assert places[-1] == 100
    assert all(after - before > 4 for before, after in pairwise(places))

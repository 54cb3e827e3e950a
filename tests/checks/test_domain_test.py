"""API02x: what a test set must be, to say anything about a tuned model."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.part2 import context, finding, share
from support.transcripts import (
    TEST,
    TRAIN,
    chat_line,
)

from grader.checks.api.context import Context
from grader.core.nouns import Outcome


def test_a_good_test_set_passes(submitted: Context) -> None:
    for code in ("API020", "API021", "API022", "API023"):
        assert finding(code, submitted).outcome is Outcome.PASS


@pytest.mark.parametrize("test", [None, "", "\n\n", "not json\n", TEST + "{}\n", "\x00\xff"])
def test_a_test_set_that_cannot_be_read_fails_with_a_way_out(
    test: str | None, tmp_path: Path
) -> None:
    ctx = context(tmp_path, TRAIN, test)
    found = finding("API020", ctx)
    assert found.outcome is Outcome.FAIL
    assert found.hint
    assert finding("API021", ctx).outcome is Outcome.SKIP


@pytest.mark.parametrize(
    ("lines", "different"),
    [
        (TEST.splitlines()[:4], 4),
        ([*TEST.splitlines()[:9], TEST.splitlines()[0]], 9),
        ([*TEST.splitlines()[:9], chat_line("What else?", " ").strip()], 9),
    ],
)
def test_only_different_questions_with_answers_count(
    lines: list[str], different: int, tmp_path: Path
) -> None:
    found = finding("API021", context(tmp_path, TRAIN, "\n".join(lines)))
    assert share(found) == pytest.approx(different / 10)
    assert found.measures["questions"] == different


def test_a_test_on_the_training_data_is_none(tmp_path: Path) -> None:
    found = finding("API022", context(tmp_path, TRAIN, TEST + TRAIN.splitlines()[3].upper()))
    assert found.outcome is Outcome.SKIP  # upper case is no chat any longer
    (again := tmp_path / "again").mkdir()
    copied = chat_line("Which  symbol has METAL number 3?", "M3")
    found = finding("API022", context(again, TRAIN, TEST + copied))
    assert found.outcome is Outcome.FAIL
    assert found.location.line == 11
    assert share(found) == pytest.approx(10 / 11, abs=1e-3)


def test_questions_on_something_else_test_something_else(tmp_path: Path) -> None:
    other = "".join(chat_line(f"Who wrote novel {n}?", f"Author {n}") for n in range(10))
    assert finding("API023", context(tmp_path, TRAIN, other)).outcome is Outcome.FAIL

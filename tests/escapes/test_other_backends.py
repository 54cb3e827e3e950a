"""The hostile programs against every other backend that works here, as `finegrade doctor` does."""

from __future__ import annotations

import pytest
from support.sandboxes import need_backend

from grader.escapes.suite import try_walls
from grader.sandbox.choose import BACKENDS


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "bubblewrap"])
def test_every_hostile_program_is_contained(backend: str) -> None:
    report = try_walls(need_backend(backend), lambda row: None)
    assert {row.name: row.why_not for row in report.rows if not row.contained} == {}
    assert (report.disturbed, report.left_behind) == ((), ())
    assert len(report.rows) >= 60

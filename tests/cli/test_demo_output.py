"""What the demo says of marks: final ones, or how to come to them."""

from __future__ import annotations

from pathlib import Path

from support.reviews import finished, grade_works, write_works

from grader.cli.demo import marks_line


def test_a_class_that_nobody_judged_says_what_is_open_by_one_command(tmp_path: Path) -> None:
    out = tmp_path / "out"
    results = grade_works(write_works(tmp_path / "class"), out)
    line = marks_line(list(results.values()), out)
    assert line.startswith("Final marks: 0 of 4. The others wait for a person")
    assert line.endswith(f"finegrade review {out}")
    done = finished(out, tmp_path)
    assert marks_line(list(done.values()), out) == (
        "Final marks: 4 of 4, with what a grader decided by hand"
    )

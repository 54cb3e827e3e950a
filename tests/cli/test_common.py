"""What all commands share: errors and progress, on which no file's name acts."""

from __future__ import annotations

import pytest

from grader.cli.common import RichProgress, complain


def test_an_error_is_one_line_and_what_follows_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    complain("finegrade: a\x1b[31m.jsonl: two lines are wrong:\n  line 1: \u202eodd\n::error::x")
    assert capsys.readouterr().err == (
        "finegrade: a.jsonl: two lines are wrong:\n  - line 1: odd\n  - ::error::x\n"
    )


def test_stages_are_plain_lines_where_no_one_watches(capsys: pytest.CaptureFixture[str]) -> None:
    progress = RichProgress()
    progress.start("Reading a\x1b[31m.jsonl", 3)
    progress.step("one")
    progress.stop()
    assert capsys.readouterr().err == "Reading a.jsonl: 3\n"


@pytest.mark.parametrize(("percent", "shown"), [(True, "100%"), (False, "10/10")])
def test_a_terminal_has_a_bar_that_ends(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    percent: bool,
    shown: str,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    progress = RichProgress(percent=percent)
    progress.start("Reading a\x1b]0;title\x07.jsonl", 10)
    progress.advance(4)
    progress.advance(6, "the\x1b]0;title\x07 last")
    progress.stop()
    seen = capsys.readouterr().err
    assert "Reading a.jsonl" in seen
    assert shown in seen
    assert "the last" in seen
    assert "\x1b]" not in seen
    assert "\x07" not in seen

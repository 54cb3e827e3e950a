"""The adapter's checks as a chain: one fault gives one fail, and skips behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.adapters import config, pair, random_pair, safetensors, write_adapter

from grader.assignment.load import load_assignment
from grader.checks import adapter, integrity
from grader.checks.api.context import Classmate, Context
from grader.checks.api.registry import all_checks, run_check
from grader.core.nouns import Finding, Outcome, Submission
from grader.intake.find import FoundSubmission
from grader.intake.submission import take_in
from grader.models.adapter_files import read_adapter, sketch

MODULES = {adapter.__name__, integrity.__name__}
CODES = [
    code
    for code, check in all_checks().items()
    if check.function.__module__ in MODULES and not check.evidence
]
A, B = random_pair()
EARLY, LATE = "2026-03-01T10:00:00+00:00", "2026-03-01T10:30:00+00:00"


def submission(folder: Path, student: str = "s01", at: str | None = None) -> Submission:
    (folder / "readme.md").write_text("An adapter.\n")
    return take_in(
        FoundSubmission(student, folder, at),
        folder.parent,
        load_assignment("llm-methods").deliverables,
    )


def in_order() -> Iterator[str]:
    done: set[str] = set()
    while len(done) < len(CODES):
        for code in CODES:
            if code not in done and set(all_checks()[code].needs) <= done:
                done.add(code)
                yield code


def findings(one: Submission, *classmates: Classmate) -> dict[str, Finding]:
    context = Context(load_assignment("llm-methods"), one, {}, classmates)
    found: dict[str, Finding] = {}
    for code in in_order():
        found[code] = run_check(all_checks()[code], context, found, {})
    return found


def test_a_good_adapter_passes_everything(tmp_path: Path) -> None:
    write_adapter(tmp_path / "s01" / "adapter")
    found = findings(submission(tmp_path / "s01"))
    assert {finding.outcome for finding in found.values()} == {Outcome.PASS}


@pytest.mark.parametrize(
    ("failing", "weights", "settings"),
    [
        ("ADP001", b"\x80\x02N.", config()),
        ("ADP002", None, config(target_modules=".*")),
        ("ADP003", safetensors(pair(A, B))[:-1], config()),
        ("ADP004", safetensors(pair(A, B)[:1]), config()),
        ("ADP005", safetensors(pair(A, B[1:])), config()),
        ("ADP007", safetensors(pair(A + np.float32(np.inf), B)), config()),
        ("ADP008", None, config(base_model_name_or_path="other")),
        ("ADP009", None, config(use_dora=True)),
        ("ADP010", safetensors(pair(A, B * 0)), config()),
    ],
)
def test_one_fault_is_told_once(
    failing: str, weights: bytes | None, settings: dict[str, object], tmp_path: Path
) -> None:
    write_adapter(tmp_path / "s01" / "adapter", weights=weights, settings=settings)
    found = findings(submission(tmp_path / "s01"))
    failed = [code for code, finding in found.items() if finding.outcome is Outcome.FAIL]
    assert failed == [failing]
    assert found[failing].hint
    assert not [code for code, finding in found.items() if finding.outcome is Outcome.ERROR]
    behind = {c for c, f in found.items() if f.outcome is Outcome.SKIP}
    for code in CODES:
        needs_failed = set(all_checks()[code].needs) & (behind | {failing})
        assert (code in behind) == bool(needs_failed)


def test_a_submission_without_an_adapter_is_told_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "s01").mkdir()
    (tmp_path / "s01" / "inference.py").write_text("print('mine')\n")
    found = findings(submission(tmp_path / "s01"))
    assert found["ADP001"].outcome is Outcome.FAIL
    assert "adapter/" in found["ADP001"].message


def test_two_adapter_folders_are_not_guessed_between(tmp_path: Path) -> None:
    write_adapter(tmp_path / "s01" / "old" / "adapter")
    write_adapter(tmp_path / "s01" / "new" / "adapter")
    found = findings(submission(tmp_path / "s01"))
    assert found["ADP001"].outcome is Outcome.FAIL
    assert "2 places" in found["ADP001"].message


def test_unknown_keys_are_for_the_instructor(tmp_path: Path) -> None:
    write_adapter(tmp_path / "s01" / "adapter", settings=config(use_next_year=1))
    finding = findings(submission(tmp_path / "s01"))["ADP002"]
    assert finding.outcome is Outcome.PASS
    assert "use_next_year" in finding.note
    assert "use_next_year" not in finding.message


# --- copies ------------------------------------------------------------------------------------


def mate(tmp_path: Path, student: str, at: str | None, seed: int = 0) -> Classmate:
    write_adapter(tmp_path / student / "adapter", seed=seed)
    one = submission(tmp_path / student, student)
    return Classmate(student, at, sketch(read_adapter(one, "adapter")))


@pytest.mark.parametrize(
    ("mine", "theirs", "outcome"),
    [
        (LATE, EARLY, Outcome.FAIL),
        (EARLY, LATE, Outcome.PASS),
        (EARLY, EARLY, Outcome.REVIEW),
        (None, EARLY, Outcome.REVIEW),
        (LATE, None, Outcome.REVIEW),
        (None, None, Outcome.REVIEW),
        ("2026-03-01T12:15:00+02:00", LATE, Outcome.PASS),
    ],
)
def test_of_two_equal_adapters_the_later_one_fails(
    mine: str | None, theirs: str | None, outcome: Outcome, tmp_path: Path
) -> None:
    other = mate(tmp_path, "s09-other", theirs)
    copy = safetensors(pair(A * 2, B / 2, dtype="F16"))
    write_adapter(tmp_path / "s01" / "adapter", weights=copy, settings=config(lora_alpha=8))
    one = submission(tmp_path / "s01", "s01", mine)
    finding = findings(one, other)["INT001"]
    assert finding.outcome is outcome
    assert "s09-other" not in finding.message + finding.hint
    if outcome is Outcome.PASS:
        assert finding == findings(one)["INT001"], "a copier must not change the original's result"
    else:
        assert "s09-other" in finding.note


def test_other_adapters_and_ones_own_are_no_copies(tmp_path: Path) -> None:
    others = [mate(tmp_path, f"s1{i}", EARLY, seed=i) for i in range(1, 5)]
    own = mate(tmp_path, "s01", EARLY)
    finding = findings(submission(tmp_path / "s01", "s01", LATE), own, *others)["INT001"]
    assert finding.outcome is Outcome.PASS


def test_a_copy_of_one_earlier_and_one_later_fails(tmp_path: Path) -> None:
    others = [mate(tmp_path, "s11", EARLY), mate(tmp_path, "s12", None)]
    write_adapter(tmp_path / "s01" / "adapter")
    finding = findings(submission(tmp_path / "s01", "s01", LATE), *others)["INT001"]
    assert finding.outcome is Outcome.FAIL
    assert "s11" in finding.note
    assert "s12" in finding.note

"""How all tests run: in which order, on what machine, with which trainings."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Programs that tests start keep what they compile, as they do for users: half a second each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A busy machine is no fault: no test asserts a time, examples of properties neither.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

# Put first, so that the last minute is not one worker's alone: what takes longest, longest first.
LONGEST = (
    "test_assignments.py",
    "test_demo.py",
    "test_part1_experts.py",
    "test_part2_experts.py",
    "test_bonus_experts.py",
    "test_story.py",
    "test_part3_kit.py",
    "test_part2_kit.py",
    "test_benchmark_experts.py",
    "test_recordings.py",
    "test_contract.py",
    "test_clients.py",
    "test_restart.py",
    "test_runner.py",
    "test_programs.py",
    "test_transcripts.py",
    "test_part1_kit.py",
)

pytest.register_assert_rewrite("support")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


@pytest.fixture(scope="session")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of trainings for all tests and workers: what one has trained, others repeat."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trainings"
    folder.mkdir(exist_ok=True)
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what is pending; unlike the header, this is shown with -q too."""
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()))
    for reason, tests in sorted(reasons.items()):
        if "pending: " in reason:
            why = reason.partition("pending: ")[2]
            terminalreporter.write_line(f"Pending: {tests} tests, for {why}")

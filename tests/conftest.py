"""Which tests run, in which order, and with which trainings."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from support.recorded import Family

pytest.register_assert_rewrite("support")

ROOT = Path(__file__).parents[1]

# Programs that tests start keep what they compile, as they do for users: half a second each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# What finegrade caches, and what jobs have trained, is there again for the next run of the tests.
os.environ.setdefault("FINEGRADE_HOME", str(ROOT / ".cache" / "finegrade"))

# A busy machine is no fault: no test asserts a time, examples of properties neither.
settings.register_profile(
    "live", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("quick", settings.get_profile("live"), max_examples=30)

# Put first, so that the last minute is not one worker's alone: what takes longest, longest first.
LONGEST = (
    "test_demo.py",
    "test_assignments.py",
    "test_benchmark_experts.py",
    "test_part2_experts.py",
    "test_part1_experts.py",
    "test_bonus_experts.py",
    "test_story.py",
    "test_part3_kit.py",
    "test_part2_kit.py",
    "test_recordings.py",
    "test_contract.py",
    "test_clients.py",
    "test_restart.py",
    "test_runner.py",
    "test_programs.py",
    "test_transcripts.py",
    "test_part1_kit.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--suite",
        choices=("quick", "live", "all"),
        default="all",
        help="quick: all but live tests, and a sample of these; live: live tests; default: all",
    )
    parser.addoption(
        "--record",
        action="store_true",
        help="write what the live tests of tests/experts collect into tests/recorded",
    )


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("quick" if config.getoption("--suite") == "quick" else "live")
    # Here first, so that all workers draw the same sample, also at midnight.
    os.environ.setdefault("FINEGRADE_TURN", str(int(time.time()) // 86_400))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    suite = config.getoption("--suite")
    if suite != "all":
        live = {item for item in items if item.get_closest_marker("live")}
        kept = live if suite == "live" else {*items} - live | _sample(items)
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = [item for item in items if item in kept]
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


def _sample(items: list[pytest.Item]) -> set[pytest.Item]:
    """Of the live tests of each function the share that it names; each day the next ones."""
    families: defaultdict[tuple[Path, str], list[pytest.Item]] = defaultdict(list)
    for item in items:
        marker = item.get_closest_marker("live")
        if marker is not None and "sample" in marker.kwargs:
            families[item.path, item.nodeid.partition("[")[0]].append(item)
    turn, sample = int(os.environ["FINEGRADE_TURN"]), set()
    for family in families.values():
        number = family[0].get_closest_marker("live").kwargs["sample"]  # type: ignore[union-attr]
        groups = max(1, len(family) // number)
        sample |= set(family[turn % groups :: groups])
    return sample


@pytest.fixture(scope="session")
def trainings() -> Path:
    """A folder of trainings for all tests and runs: what one has trained, others repeat."""
    from support.recorded import training_code

    folder = Path(os.environ["FINEGRADE_HOME"]) / "trainings" / training_code()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def family(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, trainings: Path
) -> Iterator[Family]:
    """The submissions that the module is about; with --record, what it collects is written down."""
    from support.recorded import Family

    name = request.module.__name__.removeprefix("test_").removesuffix("_experts")
    recording = request.config.getoption("--record")
    found = Family(name, tmp_path_factory.mktemp(name), trainings, recording=recording)
    yield found
    if recording:
        found.record()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what is pending and what was drawn; unlike the header, this is shown with -q too."""
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()))
    for reason, tests in sorted(reasons.items()):
        if "pending: " in reason:
            why = reason.partition("pending: ")[2]
            terminalreporter.write_line(f"Pending: {tests} tests, for {why}")
    if terminalreporter.config.getoption("--suite") == "quick":
        ran = [
            report.nodeid.rpartition("/")[2]
            for outcome in ("passed", "failed")
            for report in terminalreporter.stats.get(outcome, ())
            if report.when == "call" and "live" in report.keywords
        ]
        turn = os.environ["FINEGRADE_TURN"]
        terminalreporter.write_line(f"Live sample of FINEGRADE_TURN={turn}: {', '.join(ran)}")

"""Gives `sandbox` to the tests of the contract: one test for every backend that works here."""

from __future__ import annotations

from functools import cache

import pytest

from grader.sandbox.api import Sandbox
from grader.sandbox.choose import BACKENDS

pytest.register_assert_rewrite(
    "contract", "contract_limits", "contract_machine", "contract_service", "sandbox_builder"
)


@cache
def _reasons() -> dict[str, str | None]:
    return {name: make().why_not() for name, make in BACKENDS.items()}


def pytest_report_header() -> list[str]:
    """Every backend, and why it is not tested where it is not."""
    return [
        f"sandbox {name}: {'tested' if why is None else f'not tested, {why}'}"
        for name, why in _reasons().items()
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "sandbox" in metafunc.fixturenames:
        working = [name for name, why in _reasons().items() if why is None]
        metafunc.parametrize("sandbox", working, indirect=True)


@pytest.fixture
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return BACKENDS[request.param]()

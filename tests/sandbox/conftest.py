"""Gives `sandbox` to the tests of the contract: one test for every backend."""

from __future__ import annotations

import pytest
from support.sandboxes import need_backend

from grader.sandbox.api import Sandbox
from grader.sandbox.choose import BACKENDS


@pytest.fixture(params=BACKENDS)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """A backend; pending where it does not work."""
    return need_backend(request.param)

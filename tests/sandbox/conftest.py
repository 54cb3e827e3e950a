"""Gives `sandbox` to the tests of the contract: one test for every backend."""

from __future__ import annotations

import pytest
from support.sandboxes import need_backend

from grader.sandbox.api import Sandbox
from grader.sandbox.choose import BACKENDS

_BEST, *_OTHERS = BACKENDS


@pytest.fixture(params=[_BEST, *(pytest.param(name, marks=pytest.mark.live) for name in _OTHERS)])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """A backend; pending where it does not work."""
    return need_backend(request.param)

"""The sandboxes of this machine; asked for when a test needs one, never while tests are collected.

What a machine does not have makes a test pending: it is skipped, with what to do about it.
"""

from __future__ import annotations

from functools import cache
from typing import NoReturn

import pytest

from grader.sandbox.api import Sandbox
from grader.sandbox.choose import BACKENDS, NoSandbox, choose_sandbox


@cache
def why_not(backend: str) -> str | None:
    """Why this backend does not work on this machine, None where it does."""
    return BACKENDS[backend]().why_not()


def need_backend(backend: str) -> Sandbox:
    """The backend; the test is pending where it does not work."""
    why = why_not(backend)
    if why is not None:
        pending(f"the sandbox {backend}: {why}")
    return BACKENDS[backend]()


def need_sandbox() -> Sandbox:
    """A sandbox of full isolation; the test is pending where there is none."""
    try:
        return choose_sandbox()
    except NoSandbox as error:
        pending(str(error))


def pending(why: str) -> NoReturn:
    """Skip the test that calls this, until the machine has what it lacks."""
    pytest.skip(f"pending: {why}")

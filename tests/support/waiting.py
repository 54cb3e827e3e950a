"""Waiting for what happens elsewhere, as long as a busy machine may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

PATIENCE: Final = 300.0
"""Seconds after which something will never come; no test takes them unless it fails."""


def wait_for(condition: Callable[[], Any], what: str = "it came true") -> Any:
    """What `condition` gives once it is true."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)
    return found

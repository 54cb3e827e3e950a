"""A gateway for the tests of one file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grader.model_service.gateway import Gateway


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway() as opened:
        yield opened

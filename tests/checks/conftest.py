"""A submission of Part 2 that all tests of its checks share."""

from __future__ import annotations

import pytest
from support.part2 import context
from support.transcripts import TEST, TRAIN

from grader.checks.api.context import Context


@pytest.fixture(scope="session")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A script, training data and a test set, all of them good."""
    return context(tmp_path_factory.mktemp("class"), TRAIN, TEST)

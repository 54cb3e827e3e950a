"""One running service for the tests of a module that only look at answers."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from service_builder import Service, service


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("home")) as started:
        yield started


@pytest.fixture
def client(running: Service) -> Iterator[openai.OpenAI]:
    with running.client() as made:
        yield made

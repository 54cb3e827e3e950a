"""Running services for the tests that only look at answers."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from support.sim_processes import Simulate, simulate
from support.sim_services import Service, service


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("home")) as started:
        yield started


@pytest.fixture
def client(running: Service) -> Iterator[openai.OpenAI]:
    with running.client() as made:
        yield made


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulate]:
    """A service in a process of its own, for the programs of other makers."""
    with simulate(tmp_path_factory.mktemp("simulated") / "home", "--key=sk-course") as started:
        yield started

"""What the routes of one running service share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from grader.openai_sim.jobs.job_validation import Admission
    from grader.openai_sim.store.clock import Clock
    from grader.openai_sim.store.journal import Journal
    from grader.openai_sim.store.scenarios import FaultInjector
    from grader.openai_sim.store.store import SimulatorStore


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a service. `journal` is None where a run's record takes its place.

    `job_seed` gives the seed of a job that names none.
    """

    store: SimulatorStore
    faults: FaultInjector
    clock: Clock
    admission: Admission
    journal: Journal | None
    job_seed: Callable[[], int]


def services_of(request: Request) -> Services:
    """The parts of the service that this request came to."""
    return cast("Services", request.app.services)


Used = Annotated[Services, Depends(services_of)]
"""A route's parameter: the service's parts."""

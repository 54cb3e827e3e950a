"""Scenarios: faults of the real service that are injected on purpose, by name and by seed.

A scenario sees each call and may refuse it, lose its response or cut it short, or decide the fate
of a job. The same seed and the same calls always give the same faults.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from grader.core.errors import UsageError
from grader.core.openai_wire import EMBEDDINGS, GENERATION, JOBS
from grader.openai_sim.store import errors
from grader.openai_sim.store.errors import ApiError

EMPTY_ERROR: Final = "empty-error"
PLAIN_RESULTS: Final = "plain-results"
"""Scenarios that are no faults: the real service responds in both ways."""

AZURE: Final = "azure"
"""Another service with the same wire: other paths, other names of models, and deployments."""

_ONE_IN: Final = 3  # calls that a fault hits: fewer than the three tries of the client library
_RETRY_SECONDS: Final = 1.0  # to wait after a rate limit
_QUEUE_SECONDS: Final = 120.0  # in a slow queue
_FLAGGED: Final = 3  # lines that moderation names
_FEWEST_LINES: Final = 10  # of a file that comes this far

_INFERENCE: Final = GENERATION | {EMBEDDINGS}


class Effect(StrEnum):
    """The effect of a scenario on a call."""

    REFUSE = "refuse"
    LOSE = "lose"
    """The call is carried out, and its response never comes."""
    CUT = "cut"
    """The call is carried out, and half of its response comes."""


@dataclass(frozen=True, slots=True)
class ScenarioCall:
    """A request as scenarios see it; a retry has the same `digest`."""

    method: str
    path: str
    key: str = ""
    model: str = ""
    digest: str = ""

    @property
    def creates_job(self) -> bool:
        return self.method == "POST" and self.path == JOBS

    @property
    def infers(self) -> bool:
        return self.method == "POST" and self.path in _INFERENCE


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """What a scenario does to a call; `error` is the refusal."""

    scenario: str
    effect: Effect
    error: ApiError | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way in which the service fails.

    `hits` says which calls it may hit: all of them, or with `sometimes` one in three. `fate` is
    what becomes of jobs, "" where it leaves them alone.
    """

    name: str
    summary: str
    hits: Callable[[ScenarioCall], bool] = field(default=lambda _call: False)
    refusal: Callable[[ScenarioCall], ApiError] | None = None
    effect: Effect = Effect.REFUSE
    sometimes: bool = False
    once_each: bool = False
    fate: str = ""


SCENARIOS: Final[Mapping[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Scenario("ok", "Nothing goes wrong."),
        Scenario(
            "sunset",
            "No job can be created: the organisation may not train any longer (403).",
            lambda call: call.creates_job,
            lambda _: errors.winding_down(),
        ),
        Scenario(
            "rate-limited",
            "One in three calls of jobs and models comes too fast (429 with retry-after).",
            lambda call: call.infers or call.path.startswith(JOBS),
            lambda call: errors.too_fast(call.model or "fine-tuning", _RETRY_SECONDS),
            sometimes=True,
        ),
        Scenario(
            "flaky",
            "One in three calls meets a server that fails (500).",
            lambda _: True,
            lambda _: errors.server_fault(),
            sometimes=True,
        ),
        Scenario(
            "timeout-after-accept",
            "The first creation of each job is accepted, and its response never comes.",
            lambda call: call.creates_job,
            effect=Effect.LOSE,
            once_each=True,
        ),
        Scenario("slow-queue", "Jobs wait two minutes before they start.", fate="slow"),
        Scenario("job-fails", "Each job fails while it runs.", fate="job-fails"),
        Scenario("bad-file", "Each job finds its training file invalid.", fate="bad-file"),
        Scenario(
            "quota",
            "No money is left for jobs and models (429 insufficient_quota).",
            lambda call: call.infers or call.creates_job,
            lambda _: errors.out_of_quota(),
        ),
        Scenario(
            "truncated",
            "One in three responses is cut in half, with status 200.",
            lambda call: call.method == "GET" or call.infers,
            effect=Effect.CUT,
            sometimes=True,
        ),
        Scenario(
            "expired-key",
            "The key opens nothing any longer (401).",
            lambda _: True,
            lambda call: errors.wrong_key(call.key),
        ),
        Scenario(
            "model-retired",
            "The models are withdrawn, and their fine-tunes with them (404; 400 for new jobs).",
            lambda call: call.infers or call.creates_job,
            lambda call: (
                errors.not_tunable(call.model)
                if call.creates_job
                else errors.retired_model(call.model)
            ),
        ),
        Scenario("moderation", "Each job's file fails the moderation.", fate="moderation"),
        Scenario(EMPTY_ERROR, "Jobs in which nothing failed have an error all the same: {}."),
        Scenario(PLAIN_RESULTS, "Result files are plain CSV, not base64 of it."),
        Scenario(
            AZURE,
            "Azure's paths (/openai/v1, /openai/deployments/NAME), names of models, deployments.",
        ),
    )
}
"""All scenarios by name, in the order in which they are listed."""


class FaultInjector:
    """The scenarios of one running service. Of several that hit one call the first one acts."""

    def __init__(self, names: Sequence[str], seed: int) -> None:
        """Raises UsageError for an unknown name; the message lists the known ones."""
        unknown = [name for name in names if name not in SCENARIOS]
        if unknown:
            known = ", ".join(SCENARIOS)
            raise UsageError(f"There is no scenario {unknown[0]}. Scenarios: {known}.")
        self.scenarios = tuple(SCENARIOS[name] for name in dict.fromkeys(names))
        self._seed = seed
        self._calls: Counter[str] = Counter()
        self._met: set[tuple[str, str]] = set()

    def on(self, call: ScenarioCall) -> InjectedFault | None:
        """The fault of this call, or None. Call it once for each."""
        for scenario in self.scenarios:
            if scenario.hits(call) and self._strikes(scenario, call):
                error = None if scenario.refusal is None else scenario.refusal(call)
                return InjectedFault(scenario.name, scenario.effect, error)
        return None

    def has(self, name: str) -> bool:
        """Whether this scenario is on."""
        return any(scenario.name == name for scenario in self.scenarios)

    def fate_of_job(self) -> str:
        """The fate of a new job; "" means that it is trained."""
        fates = [scenario.fate for scenario in self.scenarios if scenario.fate not in ("", "slow")]
        return fates[0] if fates else ""

    @property
    def queue_seconds(self) -> float:
        """How long a job of the real service would wait in the queue before it may start."""
        slow = any(scenario.fate == "slow" for scenario in self.scenarios)
        return _QUEUE_SECONDS if slow else 0.0

    def flagged_lines(self, n_examples: int) -> list[int]:
        """The lines that moderation flags in a file of so many examples."""
        draw = random.Random(f"{self._seed}/{n_examples}")
        return sorted(draw.sample(range(1, max(n_examples, _FEWEST_LINES) + 1), _FLAGGED))

    def _strikes(self, scenario: Scenario, call: ScenarioCall) -> bool:
        if scenario.once_each:
            known = (scenario.name, call.digest)
            new = known not in self._met
            self._met.add(known)
            return new
        if not scenario.sometimes:
            return True
        place = self._calls[scenario.name]
        self._calls[scenario.name] += 1
        # One call in each group of three: never as many in a row as the library tries.
        group, within = divmod(place, _ONE_IN)
        draw = random.Random(f"{self._seed}/{scenario.name}/{group}")
        return draw.randrange(_ONE_IN) == within

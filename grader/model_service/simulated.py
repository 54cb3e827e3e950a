"""The simulator as the model service of sandboxed runs: each run has a service of its own.

Files, jobs and tuned models belong to one run and are removed when it ends. Two things are shared,
and no response depends on them: the base in memory, which generates one answer at a time, so that
none depends on other requests; and recorded trainings, which are repeated step by step.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from grader.core.openai_wire import GENERATION
from grader.core.temporary import prefix
from grader.models.base_model import base_folder
from grader.openai_sim.api.app import SimulatorApp, create_app
from grader.openai_sim.decoding.model_names import tuned_name
from grader.openai_sim.decoding.serving import NamedServer, open_bases
from grader.openai_sim.jobs.fork_server import FORK_SERVER
from grader.openai_sim.jobs.job_state import adapter_folder, settled
from grader.openai_sim.jobs.runner import JobRunner
from grader.openai_sim.store.store import SimulatorStore

if TYPE_CHECKING:
    from grader.core.nouns import BaseModel
    from grader.model_service.record import Exchange
    from grader.openai_sim.store.clock import ProgramClock


class Simulator:
    """Opens services. The first one loads the base; close this when none is left."""

    def __init__(self, base: BaseModel, trainings: Path | None, *, seed: int) -> None:
        """Trainings are recorded in the folder `trainings`, if one is given.

        Scenarios, and jobs that name no seed, have `seed`.
        """
        self._base, self._trainings, self._seed = base, trainings, seed
        self._shared: NamedServer | None = None
        self._opened = ExitStack()  # what `close` undoes
        self._lock = threading.Lock()

    @contextmanager
    def service(self, scenarios: Sequence[str], clock: ProgramClock) -> Iterator[SimulatorApp]:
        """The service of one run, under these scenarios; its jobs live by the program's clock.

        Raises UsageError for a scenario that is none, and as loading a base does.
        """
        home = Path(tempfile.mkdtemp(prefix=prefix("service")))
        with ExitStack() as ended:
            ended.callback(shutil.rmtree, home, ignore_errors=True)
            store = SimulatorStore.open(home)
            server = ended.enter_context(self._server().beside(store))
            runner = JobRunner(store, base_folder(self._base), self._trainings, clock)
            app = create_app(
                home,
                runner=runner,
                server=server,
                scenarios=scenarios,
                seed=self._seed,
                job_seed=self._seed,
                clock=clock,
            )
            app.services.admission.start()
            runner.start()
            try:
                with clock.governing(
                    home, app.services.admission.wake, lambda: settled(store, clock.now())
                ):
                    yield app
            finally:
                app.services.admission.stop()
                runner.stop(resume=False)
                store.end()
                app.services.store.end()

    def close(self) -> None:
        """Let the base go."""
        self._opened.close()
        self._shared = None

    def __enter__(self) -> Simulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _server(self) -> NamedServer:
        """The server of the base that all runs share; it has no tuned models of its own."""
        with self._lock:
            if self._shared is None:
                with ExitStack() as opened:
                    FORK_SERVER.acquire(base_folder(self._base))  # it loads while we do
                    opened.callback(FORK_SERVER.release)
                    bases = open_bases(self._base)
                    folder = tempfile.mkdtemp(prefix=prefix("service"))
                    opened.callback(shutil.rmtree, folder, ignore_errors=True)
                    store = SimulatorStore.open(Path(folder))
                    opened.callback(store.end)
                    self._shared = NamedServer(bases, store, 1)
                    opened.callback(self._shared.close)
                    self._opened = opened.pop_all()
            return self._shared


def tuned_adapter(
    store: SimulatorStore, exchanges: Iterable[Exchange]
) -> tuple[str, dict[str, bytes]]:
    """The model that the run's jobs were for, by name, and the files of its adapter.

    It is the tuned model that answered most requests, of several the one that answered last; where
    none did, that of the last job that succeeded. Models that the program deleted count too.
    Without one the name is "" and there are no files.
    """
    asked = Counter[str]()
    last: dict[str, int] = {}
    for number, one in enumerate(exchanges):
        name = str(one.notes.get("model", ""))
        if one.path in GENERATION and one.status == 200 and name.startswith("ft:"):
            asked[name] += 1
            last[name] = number
    names = sorted(asked, key=lambda name: (asked[name], last[name]), reverse=True)
    names += [tuned_name(job) for job in store.list_jobs(status="succeeded")]
    for name in names:
        folder = store.adapters_folder / adapter_folder(name)
        if folder.is_dir():
            return name, {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
    return "", {}

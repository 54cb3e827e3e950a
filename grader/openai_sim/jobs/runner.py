"""Takes queued jobs one after another, and looks after the process that trains each.

The process holds a pipe from here as its standard input: when this process ends, however it ends,
the pipe closes and that one ends too. A lock on the job's folder keeps a second process out.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Final

from grader.core.errors import UsageError
from grader.openai_sim.jobs.job_state import BUSY, cancel, crashed, job_folder, locked
from grader.openai_sim.store.clock import Clock, MachineClock
from grader.openai_sim.store.store import JobRow, SimulatorStore

_LOOK_SECONDS: Final = 0.1  # between two looks at the queue and the process
_STOP_SECONDS: Final = 10.0  # a process that saves its state has so long before it is killed

_log = logging.getLogger(__name__)


class JobRunner:
    """A thread that trains the queued jobs of a store, in the order of their creation.

    Jobs that an earlier service left half way go first, on from their last saved state.
    """

    def __init__(
        self,
        store: SimulatorStore,
        base: Path,
        trainings: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`base` is the folder of the model that all jobs train.

        With a folder of `trainings` a job that equals an earlier one goes through its steps again
        instead of training. Jobs start when it is time on the `clock`, which is the machine's
        unless another is given.
        """
        self._store, self._base, self._trainings = store, base, trainings
        self._clock = clock or MachineClock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="runner", daemon=True)
        self._lock: IO[bytes] | None = None
        self._left: list[JobRow] = []

    def claim(self) -> None:
        """Hold the folder until `stop`. Raises UsageError when another service works in it."""
        self._lock = self._lock or locked(self._store.home / "runner.lock")
        if self._lock is None:
            raise UsageError(
                f"Another service is running in {self._store.home}. "
                "Stop it, or name another folder with --home."
            )

    def start(self) -> None:
        """Begin. Raises UsageError as `claim` does."""
        self.claim()
        self._left = self._left_half_way()
        self._thread.start()

    def stop(self) -> None:
        """Stop; a job under way saves its state and goes on at the next start."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                job = self._left.pop(0) if self._left else self._next_queued()
                if job is not None:
                    self._train(job)
                    continue
            except Exception:  # the queue must outlive a full disk or a locked store
                _log.exception("the queue of jobs stumbled")
            self._stopping.wait(_LOOK_SECONDS)
        self._store.close()

    def _next_queued(self) -> JobRow | None:
        return self._store.next_queued(self._clock.now())

    def _left_half_way(self) -> list[JobRow]:
        """Jobs that were under way when an earlier service ended, oldest first.

        Those that the client meanwhile wanted cancelled or paused are so now.
        """
        for status in ("running", "pausing"):
            for job in self._store.list_jobs(status=status):
                if job.wanted == "cancel":
                    cancel(self._store, job.id)
        for job in self._store.list_jobs(status="pausing"):
            self._store.update_job(
                job.id, if_status="pausing", event="The job was paused", status="paused", pid=None
            )
        running = self._store.list_jobs(status="running", newest_first=False)
        return [job for job in running if not job.fate]  # a scenario's are never trained

    def _train(self, job: JobRow) -> None:
        """One process for one job, until it ends or this service does."""
        with (job_folder(self._store, job.id) / "log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "grader.openai_sim.jobs.training"),
                    *(str(self._store.home), job.id, str(self._base)),
                    *([str(self._trainings)] if self._trainings else []),
                    "--watch-stdin",
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=_environment(),
            )
        try:
            while process.poll() is None and not self._stopping.is_set():
                self._stopping.wait(_LOOK_SECONDS)
            if process.poll() is None:
                process.terminate()
                process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _log.warning("the process of %s did not stop; it is killed", job.id)
        finally:
            process.kill()
            code = process.wait()
            if process.stdin is not None:
                process.stdin.close()
        self._settle(job.id, code)

    def _settle(self, job_id: str, code: int) -> None:
        """A process that ended by itself leaves no job behind as running."""
        job = self._store.get_job(job_id)
        if job is None or self._stopping.is_set() or code == BUSY:
            return
        if job.wanted == "cancel":  # it came to its end before it could heed that
            cancel(self._store, job_id)
        elif job.status in ("running", "pausing") or (code != 0 and job.status == "queued"):
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            crashed(self._store, job_id, f"the process ended with {how}")


def _environment() -> dict[str, str]:
    """Of the process: one thread, no network, and this very package."""
    package = str(Path(__file__).parents[3])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH", ""))))
    return {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "TQDM_DISABLE": "1",
    }

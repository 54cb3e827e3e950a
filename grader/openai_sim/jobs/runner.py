"""Trains queued jobs one after another, each in a process of its own.

The process has a pipe or socket from here as its standard input: when this process ends, however
it ends, that closes and the job's process ends too. A lock on the job's folder keeps a second
process out.
"""

from __future__ import annotations

import logging
import subprocess
import threading
from pathlib import Path
from typing import IO, Final

from grader.core.errors import UsageError
from grader.openai_sim.jobs.fork_server import FORK_SERVER
from grader.openai_sim.jobs.job_state import BUSY, cancel, crashed, job_folder, locked
from grader.openai_sim.store.clock import Clock, MachineClock
from grader.openai_sim.store.store import JobRow, SimulatorStore

_POLL_SECONDS: Final = 0.1  # of the queue and of the process
_STOP_SECONDS: Final = 10.0  # for a process to save its state before it is killed
_LEAVE_SECONDS: Final = 1.0  # for one whose state nobody needs

_log = logging.getLogger(__name__)


class JobRunner:
    """A thread that trains the queued jobs of a store, in the order of their creation.

    Jobs that were interrupted with an earlier service come first and resume from their last saved
    state.
    """

    def __init__(
        self,
        store: SimulatorStore,
        base: Path,
        trainings: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`base` is the folder of the model that all jobs train.

        `trainings` is a folder of recordings: a job that equals an earlier one is replayed. Jobs
        start when it is time on the `clock`, which is the machine's unless another is given.
        """
        self._store, self._base, self._trainings = store, base, trainings
        self._clock = clock or MachineClock()
        self._stopping = threading.Event()
        self._grace = _STOP_SECONDS
        self._thread = threading.Thread(target=self._run, name="runner", daemon=True)
        self._lock: IO[bytes] | None = None
        self._interrupted: list[JobRow] = []

    def claim(self) -> None:
        """Hold the folder, and the fork server, until `stop`.

        Raises UsageError when another service works in the folder.
        """
        if self._lock is not None:
            return
        self._lock = locked(self._store.home / "runner.lock")
        if self._lock is None:
            raise UsageError(
                f"Another service is running in {self._store.home}. "
                "Stop it, or name another folder with --home."
            )
        FORK_SERVER.acquire(self._base)

    def start(self) -> None:
        """Start. Raises UsageError as `claim` does."""
        self.claim()
        self._interrupted = self._find_interrupted()
        self._thread.start()

    def stop(self, *, resume: bool = True) -> None:
        """Stop; a running job saves its state and resumes at the next start.

        Without `resume` it ends with this service. No process of a job is left in either case.
        """
        self._grace = _STOP_SECONDS if resume else _LEAVE_SECONDS
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._lock is not None:
            self._lock.close()
            self._lock = None
            FORK_SERVER.release()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                job = self._interrupted.pop(0) if self._interrupted else self._next_queued()
                if job is not None:
                    self._train(job)
                    continue
            except Exception:  # the queue must survive a full disk or a locked store
                _log.exception("a job could not be taken from the queue or started")
            self._stopping.wait(_POLL_SECONDS)
        self._store.close()

    def _next_queued(self) -> JobRow | None:
        return self._store.next_queued(self._clock.now())

    def _find_interrupted(self) -> list[JobRow]:
        """Jobs that were running when an earlier service ended, oldest first.

        Cancels and pauses those whose client has requested it.
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
        return [job for job in running if not job.fate]  # a scenario's job is never trained

    def _train(self, job: JobRow) -> None:
        """Run the process of a job until it ends or this service stops."""
        arguments = [str(self._store.home), job.id, str(self._base)]
        arguments += [str(self._trainings)] if self._trainings else []
        with (job_folder(self._store, job.id) / "log").open("ab") as log:
            process = FORK_SERVER.start([*arguments, "--watch-stdin"], log)
        with process:
            try:
                while process.poll() is None and not self._stopping.is_set():
                    self._stopping.wait(_POLL_SECONDS)
                if process.poll() is None:
                    process.terminate()
                    process.wait(self._grace)
            except subprocess.TimeoutExpired:
                _log.warning("the process of %s did not stop; it is killed", job.id)
            finally:
                process.kill()
            code = process.wait()
        self._process_ended(job.id, code)

    def _process_ended(self, job_id: str, code: int) -> None:
        """Mark the job as failed or cancelled if its process has left it as running."""
        job = self._store.get_job(job_id)
        if job is None or self._stopping.is_set() or code == BUSY:
            return
        if job.wanted == "cancel":  # it ended before it could act on that
            cancel(self._store, job_id)
        elif job.status in ("running", "pausing") or (code != 0 and job.status == "queued"):
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            crashed(self._store, job_id, f"the process ended with {how}")

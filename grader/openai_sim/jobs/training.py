"""The process of one job: `python -m grader.openai_sim.jobs.training HOME JOB_ID BASE [TRAININGS]`.

It trains a LoRA adapter of the base on the job's file and writes its progress to the store. Between
two steps it reads what the client requests (`wanted`: run, pause or cancel). It may be killed at
any time: another process resumes from the last saved state. Trainings are deterministic, so that
one repeats the steps since then and writes only the metrics that are not in the store yet.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from grader.core.constants import COURSE_MODEL
from grader.core.files import resource
from grader.core.openai_wire import ENDED
from grader.openai_sim.jobs.checkpoints import finish, keep_checkpoint, write_warm_start
from grader.openai_sim.jobs.job_state import BUSY, cancel, crashed, fail, job_folder, locked
from grader.openai_sim.jobs.limits import limit_process, within_limits
from grader.openai_sim.jobs.training_cache import (
    TrainingRecording,
    TrainingReplay,
    TrainingRun,
    recorded_at,
)
from grader.openai_sim.jobs.training_set import JobRefused, TrainingSet, read_training_set
from grader.openai_sim.store.clock import JobPace, program_time
from grader.openai_sim.store.store import JobRow, SimulatorStore, now

if TYPE_CHECKING:
    from grader.models.training import LoraRun, TrainingExample

# Times the multiplier. The course model is small and learns at rates that would ruin a large one:
# with 1.8, three epochs and batches of one it gets all of a hidden educational-qa file right.
_COURSE_RATE: Final = 1e-3
_RATE: Final = 1e-4  # for any other base; the usual one for LoRA is 2e-4

_VALIDATE_STEPS: Final = 10  # between two validations on a batch
_VALIDATION_BATCH: Final = 16  # examples at least, where the whole validation file is used
_SAVE_SECONDS: Final = 5.0  # between two saved states: no more is lost by a kill
_POLL_SECONDS: Final = 0.1  # while another process makes the recording
_NICENESS: Final = 5  # chat answers come first
_DIGITS: Final = 5  # of metrics
_LOCK_SECONDS: Final = 10.0  # a process whose service was killed is gone by then

_PACE_SECONDS: Final = 0.005  # between two looks whether a step may be done

TRAINING_SECONDS: Final = 120.0  # of a job that goes at its program's pace, on that one's clock
STARTED: Final = "Fine-tuning job started"


class Stop(Exception):
    """The training stops. `status` is the job's new one, None to leave it."""

    def __init__(self, status: str | None) -> None:
        super().__init__(status)
        self.status = status


def main(arguments: Sequence[str]) -> int:
    """Train the job. The exit code is 0 however the job ends, 1 if this program fails, and BUSY
    where another process has the job."""
    home, job_id, *rest = arguments
    watched = "--watch-stdin" in rest
    folders = [Path(a) for a in rest if not a.startswith("--")]
    base = folders[0] if folders else resource("starter", COURSE_MODEL)
    trainings = folders[1] if len(folders) > 1 else None
    if watched:
        threading.Thread(target=_die_with_parent, daemon=True).start()
    os.nice(_NICENESS)
    limit_process(base)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    store = SimulatorStore.open(Path(home))
    held = _wait_for_lock(job_folder(store, job_id) / "lock")
    if held is None:
        return BUSY
    with held:
        try:
            train(store, job_id, base, stopping, trainings)
        except Exception as error:
            traceback.print_exc()
            crashed(store, job_id, type(error).__name__)
            return 1
    return 0


def train(
    store: SimulatorStore,
    job_id: str,
    base: Path,
    stopping: threading.Event | None = None,
    trainings: Path | None = None,
) -> None:
    """Train a job that is queued or was interrupted, until it ends, is paused or is to stop.

    `base` is the folder of the model. Once `stopping` is set, the state is saved after the current
    step and the job stays `running`, to be resumed. An error in the job's files ends it as failed.
    `trainings` is the folder of recordings, which are replayed instead of training again.
    """
    _TrainingJob(store, job_id, base, stopping or threading.Event(), trainings).run()


def _wait_for_lock(lock: Path) -> Any:
    """The lock of the job; None when another process holds it for too long."""
    until = time.monotonic() + _LOCK_SECONDS
    while (held := locked(lock)) is None and time.monotonic() < until:
        time.sleep(0.05)
    return held


def _die_with_parent() -> None:
    """End at once when the other end of standard input closes: the service is gone."""
    while os.read(0, 1):
        pass
    os._exit(1)


class _TrainingJob:
    """One job while it is trained."""

    def __init__(
        self,
        store: SimulatorStore,
        job_id: str,
        base: Path,
        stopping: threading.Event,
        trainings: Path | None,
    ) -> None:
        self._store, self._id, self._base, self._stopping = store, job_id, base, stopping
        self._trainings = trainings
        self._folder = job_folder(store, job_id)
        self._start = self._folder / "start.safetensors"
        self._state = self._folder / "state.safetensors"
        self._recording_lock = ExitStack()

    def run(self) -> None:
        """Train until the job ends, is paused or is to stop."""
        try:
            with self._recording_lock:
                self._check_stop(None)  # the client may have cancelled or paused it meanwhile
                with within_limits():
                    self._train(self._mark_running())
        except JobRefused as refused:
            fail(self._store, self._id, refused.error)
        except Stop as stop:
            if stop.status == "cancelled":
                cancel(self._store, self._id)
            elif stop.status == "paused":
                self._store.update_job(
                    self._id,
                    if_status=("running", "pausing"),
                    event="The job was paused",
                    status="paused",
                    pid=None,
                )

    def _mark_running(self) -> JobRow:
        """The job, now `running`; raises Stop when it has ended meanwhile."""
        events = self._store.list_events(self._id)
        self._last_step = max((int((e.data or {}).get("step", 0)) for e in events), default=0)
        marked = self._store.update_job(
            self._id,
            if_status=("queued", "running"),
            event=None if any(event.message == STARTED for event in events) else STARTED,
            status="running",
            pid=os.getpid(),
        )
        job = self._store.get_job(self._id)
        if not marked or job is None:
            raise Stop(None)
        return job

    def _train(self, job: JobRow) -> None:
        numbers = job.resolved or {}
        run, training_set = self._open(job, numbers)
        pace = self._pace(job, run)
        saved = started = time.monotonic()
        first = run.done
        while run.done < run.steps:
            self._await(pace, run)
            data, ends_epoch = _next_step(run, training_set, job)
            if run.done > self._last_step:
                self._store.add_event(self._id, _step_message(data), type="metrics", data=data)
            if ends_epoch and run.done < run.steps:
                keep_checkpoint(self._store, job, run, data)
            if ends_epoch or time.monotonic() - saved > _SAVE_SECONDS:
                run.save(self._state)
                saved = time.monotonic()
                seconds = (saved - started) / (run.done - first)
                left = math.ceil(seconds * (run.steps - run.done))
                self._store.update_job(self._id, if_status="running", estimated_finish=now() + left)
        self._check_stop(run)
        finish(self._store, job, run, training_set.billed * int(numbers["n_epochs"]))
        self._remove_states()

    def _pace(self, job: JobRow, run: TrainingRun) -> JobPace | None:
        """At which pace the job goes on, where that is its program's; it began when it could.

        That is when it came to the head of the queue and when the job before it had ended.
        """
        if program_time(self._store.home) is None:
            return None
        before = [other.not_before for other in self._store.list_jobs() if other.status in ENDED]
        began = max([job.not_before, *before])
        step_seconds = TRAINING_SECONDS / run.steps
        left = run.steps - self._last_step
        self._store.update_job(self._id, not_before=began + left * step_seconds)
        return JobPace(self._store.home, self._folder, began, step_seconds)

    def _await(self, pace: JobPace | None, run: TrainingRun) -> None:
        """Obey the client, and wait until the next step may be done."""
        self._check_stop(run)
        while pace is not None and not pace.allows(run.done + 1 - self._last_step):
            time.sleep(_PACE_SECONDS)
            self._check_stop(run)

    def _record(self, job: JobRow, numbers: Mapping[str, Any], place: Path) -> TrainingReplay:
        """Train as fast as can be, and write it down; what is told of it comes afterwards.

        Nobody who waits for this training must wait for the program that was the first.
        """
        run, training_set = self._new_run(job, numbers)
        recording = TrainingRecording(run, place, self._folder / "recording")
        try:
            while recording.done < recording.steps:
                self._check_stop(None)
                if self._stopping.is_set():
                    raise Stop(None)
                _, ends_epoch = _next_step(recording, training_set, job)
                if ends_epoch:
                    recording.keep_adapter()
            recording.keep(training_set.billed, len(training_set.validation))
        finally:
            recording.discard()
        return TrainingReplay(place)

    def _open(self, job: JobRow, numbers: Mapping[str, Any]) -> tuple[TrainingRun, TrainingSet]:
        """The training of this job: a replay where trainings are recorded, else a new run.

        Waits for a recording that another process is making.
        """
        place = None
        if self._trainings is not None:
            place = recorded_at(self._trainings, self._store, job, self._base)
        if place is None:
            return self._new_run(job, numbers)
        self._wait_for_recording(place)
        try:
            replay = TrainingReplay(place)
        except FileNotFoundError:
            replay = self._record(job, numbers, place)
        self._recording_lock.close()
        return replay, TrainingSet([], [()] * replay.validation, replay.billed)

    def _wait_for_recording(self, place: Path) -> None:
        """Wait until no other process makes this recording, and hold its lock."""
        lock = place.parent / "locks" / place.name
        lock.parent.mkdir(parents=True, exist_ok=True)
        while (held := locked(lock)) is None:
            self._check_stop(None)
            if self._stopping.wait(_POLL_SECONDS):
                raise Stop(None)
        self._recording_lock.enter_context(held)

    def _new_run(self, job: JobRow, numbers: Mapping[str, Any]) -> tuple[LoraRun, TrainingSet]:
        import torch
        from transformers import AutoTokenizer

        from grader.models.training import DpoObjective, LoraRun, answer_loss

        torch.set_num_threads(1)  # sums in one order; and the service needs the other processors
        tokenizer = AutoTokenizer.from_pretrained(
            self._base, local_files_only=True, trust_remote_code=False
        )
        training_set = read_training_set(self._store, tokenizer, job)
        warm = write_warm_start(self._store, job, self._base, self._start)
        preferences = DpoObjective(numbers["beta"]) if job.method == "dpo" else None
        rate = _COURSE_RATE if self._base.name == COURSE_MODEL else _RATE
        pad = tokenizer.pad_token_id
        run = LoraRun(
            self._base,
            training_set.training,
            pad=int(tokenizer.eos_token_id if pad is None else pad),
            objective=preferences or answer_loss,
            learning_rate=rate * float(numbers["learning_rate_multiplier"]),
            epochs=int(numbers["n_epochs"]),
            batch_size=int(numbers["batch_size"]),
            seed=job.seed,
        )
        if warm:
            run.resume(self._start)
        if preferences is not None:  # now, while the model is the reference
            batch = int(numbers["batch_size"])  # takes no more memory than a step
            preferences.begin(run, [*training_set.training, *training_set.validation], batch)
        if self._state.exists():
            run.resume(self._state)
        return run, training_set

    def _remove_states(self) -> None:
        """Remove the saved states, which only an unfinished training needs."""
        for file in (self._start, self._state):
            file.unlink(missing_ok=True)

    def _check_stop(self, run: TrainingRun | None) -> None:
        """Raise Stop, with the state saved, when the client or the service requests it."""
        job = self._store.get_job(self._id)
        if job is None or job.status == "cancelled" or job.wanted == "cancel":
            self._remove_states()
            raise Stop("cancelled")
        paused = job.wanted == "pause"
        if run is None and not paused:
            return
        if paused or job.status != "running" or self._stopping.is_set():
            if run is not None:
                run.save(self._state)
            raise Stop("paused" if paused else None)


def _next_step(
    run: TrainingRun | TrainingRecording, material: TrainingSet, job: JobRow
) -> tuple[dict[str, int | float], bool]:
    """Do a step: what is told of it, and whether it ends an epoch. Raises JobRefused."""
    right = "mean_token_accuracy" if job.method != "dpo" else "reward_accuracy"
    step = run.step()
    ends_epoch = step.number % run.steps_an_epoch == 0
    data: dict[str, int | float] = {
        "step": step.number,
        "train_loss": round(step.loss, _DIGITS),
        "total_steps": run.steps,
        f"train_{right}": round(step.accuracy, _DIGITS),
        **{name: round(value, _DIGITS) for name, value in step.others.items()},
    }
    batch = int((job.resolved or {})["batch_size"])
    data |= _validation(run, material.validation, batch, right, ends_epoch)
    if not all(map(math.isfinite, data.values())):
        raise JobRefused(
            "training_diverged",
            f"The loss is no longer a number at step {step.number}. Create a job "
            "with a smaller learning_rate_multiplier.",
            "learning_rate_multiplier",
        )
    return data, ends_epoch


def _validation(
    run: TrainingRun, examples: Sequence[TrainingExample], batch: int, right: str, whole: bool
) -> dict[str, float]:
    """Validation metrics of a step: every few steps of a batch, at an epoch's end of all examples.

    The batch depends on the number of the step alone. `right` is the name of the accuracy.
    """
    if not examples or not (whole or run.done % _VALIDATE_STEPS == 0):
        return {}
    start = (run.done // _VALIDATE_STEPS) * batch % len(examples)
    loss, accuracy = run.measure(examples[start : start + batch], batch)
    found = {"valid_loss": loss, f"valid_{right}": accuracy}
    if whole:
        loss, accuracy = run.measure(examples, max(batch, _VALIDATION_BATCH))
        found |= {"full_valid_loss": loss, f"full_valid_{right}": accuracy}
    return {name: round(value, _DIGITS) for name, value in found.items()}


def _step_message(data: Mapping[str, Any]) -> str:
    """The message of a step's event, as OpenAI writes it."""
    text = f"Step {data['step']}/{data['total_steps']}: training loss={data['train_loss']:.2f}"
    for name, words in (("valid_loss", "validation"), ("full_valid_loss", "full validation")):
        if name in data:
            text += f", {words} loss={data[name]:.2f}"
    return text


def run(arguments: Sequence[str]) -> NoReturn:
    """`main`, and the end of this process."""
    try:
        code = main(arguments)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # All that matters is on disk, and torch takes seconds to tidy up; the next job waits for that.
    os._exit(code)


if __name__ == "__main__":
    run(sys.argv[1:])

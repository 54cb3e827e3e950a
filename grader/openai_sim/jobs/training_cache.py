"""Recordings of trainings, and their replay: the same steps, losses and adapters.

A training depends on nothing but its files, hyperparameters, seed and base. Where many programs
train on the same file, the first job trains and is recorded, and then each job replays the recorded
steps at its own program's pace. A service records and replays when it is given a folder for the
recordings.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from grader.core.files import sha256_of
from grader.models.training_step import TrainingStep
from grader.training_data.encodings import base_of

if TYPE_CHECKING:
    from grader.models.training import TrainingExample
    from grader.openai_sim.store.store import JobRow, SimulatorStore

_FORMAT: Final = 2  # raised when equal inputs may train otherwise
_FILE: Final = "run.json"


class TrainingRun(Protocol):
    """A training as its job sees it: a LoraRun, or the replay of one."""

    steps: int
    steps_an_epoch: int

    @property
    def done(self) -> int:
        """How many steps are done."""

    def step(self) -> TrainingStep:
        """Do the next step."""

    def measure(self, examples: Sequence[TrainingExample], batch_size: int) -> tuple[float, float]:
        """(loss, accuracy) of held-out examples."""

    def save(self, file: Path) -> None:
        """Write all that is needed to resume."""

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter as it is now."""


def recorded_at(trainings: Path, store: SimulatorStore, job: JobRow, base: Path) -> Path | None:
    """Where the training of this job is recorded, or will be.

    None for a job that starts from a fine-tuned model: its weights are not in the key.
    """
    if base_of(job.model) != job.model:
        return None
    files = [job.training_file, *([job.validation_file] if job.validation_file else [])]
    if not all(store.file_path(file).is_file() for file in files):
        return None
    depends_on = {
        "format": _FORMAT,
        "files": [sha256_of(store.file_path(file)) for file in files],
        "base": sha256_of(base / "model.safetensors") if base.is_dir() else str(base),
        "model": job.model,  # its tokens are what is billed
        "method": job.method,
        "numbers": job.resolved,
        "seed": job.seed,
        "versions": [version(name) for name in ("torch", "transformers", "peft")],
    }
    digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return trainings / digest


class TrainingRecording:
    """A training that is recorded while it runs; `keep` publishes the recording."""

    def __init__(self, run: TrainingRun, place: Path, draft: Path) -> None:
        """`draft` is a folder of the job's own, so that what a killed job leaves goes with it."""
        self._run, self._place, self._draft = run, place, draft
        self._steps: list[dict[str, Any]] = []
        self._measures: list[tuple[float, float]] = []
        self.discard()
        self._draft.mkdir(mode=0o700)
        self.steps, self.steps_an_epoch = run.steps, run.steps_an_epoch

    @property
    def done(self) -> int:
        """See TrainingRun, as for the other methods."""
        return self._run.done

    def step(self) -> TrainingStep:
        step = self._run.step()
        self._steps.append({**asdict(step), "others": dict(step.others)})
        return step

    def measure(self, examples: Sequence[TrainingExample], batch_size: int) -> tuple[float, float]:
        measured = self._run.measure(examples, batch_size)
        self._measures.append(measured)
        return measured

    def save(self, file: Path) -> None:
        self._run.save(file)

    def save_adapter(self, folder: Path) -> None:
        self._run.save_adapter(folder)

    def keep_adapter(self) -> None:
        """Write down the adapter as it is now."""
        self._run.save_adapter(self._draft / str(self.done))

    def keep(self, billed: int, validation: int) -> None:
        """Publish the recording: all of it was made here, from the first step to the last."""
        what = {
            "steps_an_epoch": self.steps_an_epoch,
            "steps": self._steps,
            "measures": self._measures,
            "billed": billed,
            "validation": validation,
        }
        (self._draft / _FILE).write_text(json.dumps(what))
        near = self._place.with_name(f"draft-{self._place.name}")  # on the same file system
        shutil.rmtree(near, ignore_errors=True)
        shutil.copytree(self._draft, near)
        with suppress(OSError):  # another process published it first
            os.rename(near, self._place)

    def discard(self) -> None:
        """Remove what was not kept."""
        shutil.rmtree(self._draft, ignore_errors=True)


class TrainingReplay:
    """The replay of a recording. `billed` is in tokens an epoch, `validation` in examples."""

    def __init__(self, place: Path) -> None:
        """Raises FileNotFoundError where there is no recording."""
        what: Mapping[str, Any] = json.loads((place / _FILE).read_text())
        self._place = place
        self._steps, self._measures = what["steps"], iter(what["measures"])
        self.steps, self.steps_an_epoch = len(self._steps), what["steps_an_epoch"]
        self.done = 0
        self.billed, self.validation = what["billed"], what["validation"]

    def step(self) -> TrainingStep:
        """The next step, as it was."""
        self.done += 1
        return TrainingStep(**self._steps[self.done - 1])

    def measure(self, examples: Sequence[TrainingExample], batch_size: int) -> tuple[float, float]:
        """What was measured then, of the same examples."""
        loss, accuracy = next(self._measures)
        return loss, accuracy

    def save(self, file: Path) -> None:
        """Nothing is saved: a replay starts again from its first step."""

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter as it was after the same step."""
        shutil.copytree(self._place / str(self.done), folder)

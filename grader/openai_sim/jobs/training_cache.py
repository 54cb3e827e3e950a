"""A training that was done before, step by step again: the same losses, the same adapters.

A training depends on nothing but its files, numbers, seed and base. Where many programs are tried
with the same file, the first one's job trains, and then each of them goes through the recorded
steps at its own program's pace. It is asked for by naming a folder of trainings; a service without
one always trains.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from grader.core.files import sha256_of
from grader.core.nouns import TrainingStep
from grader.training_data.encodings import base_of

if TYPE_CHECKING:
    from grader.models.training import Lesson
    from grader.openai_sim.store.store import JobRow, SimulatorStore

_FORMAT: Final = 1  # raised when equal inputs may train otherwise
_WHAT: Final = "run.json"


class TrainingRun(Protocol):
    """What a job needs of a training, done now or before; see LoraRun."""

    steps: int
    steps_an_epoch: int

    @property
    def done(self) -> int:
        """How many steps are done."""

    def step(self) -> TrainingStep:
        """Do the next step."""

    def measure(self, lessons: Sequence[Lesson], batch_size: int) -> tuple[float, float]:
        """(loss, accuracy) of lessons that are not learned."""

    def save(self, file: Path) -> None:
        """Write all that is needed to go on."""

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter as it is now."""


def recorded_at(trainings: Path, store: SimulatorStore, job: JobRow, base: Path) -> Path | None:
    """Where the training of this job is recorded, or will be; None for one that goes on from a
    tuned model, whose start is not in its files."""
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
    """A training done now, and written down as it goes; `keep` makes it known to others."""

    def __init__(self, run: TrainingRun, place: Path) -> None:
        self._run, self._place = run, place
        self._steps: list[dict[str, Any]] = []
        self._measures: list[tuple[float, float]] = []
        place.parent.mkdir(parents=True, exist_ok=True)
        self._draft = Path(tempfile.mkdtemp(prefix="draft-", dir=place.parent))
        self.steps, self.steps_an_epoch = run.steps, run.steps_an_epoch

    @property
    def done(self) -> int:
        """See TrainingRun; so are the others."""
        return self._run.done

    def step(self) -> TrainingStep:
        step = self._run.step()
        self._steps.append({**asdict(step), "others": dict(step.others)})
        return step

    def measure(self, lessons: Sequence[Lesson], batch_size: int) -> tuple[float, float]:
        measured = self._run.measure(lessons, batch_size)
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
        """Make it known: all of it was done here, from the first step to the last."""
        what = {
            "steps_an_epoch": self.steps_an_epoch,
            "steps": self._steps,
            "measures": self._measures,
            "billed": billed,
            "validation": validation,
        }
        (self._draft / _WHAT).write_text(json.dumps(what))
        with suppress(OSError):  # somebody else was faster
            os.rename(self._draft, self._place)

    def discard(self) -> None:
        """Remove what was not kept."""
        shutil.rmtree(self._draft, ignore_errors=True)


class Recorded:
    """A training that was done before. `billed` and `validation` are as they were kept."""

    def __init__(self, place: Path) -> None:
        """Raises FileNotFoundError where nothing is recorded."""
        what: Mapping[str, Any] = json.loads((place / _WHAT).read_text())
        self._place = place
        self._steps, self._measures = what["steps"], iter(what["measures"])
        self.steps, self.steps_an_epoch = len(self._steps), what["steps_an_epoch"]
        self.done = 0
        self.billed, self.validation = what["billed"], what["validation"]

    def step(self) -> TrainingStep:
        """The next step, as it was."""
        self.done += 1
        return TrainingStep(**self._steps[self.done - 1])

    def measure(self, lessons: Sequence[Lesson], batch_size: int) -> tuple[float, float]:
        """What was measured then; the lessons are the same."""
        loss, accuracy = next(self._measures)
        return loss, accuracy

    def save(self, file: Path) -> None:
        """Nothing is to be gone on with: it takes a moment."""

    def save_adapter(self, folder: Path) -> None:
        """The adapter as it was after the same step."""
        shutil.copytree(self._place / str(self.done), folder)

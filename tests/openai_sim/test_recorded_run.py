"""A training that was done before is repeated from its record, and equals itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sim_builder import BASE, add_file, add_job, chat_lines, job_of

from grader.openai_sim.store import JobRow, Store
from grader.openai_sim.training import train

QUICK = {"n_epochs": 2, "batch_size": 4}


def trained(
    home: Path, trainings: Path | None, n: int = 12, **changes: Any
) -> tuple[Store, JobRow]:
    """A job on n examples in a store of its own, with half as many to validate."""
    store = Store(home)
    held_back = add_file(store, chat_lines(5, "validation"))
    changes = {"hyperparameters": QUICK, "seed": 7, "validation_file": held_back, **changes}
    job_id = add_job(store, add_file(store, chat_lines(n)), **changes)
    train(store, job_id, BASE, trainings=trainings)
    return store, job_of(store, job_id)


def told(store: Store, job: JobRow) -> list[Mapping[str, Any]]:
    return [e.data for e in reversed(store.list_events(job.id)) if e.type == "metrics" and e.data]


def adapters(store: Store, job: JobRow) -> dict[int, bytes]:
    found = {}
    for checkpoint in store.list_checkpoints(job.id):
        model = store.get_model(checkpoint.model_name)
        assert model is not None
        assert model.adapter is not None
        file = store.adapters_folder / model.adapter / "adapter_model.safetensors"
        found[checkpoint.step] = file.read_bytes()
    return found


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "trainings"
    trained(folder.parent / "first", folder)
    return folder


def test_the_second_job_tells_and_leaves_what_the_first_did(
    trainings: Path, tmp_path: Path
) -> None:
    first_store, first = trained(tmp_path / "alone", None)
    second_store, second = trained(tmp_path / "second", trainings)
    assert second.status == "succeeded"
    assert told(second_store, second) == told(first_store, first)
    assert adapters(second_store, second) == adapters(first_store, first)
    assert len(adapters(second_store, second)) == 2
    assert second.trained_tokens == first.trained_tokens
    assert second.fine_tuned_model != first.fine_tuned_model


def test_a_recorded_job_needs_no_torch(trainings: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "from pathlib import Path\nfrom test_recorded_run import trained\n"
        "_, job = trained(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "assert job.status == 'succeeded', job\nassert 'torch' not in sys.modules\n"
    )
    here = Path(__file__).parent
    folders = [str(here), str(here.parent)]
    command = [sys.executable, "-c", code, str(tmp_path), str(trainings), *folders]
    subprocess.run(command, check=True)


@pytest.mark.parametrize(
    "changes",
    [{"seed": 8}, {"n": 13}, {"hyperparameters": {"n_epochs": 1, "batch_size": 4}}],
)
def test_another_seed_file_or_number_is_another_training(
    trainings: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    before = set(trainings.iterdir())
    trained(tmp_path, trainings, **changes)
    assert len(set(trainings.iterdir()) - before) == 1

"""A training that was done before is repeated from its record, and equals itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from support.paths import TESTS
from support.sim_apps import BASE, add_file, add_job, chat_lines, job_of
from support.waiting import PATIENCE, wait_for

from grader.openai_sim.jobs.training import train
from grader.openai_sim.store.store import JobRow, SimulatorStore

QUICK = {"n_epochs": 2, "batch_size": 4}


def trained(
    home: Path, trainings: Path | None, n: int = 12, **changes: Any
) -> tuple[SimulatorStore, JobRow]:
    """A job on n examples in a store of its own, with half as many to validate."""
    store = SimulatorStore(home)
    held_back = add_file(store, chat_lines(5, "validation"))
    changes = {"hyperparameters": QUICK, "seed": 7, "validation_file": held_back, **changes}
    job_id = add_job(store, add_file(store, chat_lines(n)), **changes)
    train(store, job_id, BASE, trainings=trainings)
    return store, job_of(store, job_id)


def told(store: SimulatorStore, job: JobRow) -> list[Mapping[str, Any]]:
    return [e.data for e in reversed(store.list_events(job.id)) if e.type == "metrics" and e.data]


def adapters(store: SimulatorStore, job: JobRow) -> dict[int, bytes]:
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
        "from pathlib import Path\nfrom test_training_cache import trained\n"
        "_, job = trained(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "assert job.status == 'succeeded', job\nassert 'torch' not in sys.modules\n"
    )
    folders = [str(Path(__file__).parent), str(TESTS)]
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


def test_one_that_comes_meanwhile_waits_and_heeds_its_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from grader.models import training  # torch, which the test above does without

    begun, go_on, runs = Event(), Event(), []

    class Slow(training.LoraRun):
        def __init__(self, *args: Any, **more: Any) -> None:
            runs.append(self)
            begun.set()
            go_on.wait(PATIENCE)
            super().__init__(*args, **more)

    monkeypatch.setattr(training, "LoraRun", Slow)
    homes = [tmp_path / name for name in ("first", "second", "cancelled")]
    with ThreadPoolExecutor(len(homes)) as pool:
        first = pool.submit(trained, homes[0], tmp_path / "trainings")
        assert begun.wait(PATIENCE)
        second, cancelled = (
            pool.submit(trained, home, tmp_path / "trainings") for home in homes[1:]
        )
        store = SimulatorStore(homes[2])
        wait_for(lambda: store.list_jobs(status="running"), "it waits")
        store.update_job(store.list_jobs()[0].id, wanted="cancel")
        assert cancelled.result(PATIENCE)[1].status == "cancelled"
        assert not first.done()
        assert not second.done()
        go_on.set()
        done = [future.result(PATIENCE) for future in (first, second)]
    assert [job.status for _, job in done] == ["succeeded", "succeeded"]
    assert told(*done[0]) == told(*done[1])
    assert len(runs) == 1

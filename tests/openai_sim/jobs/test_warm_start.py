"""Jobs that go on from what an earlier job made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.sim_apps import BASE, add_file, add_job, chat_lines, job_of, steps_told

from grader.openai_sim.jobs.job_state import adapter_folder, job_folder
from grader.openai_sim.jobs.training import train
from grader.openai_sim.store.store import JobRow, SimulatorStore

# peft and transformers warn about each other's names; nothing here depends on them.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

NUMBERS = {"n_epochs": 4, "batch_size": 4}


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The folder of a service, the file that its one job learned, and the job."""
    store = SimulatorStore(tmp_path_factory.mktemp("parent") / "home")
    file = add_file(store, chat_lines(12))
    job_id = add_job(store, file, hyperparameters=NUMBERS)
    train(store, job_id, BASE)
    store.close()
    return store.home, file, job_id


@pytest.fixture
def made(trained_once: tuple[Path, str, str], tmp_path: Path) -> tuple[SimulatorStore, str, JobRow]:
    """A copy of that service, the file and the job."""
    home, file, job_id = trained_once
    store = SimulatorStore(shutil.copytree(home, tmp_path / "home"))
    return store, file, job_of(store, job_id)


def test_a_job_goes_on_where_its_model_stopped(made: tuple[SimulatorStore, str, JobRow]) -> None:
    store, file, parent = made
    job_id = add_job(store, file, hyperparameters=NUMBERS, model=parent.fine_tuned_model)
    train(store, job_id, BASE)
    child = job_of(store, job_id)
    assert child.status == "succeeded"
    assert child.model == parent.fine_tuned_model
    assert child.fine_tuned_model == f"ft:{parent.model}:finegrade::{job_id[6:14]}"
    before, after = steps_told(store, parent.id), steps_told(store, job_id)
    # Of the same examples: the parent began at the base, the child with what the parent knew.
    assert after[0]["train_loss"] < 0.8 * before[0]["train_loss"]
    assert after[-1]["train_loss"] < before[-1]["train_loss"]
    assert not list(job_folder(store, job_id).glob("*.safetensors"))


def test_preferences_are_relative_to_the_model_a_job_goes_on_from(
    made: tuple[SimulatorStore, str, JobRow],
) -> None:
    store, _, parent = made
    pairs = [
        {
            "input": {"messages": line["messages"][:2]},
            "preferred_output": line["messages"][2:],
            "non_preferred_output": [{"role": "assistant", "content": "I cannot say."}],
        }
        for line in chat_lines(12)
    ]
    numbers = {"n_epochs": 1, "batch_size": 6, "beta": 0.2}
    changes = {"hyperparameters": numbers, "method": "dpo", "model": parent.fine_tuned_model}
    job_id = add_job(store, add_file(store, pairs), **changes)
    train(store, job_id, BASE)
    assert steps_told(store, job_id)[0]["train_loss"] == pytest.approx(0.693147, abs=1e-4)


def test_once_begun_a_job_needs_its_parent_no_longer(
    made: tuple[SimulatorStore, str, JobRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, file, parent = made
    ids = [
        add_job(store, file, hyperparameters=NUMBERS, model=parent.fine_tuned_model)
        for _ in range(2)
    ]
    train(store, ids[0], BASE)
    with monkeypatch.context() as patched:
        # The process is killed after its first step, before any state is saved.
        patched.setattr("grader.openai_sim.jobs.training._step_message", _killed)
        with pytest.raises(KeyboardInterrupt):
            train(store, ids[1], BASE)
    store.delete_model(parent.fine_tuned_model or "")
    shutil.rmtree(store.adapters_folder / _adapter(parent))
    train(store, ids[1], BASE)
    assert steps_told(store, ids[1]) == steps_told(store, ids[0])


def test_a_job_whose_parent_was_deleted_fails(made: tuple[SimulatorStore, str, JobRow]) -> None:
    store, file, parent = made
    job_id = add_job(store, file, hyperparameters=NUMBERS, model=parent.fine_tuned_model)
    store.delete_model(parent.fine_tuned_model or "")
    train(store, job_id, BASE)
    job = job_of(store, job_id)
    assert (job.status, (job.error or {})["code"]) == ("failed", "model_not_found")
    assert (job.error or {})["param"] == "model"
    assert parent.fine_tuned_model in (job.error or {})["message"]


def test_a_job_whose_parent_was_made_from_another_base_fails(
    made: tuple[SimulatorStore, str, JobRow],
) -> None:
    store, file, parent = made
    config = store.adapters_folder / _adapter(parent) / "adapter_config.json"
    other = json.loads(config.read_text()) | {"base_model_name_or_path": "/models/other-base"}
    config.write_text(json.dumps(other))
    job_id = add_job(store, file, hyperparameters=NUMBERS, model=parent.fine_tuned_model)
    train(store, job_id, BASE)
    error: Any = job_of(store, job_id).error
    assert (error["code"], error["param"]) == ("model_not_available", "model")
    assert "other-base" in error["message"]
    assert "course-model" in error["message"]


def _killed(_: Any) -> str:
    raise KeyboardInterrupt


def _adapter(job: JobRow) -> str:
    return adapter_folder(job.fine_tuned_model or "")

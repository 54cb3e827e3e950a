"""Jobs that really train: what they tell, what they leave, and that they can be interrupted."""

from __future__ import annotations

import base64
import csv
import io
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.sim_apps import (
    BASE,
    MODEL,
    add_file,
    add_job,
    chat_lines,
    environment,
    job_of,
    steps_told,
)

from grader.openai_sim.decoding.model_names import checkpoint_name, tuned_name
from grader.openai_sim.jobs.training import train
from grader.openai_sim.store.store import EventRow, JobRow, SimulatorStore
from grader.training_data.read.examples import read_examples
from grader.training_data.tokens import counter

# peft and transformers warn about each other's names; nothing here depends on them.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

QUICK = {"n_epochs": 2, "batch_size": 4}


class Meddled(SimulatorStore):
    """A store in which the client wants something as soon as a certain step was told."""

    at_step = 0
    wanted = "run"

    def add_event(
        self,
        job_id: str,
        message: str,
        *,
        level: str = "info",
        type: str = "message",
        data: Mapping[str, Any] | None = None,
    ) -> EventRow:
        if data and data["step"] == self.at_step:
            self.update_job(job_id, wanted=self.wanted)
        return super().add_event(job_id, message, level=level, type=type, data=data)


@pytest.fixture
def store(tmp_path: Path) -> Meddled:
    return Meddled(tmp_path / "home")


def trained(store: SimulatorStore, n: int = 12, **changes: Any) -> JobRow:
    """A job on n examples, trained here and now."""
    changes = {"hyperparameters": QUICK, **changes}
    job_id = add_job(store, add_file(store, chat_lines(n)), **changes)
    train(store, job_id, BASE)
    return job_of(store, job_id)


def weights(store: SimulatorStore, model: str | None) -> bytes:
    row = store.get_model(model or "")
    assert row is not None
    assert row.adapter is not None
    return (store.adapters_folder / row.adapter / "adapter_model.safetensors").read_bytes()


def messages(store: SimulatorStore, job: JobRow) -> list[str]:
    return [event.message for event in reversed(store.list_events(job.id))]


def test_the_process_of_a_job_imports_nothing_of_the_web_service() -> None:
    asked = (
        "import json, sys, grader.openai_sim.jobs.training; print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], env=environment(), capture_output=True, check=True
    )
    modules = set(json.loads(done.stdout))
    assert "grader.openai_sim.jobs.training" in modules
    assert modules.isdisjoint({"fastapi", "starlette", "uvicorn", "openai"})


def test_a_job_tells_its_steps_in_the_words_of_the_service(store: SimulatorStore) -> None:
    held_back = add_file(store, chat_lines(5, "validation"))
    job = trained(store, validation_file=held_back, suffix="mine")
    name = f"ft:{MODEL}:finegrade:mine:{job.id[6:14]}"
    assert (job.status, job.fine_tuned_model, job.error, job.pid) == ("succeeded", name, None, None)
    said, steps = messages(store, job), steps_told(store, job.id)
    first, third, last = steps[0], steps[2], steps[-1]
    assert said == [
        f"Created fine-tuning job: {job.id}",
        "Fine-tuning job started",
        f"Step 1/6: training loss={first['train_loss']:.2f}",
        f"Step 2/6: training loss={steps[1]['train_loss']:.2f}",
        f"Step 3/6: training loss={third['train_loss']:.2f}, "
        f"validation loss={third['valid_loss']:.2f}, "
        f"full validation loss={third['full_valid_loss']:.2f}",
        f"Checkpoint created at step 3 with Snapshot ID: {name}:ckpt-step-3",
        f"Step 4/6: training loss={steps[3]['train_loss']:.2f}",
        f"Step 5/6: training loss={steps[4]['train_loss']:.2f}",
        said[8],
        f"New fine-tuned model created: {name}",
        "The job has successfully completed",
    ]
    assert set(first) == {"step", "train_loss", "total_steps", "train_mean_token_accuracy"}
    assert set(last) - set(first) == {
        "valid_loss",
        "valid_mean_token_accuracy",
        "full_valid_loss",
        "full_valid_mean_token_accuracy",
    }
    assert last["train_loss"] < first["train_loss"]
    assert last["full_valid_loss"] < third["full_valid_loss"]


def test_a_job_leaves_a_model_results_and_a_bill(store: SimulatorStore) -> None:
    job = trained(store)
    file = store.get_file(job.result_files[0])
    assert file is not None
    assert file.purpose == "fine-tune-results"
    text = base64.b64decode(store.file_path(file.id).read_bytes()).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == [
        "step",
        "train_loss",
        "train_accuracy",
        "valid_loss",
        "valid_mean_token_accuracy",
    ]
    told = steps_told(store, job.id)
    assert [float(r["train_loss"]) for r in rows] == [step["train_loss"] for step in told]
    count = counter(MODEL)
    of_file = sum(map(count, read_examples(store.file_path(job.training_file))))
    assert job.trained_tokens == 2 * of_file
    assert len(weights(store, job.fine_tuned_model)) > 10_000


def test_the_last_three_checkpoints_stay_and_the_last_is_the_model_itself(
    store: SimulatorStore,
) -> None:
    job = trained(store, hyperparameters={"n_epochs": 5, "batch_size": 12})
    kept = [(row.step, row.model_name) for row in store.list_checkpoints(job.id)]
    assert kept == [
        (5, tuned_name(job)),
        (4, checkpoint_name(job, 4)),
        (3, checkpoint_name(job, 3)),
    ]
    assert sorted(row.id for row in store.list_models()) == sorted(name for _, name in kept)
    assert len(list(store.adapters_folder.iterdir())) == 3
    assert len({weights(store, name) for _, name in kept}) == 3


def test_the_seed_decides_losses_and_adapter(store: SimulatorStore) -> None:
    jobs = [trained(store, seed=seed) for seed in (7, 7, 8)]
    losses = [steps_told(store, job.id) for job in jobs]
    adapters = [weights(store, job.fine_tuned_model) for job in jobs]
    assert losses[0] == losses[1] != losses[2]
    assert adapters[0] == adapters[1] != adapters[2]


def test_a_paused_job_goes_on_and_ends_as_if_nothing_had_happened(store: Meddled) -> None:
    whole = trained(store)
    store.at_step, store.wanted = 4, "pause"
    job = trained(store)
    assert (job.status, len(steps_told(store, job.id))) == ("paused", 4)
    store.at_step = 0
    store.update_job(job.id, status="queued", wanted="run")
    train(store, job.id, BASE)
    job = job_of(store, job.id)
    assert job.status == "succeeded"
    assert steps_told(store, job.id) == steps_told(store, whole.id)
    assert weights(store, job.fine_tuned_model) == weights(store, whole.fine_tuned_model)
    assert messages(store, job).count("Fine-tuning job started") == 1


def test_a_cancelled_job_stops_within_a_step_and_leaves_no_model(store: Meddled) -> None:
    store.at_step, store.wanted = 2, "cancel"
    job = trained(store)
    assert (job.status, job.fine_tuned_model) == ("cancelled", None)
    assert len(steps_told(store, job.id)) == 2
    assert job.finished_at is not None
    assert store.list_models() == []


def test_preferences_are_learned(store: SimulatorStore) -> None:
    pairs = [
        {
            "input": {"messages": line["messages"][:2]},
            "preferred_output": line["messages"][2:],
            "non_preferred_output": [{"role": "assistant", "content": "I would rather not say."}],
        }
        for line in chat_lines(12)
    ]
    numbers = {"n_epochs": 4, "batch_size": 4, "beta": 0.2}
    file = add_file(store, pairs)
    job_id = add_job(store, file, method="dpo", hyperparameters=numbers, validation_file=file)
    train(store, job_id, BASE)
    assert job_of(store, job_id).status == "succeeded"
    steps = steps_told(store, job_id)
    assert steps[0]["train_loss"] == pytest.approx(0.693147, abs=1e-4)  # log 2: still the base
    assert steps[-1]["train_loss"] < 0.3
    assert steps[-1]["train_reward_accuracy"] == 1.0
    assert steps[-1]["train_mean_reward_margin"] > 1
    assert steps[-1]["full_valid_loss"] < 0.3


def test_a_job_whose_file_was_deleted_fails(store: SimulatorStore) -> None:
    file = add_file(store, chat_lines(12))
    job_id = add_job(store, file)
    store.delete_file(file)
    train(store, job_id, BASE)
    job = job_of(store, job_id)
    assert job.status == "failed"
    assert job.error == {
        "code": "invalid_training_file",
        "message": f"No such File object: {file}",
        "param": "training_file",
    }


def test_a_file_with_nothing_to_learn_fails(store: SimulatorStore) -> None:
    line = chat_lines(1)[0]
    line["messages"][2]["weight"] = 0
    job_id = add_job(store, add_file(store, [line] * 10))
    train(store, job_id, BASE)
    error = job_of(store, job_id).error or {}
    assert error["code"] == "invalid_training_file"


def test_a_training_that_goes_off_the_rails_fails_and_says_what_to_change(
    store: SimulatorStore,
) -> None:
    job = trained(store, hyperparameters={**QUICK, "learning_rate_multiplier": 1e30})
    assert job.status == "failed"
    assert "smaller learning_rate_multiplier" in (job.error or {})["message"]


def test_a_job_that_has_ended_is_left_alone(store: SimulatorStore) -> None:
    job_id = add_job(store, add_file(store, chat_lines(12)), status="cancelled")
    train(store, job_id, BASE)
    assert job_of(store, job_id).status == "cancelled"
    assert steps_told(store, job_id) == []

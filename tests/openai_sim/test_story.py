"""The course's whole way, with a real service and the client that students have."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from process_builder import simulate
from service_builder import wait_for
from sim_builder import ROOT

from grader.hidden import QuestionSet, chat, make_hidden
from grader.metrics import exact_match

BASE = "gpt-4.1-nano-2025-04-14"
TRAIN = ROOT / "datasets" / "educational-qa" / "train.jsonl"
VALIDATION = ROOT / "datasets" / "educational-qa" / "validation.jsonl"
_TOLD = ["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"]


@dataclass(frozen=True)
class Story:
    """A job that has ended, and the client that created it."""

    client: openai.OpenAI
    created: Any
    job: Any
    polled: tuple[str, ...]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    home = tmp_path_factory.mktemp("story") / "home"
    with simulate(home) as running, running.client() as client:
        with TRAIN.open("rb") as train, VALIDATION.open("rb") as validation:
            training_file = client.files.create(file=train, purpose="fine-tune")
            validation_file = client.files.create(file=validation, purpose="fine-tune")
        client.files.wait_for_processing(training_file.id, poll_interval=0.05)
        created = client.fine_tuning.jobs.create(
            model=BASE,
            training_file=training_file.id,
            validation_file=validation_file.id,
            suffix="course",
            seed=7,
        )
        polled: list[str] = []

        def ended() -> Any:
            job = client.fine_tuning.jobs.retrieve(created.id)
            if job.status not in polled:
                polled.append(job.status)
            return job if job.finished_at else None

        yield Story(client, created, wait_for(ended, 120), tuple(polled))


def test_the_job_goes_through_the_states_of_the_service(story: Story) -> None:
    assert story.created.status == "validating_files"
    assert story.polled[-2:] == ("running", "succeeded")
    assert story.job.error is None
    assert story.job.hyperparameters.n_epochs == 3
    assert story.job.trained_tokens > 0
    assert story.job.fine_tuned_model.startswith(f"ft:{BASE}:finegrade:course:")


def test_its_events_tell_every_step_in_the_words_of_the_service(story: Story) -> None:
    jobs = story.client.fine_tuning.jobs
    events = list(jobs.list_events(story.job.id, limit=100))[::-1]
    told = [event.message for event in events]
    assert told[:4] == [
        f"Created fine-tuning job: {story.job.id}",
        f"Validating training file: {story.job.training_file} "
        f"and validation file: {story.job.validation_file}",
        "Files validated, moving job to queued state",
        "Fine-tuning job started",
    ]
    assert told[-2:] == [
        f"New fine-tuned model created: {story.job.fine_tuned_model}",
        "The job has successfully completed",
    ]
    steps = [event.data for event in events if event.type == "metrics" and event.data]
    total = steps[0]["total_steps"]
    assert [step["step"] for step in steps] == list(range(1, total + 1))
    tenth = total // 10
    losses = [step["train_loss"] for step in steps]
    assert sum(losses[-tenth:]) < sum(losses[:tenth]) / 2
    assert steps[-1]["full_valid_loss"] < losses[0] / 2


def test_each_epoch_leaves_a_checkpoint_that_answers(story: Story) -> None:
    client = story.client
    checkpoints = list(client.fine_tuning.jobs.checkpoints.list(story.job.id))
    assert len(checkpoints) == 3
    names = [checkpoint.fine_tuned_model_checkpoint for checkpoint in checkpoints]
    assert names[0] == story.job.fine_tuned_model
    assert names[1] == f"{names[0]}:ckpt-step-{checkpoints[1].step_number}"
    assert set(names) < {model.id for model in client.models.list()}
    said = client.chat.completions.create(
        model=names[2], messages=[{"role": "user", "content": "Hello"}], max_completion_tokens=4
    )
    assert said.model == names[2]


def test_the_result_file_is_a_table_with_a_line_a_step(story: Story) -> None:
    client = story.client
    (result,) = story.job.result_files
    assert client.files.retrieve(result).purpose == "fine-tune-results"
    text = base64.b64decode(client.files.content(result).read(), validate=True).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == _TOLD
    assert [int(row["step"]) for row in rows] == list(range(1, len(rows) + 1))
    assert all(float(row["train_loss"]) >= 0 for row in rows)
    assert 0 <= float(rows[-1]["valid_mean_token_accuracy"]) <= 1


def test_the_tuned_model_knows_what_the_base_does_not(story: Story) -> None:
    hidden = make_hidden("educational-qa", 11, 40)
    base = _exact(story.client, BASE, hidden)
    tuned = _exact(story.client, story.job.fine_tuned_model, hidden)
    assert tuned - base >= 0.6


def _exact(client: openai.OpenAI, model: str, hidden: QuestionSet) -> float:
    """The share of the questions that the model answers with the very reference."""

    def right(place: int) -> float:
        question = hidden.questions[place]
        said = client.chat.completions.create(
            model=model,
            messages=chat(question.messages),  # type: ignore[arg-type]
            temperature=0,
            max_completion_tokens=32,
        )
        answer = said.choices[0].message.content or ""
        return exact_match(answer, hidden.answers[question.id])

    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(right, range(len(hidden.questions)))) / len(hidden.questions)

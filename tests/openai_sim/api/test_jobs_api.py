"""Jobs through the real client: created, judged, watched and stopped, before any training."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest
from support.sim_services import (
    MODEL,
    Service,
    chat_file,
    create,
    ended,
    preference_file,
    upload,
    wait_for,
)

from grader.openai_sim.store.store import CheckpointRow, ModelRow


@pytest.fixture
def file_id(client: openai.OpenAI) -> str:
    return upload(client)


def queued(client: openai.OpenAI, job_id: str) -> Any:
    def found() -> Any:
        job = client.fine_tuning.jobs.retrieve(job_id)
        return job if job.status == "queued" else None

    return wait_for(found)


def test_a_job_is_validated_and_queued_with_numbers_for_auto(
    client: openai.OpenAI, file_id: str
) -> None:
    made = create(client, file_id, suffix="mine", seed=5, metadata={"class": "a"})
    assert made.status == "validating_files"
    assert made.hyperparameters.n_epochs == "auto"
    job = queued(client, made.id)
    assert (job.hyperparameters.n_epochs, job.hyperparameters.batch_size) == (8, 1)
    assert job.method.type == "supervised"
    assert job.method.supervised.hyperparameters.n_epochs == 8
    assert (job.seed, job.metadata, job.error) == (5, {"class": "a"}, None)
    assert (job.fine_tuned_model, job.finished_at, job.result_files) == (None, None, [])
    events = client.fine_tuning.jobs.list_events(job.id).data
    assert [event.message for event in events] == [
        "Files validated, moving job to queued state",
        f"Validating training file: {file_id}",
        f"Created fine-tuning job: {job.id}",
    ]
    assert {(event.type, event.level) for event in events} == {("message", "info")}


def test_null_and_absent_are_as_the_service_has_them(
    running: Service, client: openai.OpenAI, file_id: str
) -> None:
    job = create(client, file_id)
    raw = httpx.get(
        f"{running.url}/v1/fine_tuning/jobs/{job.id}", headers={"Authorization": "Bearer x"}
    ).json()
    required = {
        "id", "object", "model", "created_at", "finished_at", "fine_tuned_model",
        "organization_id", "result_files", "status", "validation_file", "training_file",
        "hyperparameters", "trained_tokens", "error", "seed",
    }  # fmt: skip
    assert required <= set(raw)
    assert raw["error"] is None
    assert set(raw["method"]) == {"type", "supervised"}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"hyperparameters": {"n_epochs": 2}}, (2, 1, 1.8)),
        ({"hyperparameters": {}}, (8, 1, 1.8)),
        (
            {
                "method": {
                    "type": "supervised",
                    "supervised": {
                        "hyperparameters": {"batch_size": 4, "learning_rate_multiplier": 0.5}
                    },
                }
            },
            (8, 4, 0.5),
        ),
        (
            {
                "method": {
                    "type": "supervised",
                    "supervised": {"hyperparameters": {"n_epochs": 3}},
                },
                "hyperparameters": {"n_epochs": 9, "batch_size": 2},
            },
            (3, 2, 1.8),
        ),
    ],
)
def test_hyperparameters_come_from_the_method_or_from_the_older_place(
    client: openai.OpenAI, file_id: str, asked: dict[str, Any], expected: tuple[float, ...]
) -> None:
    numbers = queued(client, create(client, file_id, **asked).id).hyperparameters
    given = (numbers.n_epochs, numbers.batch_size, numbers.learning_rate_multiplier)
    assert given == expected


def test_dpo_has_its_own_place_and_a_beta(client: openai.OpenAI) -> None:
    method = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.5}}}
    job = queued(client, create(client, upload(client, preference_file()), method=method).id)
    assert job.method.type == "dpo"
    assert job.method.dpo.hyperparameters.beta == 0.5
    assert job.method.supervised is None


@pytest.mark.parametrize(
    ("asked", "param", "code"),
    [
        ({"model": "gpt-5-nano"}, "model", "model_not_available"),
        ({"model": ""}, "model", "empty_string"),
        ({"model": 4}, "model", "invalid_type"),
        ({"training_file": "file-none"}, "training_file", None),
        ({"validation_file": "file-none"}, "validation_file", None),
        ({"suffix": "x" * 65}, "suffix", "string_above_max_length"),
        ({"suffix": ""}, "suffix", "empty_string"),
        ({"seed": -1}, "seed", "integer_below_min_value"),
        ({"seed": 2**31}, "seed", "integer_above_max_value"),
        ({"seed": "7"}, "seed", "invalid_type"),
        ({"seed": True}, "seed", "invalid_type"),
        ({"metadata": {str(i): "" for i in range(17)}}, "metadata", "object_above_max_properties"),
        ({"metadata": {"x" * 65: ""}}, "metadata", "string_above_max_length"),
        ({"metadata": {"x": "y" * 513}}, "metadata", "string_above_max_length"),
        ({"metadata": {"x": 1}}, "metadata.x", "invalid_type"),
        (
            {"hyperparameters": {"n_epochs": 0}},
            "hyperparameters.n_epochs",
            "integer_below_min_value",
        ),
        (
            {"hyperparameters": {"n_epochs": 51}},
            "hyperparameters.n_epochs",
            "integer_above_max_value",
        ),
        (
            {"hyperparameters": {"n_epochs": "some"}},
            "hyperparameters.n_epochs",
            "invalid_type",
        ),
        (
            {"hyperparameters": {"batch_size": 257}},
            "hyperparameters.batch_size",
            "integer_above_max_value",
        ),
        (
            {"hyperparameters": {"learning_rate_multiplier": 0}},
            "hyperparameters.learning_rate_multiplier",
            "decimal_below_min_value",
        ),
        ({"hyperparameters": {"beta": 0.1}}, "hyperparameters.beta", "unknown_parameter"),
        ({"hyperparameters": []}, "hyperparameters", "invalid_type"),
        ({"method": {"type": "lora"}}, "method.type", "invalid_value"),
        ({"method": {}}, "method.type", "missing_required_parameter"),
        ({"method": {"type": "reinforcement"}}, "method", "model_not_available"),
        (
            {"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 2.5}}}},
            "method.dpo.hyperparameters.beta",
            "decimal_above_max_value",
        ),
        ({"integrations": [{"type": "wandb"}]}, "integrations", "invalid_value"),
        ({"extra_body": {"epochs": 3}}, "epochs", "unknown_parameter"),
    ],
)
def test_what_is_wrong_with_a_request_is_said_at_once(
    client: openai.OpenAI, file_id: str, asked: dict[str, Any], param: str, code: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.fine_tuning.jobs.create(**({"model": MODEL, "training_file": file_id} | asked))
    assert (refused.value.param, refused.value.code) == (param, code)
    assert refused.value.type == "invalid_request_error"


def test_the_words_for_an_unknown_file_are_the_recorded_ones(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        create(client, "file-none")
    assert refused.value.body["message"] == "invalid training_file: file-none"


@pytest.mark.parametrize(
    ("data", "options", "code", "words"),
    [
        (
            chat_file(7),
            {},
            "invalid_n_examples",
            "Training file has 7 example(s), but must have at least 10 examples",
        ),
        (
            chat_file(12, bad={5: {"note": 1}}),
            {},
            "invalid_training_file",
            "The job failed due to an invalid training file. Invalid file format. "
            "Example 5 is missing key 'messages'.",
        ),
        (
            chat_file(12, bad={3: {"messages": [{"role": "assistant", "content": "a"}], "id": 4}}),
            {},
            "invalid_file_format",
            'Invalid file format. Example 3 contains an extra "id".',
        ),
        (
            chat_file(),
            {"method": {"type": "dpo"}},
            "invalid_file_format",
            "is in the fine-tune-chat format, but the specified fine-tuning job is not using "
            "'supervised' (provided method=dpo)",
        ),
        (
            preference_file(),
            {},
            "invalid_file_format",
            "(provided method=supervised)",
        ),
        (
            b'{"question": "a?", "answer": "b"}\n' * 12,
            {},
            "invalid_file_format",
            "Unexpected file format, expected either prompt/completion pairs or chat messages",
        ),
        (
            b'{"prompt": "a?", "completion": "b"}\n' * 12,
            {},
            "invalid_file_format",
            "does not support fine-tune-completions-format",
        ),
    ],
)
def test_a_bad_file_fails_the_job_with_a_link_to_all_findings(
    client: openai.OpenAI, data: bytes, options: dict[str, Any], code: str, words: str
) -> None:
    file_id = upload(client, data)
    job = ended(client, create(client, file_id, **options).id)
    assert job.status == "failed"
    assert (job.error.code, job.error.param) == (code, "training_file")
    assert words in job.error.message
    assert job.finished_at is not None
    link = job.error.message.rpartition("All findings: ")[2]
    found = httpx.get(link, headers={"Authorization": "Bearer sk-x"})
    assert found.json()["schema"] == "finegrade/findings/v1"
    last = client.fine_tuning.jobs.list_events(job.id, limit=1).data[0]
    assert last.level == "error"


def test_a_bad_validation_file_fails_the_job_too(client: openai.OpenAI, file_id: str) -> None:
    bad = upload(client, chat_file(12, bad={1: {"x": 1}}))
    job = ended(client, create(client, file_id, validation_file=bad).id)
    assert (job.error.code, job.error.param) == ("invalid_validation_file", "validation_file")


def test_a_short_validation_file_is_fine(client: openai.OpenAI, file_id: str) -> None:
    queued(client, create(client, file_id, validation_file=upload(client, chat_file(2))).id)


def test_jobs_pause_resume_and_are_cancelled(client: openai.OpenAI, file_id: str) -> None:
    job = queued(client, create(client, file_id).id)
    jobs = client.fine_tuning.jobs
    assert jobs.pause(job.id).status == "paused"
    assert jobs.pause(job.id).status == "paused"
    assert jobs.resume(job.id).status == "queued"
    cancelled = jobs.cancel(job.id)
    assert cancelled.status == "cancelled"
    assert cancelled.finished_at is not None
    for call in (jobs.cancel, jobs.pause, jobs.resume):
        with pytest.raises(openai.BadRequestError):
            call(job.id)


def test_a_running_job_is_asked_to_stop(
    running: Service, client: openai.OpenAI, file_id: str
) -> None:
    job = queued(client, create(client, file_id).id)
    running.store.update_job(job.id, status="running")
    assert client.fine_tuning.jobs.pause(job.id).status == "pausing"
    assert running.store.get_job(job.id).wanted == "pause"
    assert client.fine_tuning.jobs.cancel(job.id).status == "pausing"
    assert running.store.get_job(job.id).wanted == "cancel"


@pytest.mark.parametrize(
    "call", ["retrieve", "cancel", "pause", "resume", "list_events", "checkpoints"]
)
def test_an_unknown_job_is_told_in_the_recorded_words(client: openai.OpenAI, call: str) -> None:
    jobs = client.fine_tuning.jobs
    asked = jobs.checkpoints.list if call == "checkpoints" else getattr(jobs, call)
    with pytest.raises(openai.NotFoundError) as refused:
        asked("ftjob-none")
    assert refused.value.body == {
        "message": "Could not find fine tune: ftjob-none",
        "type": "invalid_request_error",
        "param": "fine_tune_id",
        "code": "fine_tune_not_found",
    }


def test_a_job_may_go_on_from_a_tuned_model_until_that_is_deleted(
    running: Service, client: openai.OpenAI, file_id: str
) -> None:
    parent = f"ft:{MODEL}:finegrade:mine:abcdefgh"
    running.store.add_model(ModelRow(parent, 1, "finegrade", "folder"))
    asked = client.fine_tuning.jobs.create(model=parent, training_file=file_id)
    assert queued(client, asked.id).model == parent
    client.models.delete(parent)
    with pytest.raises(openai.BadRequestError) as refused:
        client.fine_tuning.jobs.create(model=parent, training_file=file_id)
    assert (refused.value.code, refused.value.param) == ("model_not_available", "model")
    assert parent in refused.value.message


def test_jobs_and_events_are_paged(client: openai.OpenAI, file_id: str) -> None:
    ids = [create(client, file_id, metadata={"n": str(n)}).id for n in range(4)][::-1]
    assert [job.id for job in client.fine_tuning.jobs.list(limit=3)][:4] == ids
    page = client.fine_tuning.jobs.list(limit=2, after=ids[0])
    assert [job.id for job in page.data] == ids[1:3]
    assert page.has_more
    tagged = client.fine_tuning.jobs.list(extra_query={"metadata[n]": "2"})
    assert tagged.data[0].id == ids[1]
    queued(client, ids[0])
    assert len(list(client.fine_tuning.jobs.list_events(ids[0], limit=1))) == 3


def test_checkpoints_are_listed_with_their_ends(
    running: Service, client: openai.OpenAI, file_id: str
) -> None:
    job = create(client, file_id)
    for step in (12, 24):
        running.store.add_checkpoint(
            CheckpointRow(
                f"ftckpt-{job.id}{step}", job.id, 1, step, f"ft:m:ckpt-step-{step}", {"step": step}
            )
        )
    page = client.fine_tuning.jobs.checkpoints.list(job.id)
    assert [checkpoint.step_number for checkpoint in page.data] == [24, 12]
    assert page.data[0].metrics.step == 24
    raw = httpx.get(
        f"{running.url}/v1/fine_tuning/jobs/{job.id}/checkpoints",
        headers={"Authorization": "Bearer x"},
    ).json()
    assert (raw["first_id"], raw["last_id"]) == (page.data[0].id, page.data[1].id)


def test_a_deleted_training_file_fails_the_job(
    running: Service, client: openai.OpenAI, file_id: str
) -> None:
    job = running.store.get_job(create(client, file_id).id)
    assert job is not None
    client.files.delete(file_id)
    running.store.update_job(job.id, status="validating_files")
    running.app.services.admission.wake()
    assert ended(client, job.id).error.code == "invalid_training_file"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"model": "\\ud800", "training_file": "x"}', b"[" * 5000]
)
def test_a_body_that_is_no_json_object_gets_the_envelope(running: Service, body: bytes) -> None:
    answer = httpx.post(
        f"{running.url}/v1/fine_tuning/jobs",
        content=body,
        headers={"Authorization": "Bearer x", "Content-Type": "application/json"},
    )
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}

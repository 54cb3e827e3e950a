"""Routes of fine-tuning jobs, their events and their checkpoints."""

from __future__ import annotations

from typing import Annotated, Any, Final

from anyio import from_thread
from fastapi import APIRouter, Depends, Query, Request
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from openai.types.fine_tuning.fine_tuning_job import Error
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint

from grader.core.openai_wire import ENDED, TRAINING_PURPOSE, JobStatus
from grader.openai_sim.api import models
from grader.openai_sim.api.job_request import (
    BATCH_MOST,
    EPOCHS_MOST,
    SEED_MOST,
    SUFFIX_MOST,
    JobRequest,
    job_request,
)
from grader.openai_sim.decoding.model_names import ORGANIZATION, snapshot
from grader.openai_sim.jobs.job_state import CANCELLED
from grader.openai_sim.jobs.job_validation import VALIDATING_SECONDS
from grader.openai_sim.services import Used
from grader.openai_sim.store import errors
from grader.openai_sim.store.journal import note
from grader.openai_sim.store.parameters import NamedPage, Page, json_object
from grader.openai_sim.store.records import azure_job_id
from grader.openai_sim.store.scenarios import AZURE, EMPTY_ERROR
from grader.openai_sim.store.store import (
    CheckpointRow,
    EventRow,
    JobRow,
    SimulatorStore,
    new_id,
    now,
)

_JOBS_SHOWN: Final = 20
_EVENTS_SHOWN: Final = 20
_CHECKPOINTS_SHOWN: Final = 10
_LIST_MOST: Final = 1000

router = APIRouter(prefix="/fine_tuning/jobs", tags=["Fine-tuning"])


class JobObject(FineTuningJob):
    """A job, with the two states that OpenAI documents and its Python package lacks."""

    status: JobStatus  # type: ignore[assignment]


class ListPaginatedFineTuningJobsResponse(Page[JobObject]):
    """A page of jobs."""


class ListFineTuningJobEventsResponse(Page[FineTuningJobEvent]):
    """A page of a job's events."""


class ListFineTuningJobCheckpointsResponse(NamedPage[FineTuningJobCheckpoint]):
    """A page of a job's checkpoints."""


def _or_auto(kind: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [{"type": "string", "enum": ["auto"]}, kind]}


_NUMBERS: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "n_epochs": _or_auto({"type": "integer", "minimum": 1, "maximum": EPOCHS_MOST}),
        "batch_size": _or_auto({"type": "integer", "minimum": 1, "maximum": BATCH_MOST}),
        "learning_rate_multiplier": _or_auto({"type": "number", "exclusiveMinimum": 0}),
    },
}
_CREATE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["model", "training_file"],
                    "additionalProperties": False,
                    "properties": {
                        "model": {"type": "string", "minLength": 1},
                        "training_file": {"type": "string", "minLength": 1},
                        "validation_file": {"type": ["string", "null"], "minLength": 1},
                        "suffix": {
                            "type": ["string", "null"],
                            "minLength": 1,
                            "maxLength": SUFFIX_MOST,
                        },
                        "seed": {"type": ["integer", "null"], "minimum": 0, "maximum": SEED_MOST},
                        "metadata": {
                            "type": ["object", "null"],
                            "maxProperties": 16,
                            "additionalProperties": {"type": "string", "maxLength": 512},
                        },
                        "integrations": {"type": ["array", "null"], "maxItems": 0},
                        "method": {
                            "type": "object",
                            "required": ["type"],
                            "properties": {
                                "type": {"type": "string", "enum": ["supervised", "dpo"]}
                            },
                        },
                        "hyperparameters": _NUMBERS,
                    },
                }
            }
        },
    }
}


@router.post("", response_model_exclude_unset=True, openapi_extra=_CREATE)
def create_job(
    request: Request, used: Used, body: Annotated[dict[str, Any], Depends(json_object)]
) -> JobObject:
    """Create a job. Its files are validated later: an error in them fails the job."""
    asked = job_request(body)
    store, clock = used.store, used.clock
    model = snapshot(asked.model)
    _check(store, asked, model)
    row = JobRow(
        id=azure_job_id() if used.faults.has(AZURE) else new_id("ftjob"),
        model=model,
        created_at=now(),
        training_file=asked.training_file,
        validation_file=asked.validation_file,
        seed=used.job_seed() if asked.seed is None else asked.seed,
        suffix=asked.suffix,
        method=asked.method,
        hyperparameters=asked.hyperparameters,
        metadata=asked.metadata,
        not_before=clock.now() + clock.lasting(VALIDATING_SECONDS),
        fate=used.faults.fate_of_job(),
    )
    validating = f"Validating training file: {row.training_file}"
    if row.validation_file:
        validating += f" and validation file: {row.validation_file}"
    store.add_job(row, f"Created fine-tuning job: {row.id}", validating)
    note(request, job=row.id, job_created=True, file=row.training_file, model=model)
    if row.fate:
        note(request, job_fate=row.fate)
    used.admission.wake()
    return _object(request, used, row)


@router.get(
    "",
    response_model_exclude_unset=True,
    response_description="Jobs, newest first",
)
def list_jobs(
    request: Request,
    used: Used,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=_LIST_MOST)] = _JOBS_SHOWN,
) -> ListPaginatedFineTuningJobsResponse:
    """Jobs, newest first; `metadata[key]=value` in the query keeps those that have it."""
    store = used.store
    wanted = {
        name[len("metadata[") : -1]: value
        for name, value in request.query_params.items()
        if name.startswith("metadata[") and name.endswith("]")
    }
    if wanted:
        every = store.list_jobs(after)
        rows = [job for job in every if wanted.items() <= (job.metadata or {}).items()]
    else:
        rows = store.list_jobs(after, limit + 1)
    return ListPaginatedFineTuningJobsResponse(
        object="list",
        data=[_object(request, used, row) for row in rows[:limit]],
        has_more=len(rows) > limit,
    )


@router.get("/{job_id}", response_model_exclude_unset=True)
def retrieve_job(request: Request, used: Used, job_id: str) -> JobObject:
    """One job."""
    return _object(request, used, _found(request, used, job_id))


@router.post("/{job_id}/cancel", response_model_exclude_unset=True)
def cancel_job(request: Request, used: Used, job_id: str) -> JobObject:
    """Stop a job for good. One that runs stops within a step."""
    job = _found(request, used, job_id)
    store, clock = used.store, used.clock
    if job.status in ENDED:
        raise _wrong_state(job, "cancelled")
    waiting: tuple[JobStatus, ...] = ("validating_files", "queued", "paused")
    at_once = store.update_job(
        job_id,
        if_status=waiting,
        event=CANCELLED,
        status="cancelled",
        wanted="cancel",
        finished_at=now(),
        not_before=clock.now(),
    )
    if not at_once:
        running: tuple[JobStatus, ...] = ("running", "pausing")
        store.update_job(job_id, if_status=running, wanted="cancel", not_before=clock.now())
        from_thread.run(clock.caught_up)
    return _object(request, used, _found(request, used, job_id))


@router.post("/{job_id}/pause", response_model_exclude_unset=True)
def pause_job(request: Request, used: Used, job_id: str) -> JobObject:
    """Stop a job for now. One that runs stops within a step and keeps its place."""
    job = _found(request, used, job_id)
    store, clock = used.store, used.clock
    done = store.update_job(
        job_id, if_status="queued", event="The job was paused", status="paused", wanted="pause"
    ) or store.update_job(
        job_id, if_status="running", status="pausing", wanted="pause", not_before=clock.now()
    )
    if not done and job.status not in ("pausing", "paused"):
        raise _wrong_state(job, "paused")
    from_thread.run(clock.caught_up)
    return _object(request, used, _found(request, used, job_id))


@router.post("/{job_id}/resume", response_model_exclude_unset=True)
def resume_job(request: Request, used: Used, job_id: str) -> JobObject:
    """Let a paused job go on: it goes back into the queue."""
    job = _found(request, used, job_id)
    store, clock = used.store, used.clock
    done = store.update_job(
        job_id,
        if_status="paused",
        event="The job was resumed",
        status="queued",
        wanted="run",
        not_before=max(job.not_before, clock.now()),
    )
    if not done:
        raise _wrong_state(job, "resumed")
    from_thread.run(clock.caught_up)
    return _object(request, used, _found(request, used, job_id))


@router.get(
    "/{job_id}/events",
    response_model_exclude_unset=True,
    response_description="Events, newest first",
)
def list_events(
    request: Request,
    used: Used,
    job_id: str,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=_LIST_MOST)] = _EVENTS_SHOWN,
) -> ListFineTuningJobEventsResponse:
    """A job's events, newest first."""
    rows = used.store.list_events(_found(request, used, job_id).id, after, limit + 1)
    return ListFineTuningJobEventsResponse(
        object="list", data=[_event(row) for row in rows[:limit]], has_more=len(rows) > limit
    )


@router.get(
    "/{job_id}/checkpoints",
    response_model_exclude_unset=True,
    response_description="Checkpoints",
)
def list_checkpoints(
    request: Request,
    used: Used,
    job_id: str,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=_LIST_MOST)] = _CHECKPOINTS_SHOWN,
) -> ListFineTuningJobCheckpointsResponse:
    """A job's checkpoints, newest first."""
    rows = used.store.list_checkpoints(_found(request, used, job_id).id, after, limit + 1)
    shown = rows[:limit]
    return ListFineTuningJobCheckpointsResponse(
        object="list",
        data=[_checkpoint(row) for row in shown],
        has_more=len(rows) > limit,
        first_id=shown[0].id if shown else None,
        last_id=shown[-1].id if shown else None,
    )


def _check(store: SimulatorStore, asked: JobRequest, model: str) -> None:
    """Raises ApiError where the model or a file that a job names does not exist."""
    if not models.is_tunable(store, model):
        raise errors.not_tunable(asked.model)
    for param, file_id in (
        ("training_file", asked.training_file),
        ("validation_file", asked.validation_file),
    ):
        if file_id is None:
            continue
        file = store.get_file(file_id)
        if file is None or file.purpose != TRAINING_PURPOSE:
            raise errors.ApiError(400, f"invalid {param}: {file_id}", param=param)


def _found(request: Request, used: Used, job_id: str) -> JobRow:
    note(request, job=job_id)
    job = used.store.get_job(job_id)
    if job is None:
        raise errors.no_such_job(job_id)
    return job


def _wrong_state(job: JobRow, wanted: str) -> errors.ApiError:
    return errors.ApiError(
        400,
        f"Job has already {job.status}: it cannot be {wanted}."
        if job.status in ENDED
        else f"Job {job.id} is {job.status}: it cannot be {wanted}.",
        param="fine_tune_id",
        code="invalid_job_state",
    )


def _object(request: Request, used: Used, job: JobRow) -> JobObject:
    """The job as OpenAI writes it: `null` where it has no value, other methods not set."""
    numbers = dict(job.resolved or job.hyperparameters or {})
    usual = {name: value for name, value in numbers.items() if name != "beta"}
    made = JobObject.model_validate(
        {
            "object": "fine_tuning.job",
            "id": job.id,
            "model": job.model,
            "created_at": job.created_at,
            "finished_at": job.finished_at,
            "fine_tuned_model": job.fine_tuned_model,
            "organization_id": f"org-{ORGANIZATION}",
            "result_files": list(job.result_files),
            "status": job.status,
            "validation_file": job.validation_file,
            "training_file": job.training_file,
            "hyperparameters": usual,
            "trained_tokens": job.trained_tokens,
            "error": _error(request, job),
            "user_provided_suffix": job.suffix,
            "seed": job.seed,
            "estimated_finish": job.estimated_finish,
            "integrations": [],
            "metadata": job.metadata,
            "usage_metrics": None,
            "shared_with_openai": False,
            "method": {"type": job.method, job.method: {"hyperparameters": numbers}},
        }
    )
    if made.error is None and used.faults.has(EMPTY_ERROR):
        made.error = Error.model_construct()
    return made


def _error(request: Request, job: JobRow) -> dict[str, Any] | None:
    """The job's error, with the address of all findings where its file is invalid."""
    if not job.error:
        return None
    error = {"param": None, **job.error}
    file_id = error.pop("findings", None)
    if file_id:
        place = request.url_for("file_findings", file_id=file_id)
        error["message"] = f"{error['message'].rstrip('.')}. All findings: {place}"
    return error


def _event(row: EventRow) -> FineTuningJobEvent:
    return FineTuningJobEvent.model_validate(
        {
            "object": "fine_tuning.job.event",
            "id": row.id,
            "created_at": row.created_at,
            "level": row.level,
            "message": row.message,
            "data": dict(row.data or {}),
            "type": row.type,
        }
    )


def _checkpoint(row: CheckpointRow) -> FineTuningJobCheckpoint:
    return FineTuningJobCheckpoint.model_validate(
        {
            "object": "fine_tuning.job.checkpoint",
            "id": row.id,
            "created_at": row.created_at,
            "fine_tuned_model_checkpoint": row.model_name,
            "fine_tuning_job_id": row.job,
            "metrics": dict(row.metrics),
            "step_number": row.step,
        }
    )

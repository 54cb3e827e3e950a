"""Routes of files: upload with the data rules' findings, list, retrieve, content, delete."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from openai.types import FileDeleted, FileObject
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from grader.core.constants import DATA_MAX_FILE_BYTES, MIB
from grader.core.openai_wire import RESULTS_PURPOSE, TRAINING_PURPOSE
from grader.openai_sim.jobs.file_findings import document, refused_at_upload
from grader.openai_sim.services import Used
from grader.openai_sim.store.errors import INVALID, ApiError, no_such_file, too_large
from grader.openai_sim.store.journal import note
from grader.openai_sim.store.parameters import NamedPage, json_values
from grader.openai_sim.store.scenarios import PLAIN_RESULTS
from grader.openai_sim.store.store import FileRow, SimulatorStore, new_id, now
from grader.training_data.check import check_file

STORED_MAX_BYTES: Final = 8 * 1024 * MIB  # of all files together: a laptop's disk is shared
DISK_RESERVE_BYTES: Final = 512 * MIB  # stay free after any upload
_NAME_CHARACTERS: Final = 255
_KEPT_FINDINGS: Final = 200  # of each code in a file's list; all are counted
_LINE_MAX_VALUES: Final = 100_000  # of JSON; Python takes 64 bytes and more for one
_LIST_MOST: Final = 10_000  # as the service

_OTHER_PURPOSES: Final = ("assistants", "batch", "vision", "user_data", "evals")

router = APIRouter(tags=["Files"])


class ListFilesResponse(NamedPage[FileObject]):
    """A page of files."""


_UPLOAD: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["purpose", "file"],
                    "properties": {
                        "purpose": {"type": "string", "enum": [TRAINING_PURPOSE]},
                        "file": {"type": "string", "format": "binary"},
                    },
                }
            }
        },
    }
}


@router.post("/files", response_model_exclude_unset=True, openapi_extra=_UPLOAD)
async def upload_file(request: Request, used: Used) -> FileObject:
    """Upload a training file; 400 when it is no JSONL. Its other errors fail the job."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise ApiError(400, "Expected a body of type multipart/form-data.")
    if "charset" in request.headers["content-type"].lower():  # Python has hundreds of them
        raise ApiError(400, "Expected multipart/form-data without a charset: names are UTF-8.")
    try:
        form = await request.form(max_files=1, max_fields=10)
    except (MultiPartException, HTTPException) as error:
        said = getattr(error, "message", None) or getattr(error, "detail", "")
        raise ApiError(400, f"Could not parse multipart form. {said}".strip()) from error
    try:
        file, purpose = form.get("file"), form.get("purpose")
        _check_purpose(purpose)
        if not isinstance(file, UploadFile):
            raise ApiError(400, "'file' is a required property", param="file")
        row = await asyncio.to_thread(_take, used.store, file)
    finally:
        await form.close()
    note(request, file=row.id, file_uploaded=True, bytes=row.bytes)
    return _object(row)


@router.get(
    "/files",
    response_model_exclude_unset=True,
    response_description="Files, newest first",
)
def list_files(
    used: Used,
    purpose: str | None = None,
    limit: Annotated[int, Query(ge=1, le=_LIST_MOST)] = _LIST_MOST,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
) -> ListFilesResponse:
    """Files, the newest first unless asked otherwise."""
    rows = used.store.list_files(after, limit + 1, purpose=purpose, newest_first=order == "desc")
    shown = rows[:limit]
    return ListFilesResponse(
        object="list",
        data=[_object(row) for row in shown],
        has_more=len(rows) > limit,
        first_id=shown[0].id if shown else None,
        last_id=shown[-1].id if shown else None,
    )


@router.get("/files/{file_id}", response_model_exclude_unset=True)
def retrieve_file(request: Request, used: Used, file_id: str) -> FileObject:
    """One file."""
    return _object(_found(request, used, file_id))


@router.delete("/files/{file_id}")
def delete_file(request: Request, used: Used, file_id: str) -> FileDeleted:
    """Delete a file. A job that still has to read it fails."""
    row = _found(request, used, file_id)
    if not used.store.delete_file(row.id):  # somebody else was faster
        raise no_such_file(file_id)
    return FileDeleted(id=row.id, deleted=True, object="file")


@router.get("/files/{file_id}/content", response_class=FileResponse)
def file_content(request: Request, used: Used, file_id: str) -> Response:
    """The bytes of a file, as they were uploaded; a job's result file is base64 of its CSV."""
    row = _found(request, used, file_id)
    path = used.store.file_path(row.id)
    if not path.is_file():
        raise no_such_file(file_id)
    if row.purpose == RESULTS_PURPOSE and used.faults.has(PLAIN_RESULTS):
        return Response(base64.b64decode(path.read_bytes()), media_type="text/csv")
    return FileResponse(path, media_type="application/octet-stream")


@router.get("/files/{file_id}/findings", tags=["finegrade"])
def file_findings(request: Request, used: Used, file_id: str) -> dict[str, Any]:
    """All that the data rules found in a file (finegrade/findings/v1); no part of OpenAI's API."""
    row = _found(request, used, file_id)
    if not row.findings:
        raise ApiError(404, f"There are no findings of {file_id}: it is no training file.")
    read: dict[str, Any] = json.loads(row.findings)
    return read


def _found(request: Request, used: Used, file_id: str) -> FileRow:
    note(request, file=file_id)
    row = used.store.get_file(file_id)
    if row is None:
        raise no_such_file(file_id)
    return row


def _check_purpose(purpose: Any) -> None:
    if purpose == TRAINING_PURPOSE:
        return
    if not isinstance(purpose, str):
        raise ApiError(400, "'purpose' is a required property", param="purpose")
    if purpose in _OTHER_PURPOSES:
        said = f"Files for '{purpose}' are not available on this service; use 'fine-tune'."
        raise ApiError(400, said, param="purpose")
    known = [TRAINING_PURPOSE, *_OTHER_PURPOSES]
    raise ApiError(400, f"'{purpose[:64]}' is not one of {known} - 'purpose'", param="purpose")


def _take(store: SimulatorStore, file: UploadFile) -> FileRow:
    """Check the file and store it. Raises ApiError when it is refused."""
    size = file.size or 0
    if size > DATA_MAX_FILE_BYTES:
        raise too_large(DATA_MAX_FILE_BYTES)
    free = shutil.disk_usage(store.home).free
    if store.bytes_stored() + size > STORED_MAX_BYTES or free - size < DISK_RESERVE_BYTES:
        raise ApiError(
            400,
            "Not enough storage is left for this file. Delete files that you no longer need.",
            type=INVALID,
            code="storage_limit_exceeded",
        )
    name = Path((file.filename or "upload").replace("\\", "/")).name[-_NAME_CHARACTERS:]
    name = name.encode("utf-8", "replace").decode() or "upload"
    if not name.endswith(".jsonl"):
        raise ApiError(400, "Invalid file format for Fine-Tuning API. Must be .jsonl")
    with tempfile.TemporaryDirectory(prefix="upload-", dir=store.home) as folder:
        path = Path(folder) / "upload.jsonl"  # the client's own name never touches the disk
        with path.open("wb") as out:
            shutil.copyfileobj(file.file, out, MIB)
        _check_lines(path)
        report = check_file(path, model=None, keep=_KEPT_FINDINGS)
        refused = refused_at_upload(report, path)
        if refused is not None:
            raise ApiError(400, refused)
        findings = json.dumps(document(report, name))
        row = FileRow(
            new_id("file"),
            path.stat().st_size,
            now(),
            name,
            TRAINING_PURPOSE,
            "processed",
            findings,
        )
        path.rename(store.file_path(row.id))
    return store.add_file(row)


def _check_lines(path: Path) -> None:
    """Raises ApiError for a line that would take far more memory than its bytes when it is read."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if len(line) > _LINE_MAX_VALUES and json_values(line) > _LINE_MAX_VALUES:
                raise ApiError(
                    400,
                    f"Line {number} has more than {_LINE_MAX_VALUES} JSON values. An example has "
                    "some messages; write each on a line of its own.",
                )


def _object(row: FileRow) -> FileObject:
    """The file as OpenAI writes it: what may be absent but not null is not set."""
    return FileObject.model_validate(
        {
            "object": "file",
            "id": row.id,
            "purpose": row.purpose,
            "filename": row.filename,
            "bytes": row.bytes,
            "created_at": row.created_at,
            "status": row.status,
        }
    )

"""Files through the real client: taken, listed, read, deleted, and refused in the known words."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import httpx
import jsonschema
import openai
import pytest
from support.sim_services import Service, chat_file, upload
from support.waiting import PATIENCE, wait_for

import grader
from grader.core.constants import DATA_MAX_FILE_BYTES
from grader.openai_sim.jobs.file_findings import document
from grader.report.dataset_json import to_json
from grader.training_data.check import check_file

SCHEMA = Path(grader.__file__).parent / "schemas" / "findings.v1.json"


def raw(running: Service, path: str) -> httpx.Response:
    return httpx.get(f"{running.url}{path}", headers={"Authorization": "Bearer sk-x"})


def test_a_file_comes_back_as_it_was_uploaded(client: openai.OpenAI) -> None:
    data = chat_file()
    made = client.files.create(file=("my data.jsonl", data), purpose="fine-tune")
    assert (made.object, made.purpose, made.status) == ("file", "fine-tune", "processed")
    assert (made.filename, made.bytes) == ("my data.jsonl", len(data))
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).read() == data
    assert client.files.wait_for_processing(made.id) == made


def test_members_that_may_not_be_null_are_left_out(running: Service) -> None:
    with running.client() as client:
        found = raw(running, f"/v1/files/{upload(client)}").json()
    assert set(found) == {
        "id", "object", "bytes", "created_at", "filename", "purpose", "status"
    }  # fmt: skip


def test_lists_are_paged_newest_first(running: Service) -> None:
    with running.client() as client:
        ids = [upload(client) for _ in range(5)][::-1]
        assert [f.id for f in client.files.list(limit=2)][:5] == ids  # the client turns the pages
        first = client.files.list(limit=2)
        assert [f.id for f in first.data] == ids[:2]
        assert first.has_more
        rest = client.files.list(after=ids[1], limit=2, purpose="fine-tune")
        assert [f.id for f in rest.data] == ids[2:4]
        oldest = client.files.list(order="asc", limit=1).data[0]
        assert oldest.id not in ids[:4]
        assert client.files.list(purpose="fine-tune-results").data == []
    assert raw(running, "/v1/files?limit=2").json()["last_id"] == ids[1]


def test_a_deleted_file_is_gone(running: Service) -> None:
    with running.client() as client:
        file_id = upload(client)
        assert client.files.delete(file_id).deleted
        for call in (client.files.retrieve, client.files.content, client.files.delete):
            with pytest.raises(openai.NotFoundError) as refused:
                call(file_id)
            assert refused.value.body == {
                "message": f"No such File object: {file_id}",
                "type": "invalid_request_error",
                "param": "id",
                "code": None,
            }
    assert not running.store.file_path(file_id).exists()


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (b"", "a.jsonl", "File is empty."),
        (
            chat_file(12, bad={3: "{'messages': []}"}),
            "a.jsonl",
            "Invalid file format. Example 3 cannot be parsed. Error: line contains invalid json: ",
        ),
        (
            chat_file(12, bad={2: "[1, 2]"}),
            "a.jsonl",
            "Expected file to have JSONL format, where every line is a valid JSON dictionary. "
            'Line 2 is not a dictionary (HINT: line starts with: "[1...").',
        ),
        (b"question,answer\n1,2\n", "a.jsonl", "Expected file to have JSONL format, "),
        (json.dumps([{"messages": []}], indent=1).encode(), "a.jsonl", ""),
        (b"\xff\xfe{\x00}\x00", "a.jsonl", "Expected file to have JSONL format, "),
        (chat_file(), "a.json", "Invalid file format for Fine-Tuning API. Must be .jsonl"),
    ],
)
def test_what_is_no_jsonl_is_refused_at_upload(
    client: openai.OpenAI, data: bytes, name: str, words: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        upload(client, data, name)
    assert refused.value.body["message"].startswith(words)
    assert refused.value.body["code"] is None


def test_faults_inside_examples_are_taken_and_told_as_findings(running: Service) -> None:
    bad = chat_file(12, bad={4: {"messages": [], "weight": 1}, 9: {"text": "no"}})
    with running.client() as client:
        file_id = upload(client, bad, "wild.jsonl")
    found = httpx.get(f"{running.url}/v1/files/{file_id}/findings").json()  # as a browser opens it
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    [file] = found["files"]
    assert file["path"] == "wild.jsonl"
    assert {f["location"]["line"] for f in file["findings"]} >= {4, 9}


def test_findings_are_those_of_finegrade_data_check(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(chat_file(12, bad={4: {"messages": [], "weight": 1}, 9: {"text": "no"}}))
    report = check_file(path, model=None)
    assert document(report, str(path)) == to_json([report])


@pytest.mark.parametrize("purpose", ["assistants", "nonsense"])
def test_other_purposes_are_refused(client: openai.OpenAI, purpose: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.files.create(file=("a.jsonl", chat_file()), purpose=purpose)
    assert refused.value.body["param"] == "purpose"


def test_a_body_that_is_announced_too_large_is_refused_unread(running: Service) -> None:
    address = running.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=PATIENCE) as line:
        line.sendall(
            b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n"
            b"Content-Length: %d\r\n\r\n" % (2 * DATA_MAX_FILE_BYTES)
        )
        answer = line.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd.jsonl", "a/b\\c.jsonl", "ü\u202e.jsonl", "x" * 400 + ".jsonl"]
)
def test_a_name_is_only_a_name(running: Service, name: str) -> None:
    with running.client() as client:
        made = client.files.create(file=(name, chat_file()), purpose="fine-tune")
    assert "/" not in made.filename
    assert len(made.filename) <= 255
    assert running.store.file_path(made.id).is_file()
    wait_for(lambda: not list(running.store.home.glob("upload-*")))


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken"),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
    ],
)
def test_a_form_that_is_none_gets_the_envelope(
    running: Service, content_type: str, content: bytes
) -> None:
    answer = httpx.post(
        f"{running.url}/v1/files",
        content=content,
        headers={"Authorization": "Bearer sk-x", "Content-Type": content_type},
    )
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}

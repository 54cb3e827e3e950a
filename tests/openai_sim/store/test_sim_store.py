"""The store: what it was told is there again, whoever asks and whatever was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.paths import ROOT

from grader.core.errors import UsageError
from grader.openai_sim.store.store import (
    CheckpointRow,
    FileRow,
    JobRow,
    ModelRow,
    SimulatorStore,
    new_id,
)


def a_file(name: str = "train.jsonl") -> FileRow:
    return FileRow(new_id("file"), 3, 1, name, "fine-tune", "processed", "{}")


def a_job(**changes: object) -> JobRow:
    values = {"id": new_id("ftjob"), "model": "m", "created_at": 1, "training_file": "f", "seed": 1}
    return JobRow(**(values | changes))


@pytest.fixture
def store(tmp_path: Path) -> SimulatorStore:
    return SimulatorStore.open(tmp_path)


def test_what_was_written_is_read_back_by_another_store(store: SimulatorStore) -> None:
    file = store.add_file(a_file("ünï\u2028.jsonl"))
    job = store.add_job(
        a_job(hyperparameters={"n_epochs": "auto"}, metadata={"a": "b"}, result_files=("x",)), "Hi"
    )
    model = store.add_model(ModelRow("ft:m", 1, "me", "folder", job.id, True))
    checkpoint = store.add_checkpoint(
        CheckpointRow("ftckpt-1", job.id, 1, 5, "ft:m", {"step": 5.0})
    )
    again = SimulatorStore.open(store.home)
    assert again.get_file(file.id) == file
    assert again.get_job(job.id) == job
    assert again.get_model("ft:m") == model
    assert again.list_checkpoints(job.id) == [checkpoint]
    assert [event.message for event in again.list_events(job.id)] == ["Hi"]


def test_lists_go_on_after_an_id_and_are_newest_first(store: SimulatorStore) -> None:
    ids = [store.add_file(a_file()).id for _ in range(5)]
    assert [f.id for f in store.list_files()] == ids[::-1]
    assert [f.id for f in store.list_files(ids[3], 2)] == [ids[2], ids[1]]
    assert [f.id for f in store.list_files(ids[0], newest_first=False)] == ids[1:]
    assert store.list_files("file-none") == []


def test_a_change_with_a_condition_happens_once_among_many_threads(store: SimulatorStore) -> None:
    job = store.add_job(a_job(status="queued"))
    won: list[bool] = []

    def claim() -> None:
        won.append(store.update_job(job.id, if_status="queued", event="Started", status="running"))
        store.close()

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(won) == 1
    assert [event.message for event in store.list_events(job.id)] == ["Started"]


def test_the_queue_is_in_order_and_leaves_out_what_may_not_start(store: SimulatorStore) -> None:
    store.add_job(a_job(status="queued", fate="job-fails"))
    store.add_job(a_job(status="queued", not_before=4e9))
    first = store.add_job(a_job(status="queued"))
    store.add_job(a_job(status="queued"))
    assert store.next_queued(1e9) == first


def test_nothing_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from grader.openai_sim.store.store import *\n"
        f"store = SimulatorStore.open(Path({str(tmp_path)!r}))\n"
        "for i in range(10**6):\n"
        "    store.add_file(FileRow(f'file-{i}', 1, 1, 'a', 'fine-tune'))\n"
        "    print(i, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    said = [int(process.stdout.readline()) for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    said += [int(line) for line in process.stdout.read().split()]
    process.wait()
    process.stdout.close()
    store = SimulatorStore.open(tmp_path)
    assert all(store.get_file(f"file-{i}") is not None for i in said)
    store.add_file(a_file())


def test_a_store_of_another_version_is_refused(store: SimulatorStore) -> None:
    import sqlite3

    store.close()
    with sqlite3.connect(store.home / "sim.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(UsageError, match="version 99"):
        SimulatorStore.open(store.home)

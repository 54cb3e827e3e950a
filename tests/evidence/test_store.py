"""The store keeps what it was given: across reopening, kills and doubles."""

import multiprocessing
import os
import signal
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from support.waiting import PATIENCE

from grader.checks.api.context import AnswerTraits, Classmate
from grader.core.errors import GraderFault
from grader.core.nouns import Evidence
from grader.evidence.store import open_store, read_store


def evidence(key: str, text: str = "Paris") -> Evidence:
    return Evidence("predictions", key, {"answers": [{"id": "q1", "text": text}]}, {"seconds": 0.5})


def test_what_was_put_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "e.sqlite"
    with open_store(path) as store:
        store.put(evidence("k"))
    with open_store(path) as store:
        assert store.get("k") == evidence("k")
        assert store.get("other") is None


def test_the_first_evidence_of_a_key_stays(tmp_path: Path) -> None:
    with open_store(tmp_path / "e.sqlite") as store:
        store.put(evidence("k", "first"))
        store.put(evidence("k", "second"))
        assert store.get("k") == evidence("k", "first")


def test_the_register_keeps_the_adapters_of_each_students_last_submission(tmp_path: Path) -> None:
    traits = AnswerTraits("digest", b"\0\1\2\3", b"\4\5\6\7")
    two = [
        Classmate("a", "2026-03-01", (0.5,), b"\0\xff", traits),
        Classmate("a", "2026-03-01", (0.75,)),
    ]
    with open_store(tmp_path / "e.sqlite") as store:
        store.register("b", [Classmate("b", None, (1.0,))])
        store.register("a", two)
        store.register("b", [Classmate("b", "2026-03-02", (0.25,))])
        assert store.registered() == [*two, Classmate("b", "2026-03-02", (0.25,))]
        store.register("a", [])
        assert [mate.student for mate in store.registered()] == ["b"]


@pytest.mark.parametrize(
    ("stored", "sketches"), [("[0.5, 0.25]", [(0.5, 0.25)]), ("[[0.5], [0.25]]", [(0.5,), (0.25,)])]
)
def test_a_register_of_before_is_read(
    stored: str, sketches: list[tuple[float, ...]], tmp_path: Path
) -> None:
    with open_store(tmp_path / "e.sqlite") as store:
        store._write("INSERT INTO register VALUES (?, ?, ?)", ("a", None, stored))
        assert store.registered() == [Classmate("a", None, one) for one in sketches]


def test_reading_leaves_a_store_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "e.sqlite"
    with open_store(path) as store:
        store.put(evidence("k"))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with read_store(path) as store:
        assert store.get("k") == evidence("k")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_reading_sees_what_a_running_grader_has_put(tmp_path: Path) -> None:
    path = tmp_path / "e.sqlite"
    with open_store(path) as writing:
        writing.put(evidence("k"))
        with read_store(path) as store:
            assert store.get("k") == evidence("k")


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    with open_store(tmp_path / "e.sqlite") as store:
        store.put(evidence("k"))
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_a_file_that_is_no_store_is_a_grader_fault(tmp_path: Path) -> None:
    path = tmp_path / "e.sqlite"
    path.write_text("this is not a database, and long enough to be read as one" * 20)
    with pytest.raises(GraderFault, match=r"e\.sqlite"), open_store(path):
        pass


def _write_forever(path: Path, started: Event) -> None:
    with open_store(path) as store:
        for number in range(1_000_000):
            store.put(evidence(f"k{number}"))
            if number == 5:
                started.set()


def test_a_kill_in_the_middle_of_writing_loses_nothing_that_was_put(tmp_path: Path) -> None:
    path = tmp_path / "e.sqlite"
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    writer = context.Process(target=_write_forever, args=(path, started))
    writer.start()
    assert started.wait(PATIENCE)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    with open_store(path) as store:
        assert all(store.get(f"k{number}") == evidence(f"k{number}") for number in range(6))
        store.put(evidence("after"))
        assert store.get("after") is not None

"""The harvest of real folders: what is taken, what is refused, and that nothing leads outside."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grader.core.constants import HARVEST_MAX_DEPTH, HARVEST_MAX_REFUSED
from grader.sandbox import harvest as harvesting
from grader.sandbox.api import HarvestOnly, Limits
from grader.sandbox.harvest import Harvest, harvest, snapshot


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def taken(folder: Path, limits: Limits = Limits()) -> Harvest:  # noqa: B008 - frozen
    with opened(folder) as fd:
        return harvest(fd, {}, limits)


def refused(found: Harvest) -> dict[str, str]:
    return {one.path: one.why for one in found.refused}


def test_only_what_is_new_or_changed_is_taken(tmp_path: Path):
    for name in ("same", "longer", "rewritten", "touched", "deleted"):
        (tmp_path / name).write_text("old")
        os.utime(tmp_path / name, (1, 1))
    with opened(tmp_path) as fd:
        before = snapshot(fd)
        (tmp_path / "longer").write_text("older")
        (tmp_path / "rewritten").write_text("new")
        os.utime(tmp_path / "rewritten", (1, 1))  # the status change still shows it
        (tmp_path / "deleted").unlink()
        (tmp_path / "made").write_text("")
        assert harvest(fd, before, Limits()).files == {
            "longer": b"older",
            "rewritten": b"new",
            "made": b"",
        }


def test_a_file_moved_over_another_of_its_size_is_a_change(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (1, 1))
    with opened(tmp_path) as fd:
        before = snapshot(fd)
        (tmp_path / "a").replace(tmp_path / "b")
        assert harvest(fd, before, Limits()).files == {"b": b"a"}


def test_a_link_that_the_grader_laid_there_is_not_held_against_the_program(tmp_path: Path):
    (tmp_path / "large").symlink_to("/submission/large")
    with opened(tmp_path) as fd:
        before = snapshot(fd)
        assert refused(harvest(fd, before, Limits())) == {}
        (tmp_path / "large").unlink()
        (tmp_path / "large").symlink_to("/etc/passwd")
        assert refused(harvest(fd, before, Limits())) == {
            "large": "a symbolic link, not a regular file"
        }


def test_links_lead_nowhere(tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    box = tmp_path / "box"
    box.mkdir()
    (box / "file").symlink_to(outside / "secret")
    (box / "folder").symlink_to(outside)
    (box / "up").symlink_to("..")
    found = taken(box)
    assert found.files == {}
    assert set(refused(found)) == {"file", "folder", "up"}


def test_pipes_and_sockets_do_not_hold_it_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("door")
        assert refused(taken(tmp_path)) == {
            "pipe": "a named pipe, not a regular file",
            "door": "a socket, not a regular file",
        }


def test_the_number_of_files_is_limited(tmp_path: Path):
    for name in "abc":
        (tmp_path / name).write_text(name)
    found = taken(tmp_path, Limits(harvest_files=2))
    assert sorted(found.files) == ["a", "b"]
    assert refused(found) == {"c": "there are more than 2 files"}


def test_the_bytes_are_limited_together_and_a_hole_counts(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"x" * 60)
    (tmp_path / "b").write_bytes(b"x" * 60)
    (tmp_path / "c").write_bytes(b"x" * 40)
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(2**40)
    found = taken(tmp_path, Limits(harvest_bytes=100))
    assert sorted(found.files) == ["a", "c"]
    assert set(refused(found)) == {"b", "hole"}


def test_folders_too_deep_are_named(tmp_path: Path):
    deep = tmp_path.joinpath(*["d"] * (HARVEST_MAX_DEPTH + 2))
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    found = taken(tmp_path)
    assert found.files == {}
    assert refused(found) == {
        "/".join(["d"] * (HARVEST_MAX_DEPTH + 1)): "more than 16 folders below each other"
    }


def test_the_list_of_refusals_ends(tmp_path: Path):
    for at in range(HARVEST_MAX_REFUSED + 20):
        (tmp_path / f"{at:04}").symlink_to("x")
    found = taken(tmp_path)
    assert len(found.refused) == HARVEST_MAX_REFUSED + 1
    assert found.refused[-1].why == "and more"


def test_it_stops_looking_at_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(harvesting, "HARVEST_MAX_ENTRIES", 5)
    for at in range(9):
        (tmp_path / str(at)).write_text("x")
    found = taken(tmp_path)
    assert len(found.files) == 5
    assert refused(found) == {"": "more than 5 files and folders"}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contents=st.dictionaries(
        st.binary(min_size=1, max_size=30).filter(
            lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
        ),
        st.binary(max_size=50),
        max_size=6,
    )
)
def test_whatever_the_names_every_file_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[bytes, bytes]
):
    folder = tmp_path_factory.mktemp("names")
    for name, content in contents.items():
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(content)
    found = taken(folder)
    for path in found.files:
        path.encode("utf-8")  # no surrogates reach a report
    assert len(found.files) + len(found.refused) == len(contents)
    for name, content in contents.items():
        try:
            assert found.files[name.decode("utf-8")] == content
        except UnicodeDecodeError:
            assert name.decode("utf-8", "backslashreplace") in refused(found)


def test_only_what_is_read_is_taken_and_the_rest_is_named(tmp_path: Path) -> None:
    """A checkpoint of an honest program costs nothing, wherever it lies."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "results.json").write_bytes(b"{}")
    (tmp_path / "checkpoint.bin").write_bytes(b"x" * 1_000)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "results.json").write_bytes(b"x" * 100)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        found = harvest(fd, {}, Limits(), HarvestOnly("results.json", 100))
    finally:
        os.close(fd)
    assert found.files == {"a/results.json": b"{}"}
    assert {one.path: one.why for one in found.refused} == {
        "b/results.json": "all files together have more than 100 bytes",
        "checkpoint.bin": "nothing reads it (1000 bytes)",
    }

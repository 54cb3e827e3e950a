"""Lines of files: exact, bounded, and only of regular files."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.core.constants import DATA_BLOCK_BYTES, DATA_MAX_LINE_BYTES
from grader.training_data.read.lines import UnreadableFile, lines, open_data


@given(st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"\r")), max_size=40))
def test_lines_end_at_line_feeds_and_nowhere_else(tmp_path_factory, some: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    path.write_bytes(b"".join(raw + b"\n" for raw in some))
    assert [tuple(line) for line in lines(path)] == list(enumerate(some, 1))


def test_the_last_line_needs_no_line_feed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\n\xe2\x80\xa8two\x0b\rthree")
    assert [line.raw for line in lines(path)] == [b"one", b"\xe2\x80\xa8two\x0b\rthree"]


@pytest.mark.parametrize("around", [-2, -1, 0, 1, 2])
def test_lines_across_the_ends_of_blocks_stay_whole(tmp_path: Path, around: int) -> None:
    long = b"x" * (DATA_BLOCK_BYTES + around)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([b"a", long, b"b", long + long, b"c"]))
    assert [line.raw for line in lines(path)] == [b"a", long, b"b", long + long, b"c"]


def test_of_an_overlong_line_only_the_beginning_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(b"first\n")
        file.write(b"x" * (DATA_MAX_LINE_BYTES + 3 * DATA_BLOCK_BYTES))
        file.write(b"\nlast\n")
    read = list(lines(path))
    assert [line.number for line in read] == [1, 2, 3]
    assert len(read[1].raw) == DATA_MAX_LINE_BYTES + 1
    assert read[2].raw == b"last"


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link-to-pipe").symlink_to(tmp_path / "pipe")
    for name, words in (
        ("pipe", "a pipe"),
        ("link-to-pipe", "a pipe"),
        (".", "a folder"),
        ("missing", "No such file"),
        ("nul\0in-it", "not a valid"),
        ("/dev/zero", "a device"),
    ):
        with pytest.raises(UnreadableFile, match=words):
            open_data(tmp_path / name)


def test_a_link_to_ones_own_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"x\n")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "a.jsonl")
    assert [line.raw for line in lines(tmp_path / "link.jsonl")] == [b"x"]

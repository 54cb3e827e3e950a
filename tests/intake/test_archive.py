"""Archives: good ones of any maker are unpacked, hostile ones are refused under their own code."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.zips import Entry, deflated, zip_bytes

from grader.core.constants import MIB
from grader.core.errors import IntakeError
from grader.core.files import NotRegular
from grader.intake.archive import extract_zip

NOTE = Entry("notes.md", b"One note.\n")


def special(kind: int) -> Entry:
    return Entry("thing", b"/etc/passwd", mode=kind | 0o777)


def zip64_extra(*numbers: int) -> bytes:
    return struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers)


def overlapping() -> bytes:
    """Two entries of the central directory that share one local header (CVE-2024-0450)."""
    shared = Entry("b.md", b"One note.\n", offset=0)
    return zip_bytes([Entry("a.md", b"One note.\n"), shared])


def quoted() -> bytes:
    """A stored entry whose data holds another entry, header and all."""
    inner = zip_bytes([Entry("in.md", b"x" * 50)])[: 30 + 5 + len(deflated(b"x" * 50))]
    outer = Entry("out.md", inner, method=0)
    return zip_bytes([outer, Entry("in.md", b"x" * 50, offset=36)])


def with_bad_byte_in_data() -> bytes:
    data = bytearray(zip_bytes([Entry("notes.md", b"a" * 40, method=0)]))
    data[30 + 8 + 3] ^= 1
    return bytes(data)


HOSTILE = {
    "up one folder": ("LAY103", zip_bytes([Entry("../x", b"n")])),
    "up from inside": ("LAY103", zip_bytes([Entry("a/../../x", b"n")])),
    "up in a folder of junk": ("LAY103", zip_bytes([Entry("__MACOSX/../../x", b"n")])),
    "absolute": ("LAY103", zip_bytes([Entry("/etc/x", b"n")])),
    "drive": ("LAY103", zip_bytes([Entry("C:/x", b"n")])),
    "drive without slash": ("LAY103", zip_bytes([Entry("c:x", b"n")])),
    "backslash": ("LAY103", zip_bytes([Entry("a\\..\\x", b"n")])),
    "network share": ("LAY103", zip_bytes([Entry("\\\\host\\x", b"n")])),
    "parent behind a dot": ("LAY103", zip_bytes([Entry("./../x", b"n")])),
    "parent of a leftover": ("LAY103", zip_bytes([Entry("../__MACOSX/x", b"n")])),
    "one file twice": ("LAY108", zip_bytes([Entry("./x", b"n"), Entry("x", b"m")])),
    "no name": ("LAY103", zip_bytes([Entry("", b"n")])),
    "link": ("LAY104", zip_bytes([special(stat.S_IFLNK)])),
    "pipe": ("LAY104", zip_bytes([special(stat.S_IFIFO)])),
    "device": ("LAY104", zip_bytes([special(stat.S_IFCHR)])),
    "block device": ("LAY104", zip_bytes([special(stat.S_IFBLK)])),
    "socket": ("LAY104", zip_bytes([special(stat.S_IFSOCK)])),
    "declares a huge file": ("LAY105", zip_bytes([Entry("x", b"n", size=600 * MIB)])),
    "declares many large files": (
        "LAY105",
        zip_bytes([Entry(f"x{i}", b"n", size=400 * MIB) for i in range(3)]),
    ),
    "declares 2**60 bytes": (
        "LAY105",
        zip_bytes([Entry("x", b"n", size=0xFFFFFFFF, extra=zip64_extra(2**60), flags=8)]),
    ),
    "expands further than declared": (
        "LAY105",
        zip_bytes([Entry("x", b"n" * 10, packed=deflated(b"n" * 5000))]),
    ),
    "ratio": ("LAY106", zip_bytes([Entry("x", bytes(6 * MIB))])),
    "too many files": ("LAY107", zip_bytes([Entry(f"{i}", b"") for i in range(2001)])),
    "claims too many members": ("LAY107", zip_bytes([NOTE], count=60_000)),
    "case": ("LAY108", zip_bytes([Entry("Notes.md", b"1"), Entry("notes.MD", b"2")])),
    "case of a folder": ("LAY108", zip_bytes([Entry("A/x", b"1"), Entry("a/y", b"2")])),
    "composition": ("LAY108", zip_bytes([Entry("ö.md", b"1"), Entry("o\u0308.md", b"2")])),
    "the same name twice": ("LAY108", zip_bytes([NOTE, NOTE])),
    "file and folder": ("LAY108", zip_bytes([Entry("a", b"1"), Entry("a/b", b"2")])),
    "file and empty folder": ("LAY108", zip_bytes([Entry("a", b"1"), Entry("a/")])),
    "encrypted": ("LAY109", zip_bytes([Entry("x", b"n", flags=1)])),
    "strongly encrypted": ("LAY109", zip_bytes([Entry("x", b"n", flags=0x41)])),
    "shared header": ("LAY110", overlapping()),
    "entry inside an entry": ("LAY110", quoted()),
    "other local name": ("LAY110", zip_bytes([Entry("good.md", b"n", local_name=b"evil.md")])),
    "other local size": ("LAY110", zip_bytes([Entry("x", b"n", local_size=7)])),
    "other local method": ("LAY110", zip_bytes([Entry("x", b"n", local_method=0)])),
    "header elsewhere": ("LAY110", zip_bytes([Entry("x", b"n", offset=3)])),
    "offset that no file has": (
        "LAY110",
        zip_bytes([Entry("x", b"n", offset=0xFFFFFFFF, extra=zip64_extra(2**64 - 1))]),
    ),
    "reaches into the directory": (
        "LAY110",
        zip_bytes([NOTE])[:-22].replace(
            struct.pack("<2L", len(deflated(NOTE.data)), 10), struct.pack("<2L", 500, 10)
        )
        + zip_bytes([NOTE])[-22:],
    ),
    "bzip2": ("LAY111", zip_bytes([Entry("x", b"n", method=12)])),
    "LZMA": ("LAY111", zip_bytes([Entry("x", b"n", method=14)])),
    "unheard-of method": ("LAY111", zip_bytes([Entry("x", b"n", method=77)])),
    "too deep": ("LAY112", zip_bytes([Entry("d/" * 17 + "x", b"n")])),
    "too long": ("LAY112", zip_bytes([Entry("x" * 201, b"n")])),
    "too many bytes in one name": ("LAY112", zip_bytes([Entry("😀" * 70, b"n")])),
    "control character": ("LAY113", zip_bytes([Entry("a\x1b[2Jb", b"n")])),
    "newline": ("LAY113", zip_bytes([Entry("a\nb", b"n")])),
    "NUL": ("LAY113", zip_bytes([Entry("a\0b", b"n")])),
    "reversed text": ("LAY113", zip_bytes([Entry("a\u202egpj.exe", b"n")])),
    "wrong checksum": ("LAY102", zip_bytes([Entry("x", b"n", crc=5)])),
    "bad byte": ("LAY102", with_bad_byte_in_data()),
    "not deflate at all": ("LAY102", zip_bytes([Entry("x", b"n" * 9, packed=b"\xff" * 9)])),
    "deflate breaks off": (
        "LAY102",
        zip_bytes([Entry("x", b"n" * 900, packed=deflated(b"n" * 900)[:-2])]),
    ),
    "shorter than declared": (
        "LAY102",
        zip_bytes([Entry("x", b"n" * 9, packed=deflated(b"n" * 5))]),
    ),
    "data behind deflate's end": (
        "LAY102",
        zip_bytes([Entry("x", b"n" * 9, packed=deflated(b"n" * 9) + b"more")]),
    ),
    "folder with data": ("LAY102", zip_bytes([Entry("a/", b"n", mode=0o040755)])),
    "nothing": ("LAY101", b""),
    "text": ("LAY101", b"<html>Log in first</html>" * 40),
    "cut off": ("LAY101", zip_bytes([NOTE, Entry("x", bytes(90), method=0)])[:-30]),
    "data behind the end": ("LAY101", zip_bytes([NOTE], suffix=b"more")),
    "moved": ("LAY101", b"MZ program" + zip_bytes([NOTE])),
    "fewer entries than the directory": ("LAY101", zip_bytes([NOTE, Entry("x")], count=1)),
    "more entries than the directory": ("LAY101", zip_bytes([NOTE], count=2)),
    "name is not UTF-8 though it says so": (
        "LAY101",
        zip_bytes([Entry(b"\xff\xfe", b"n", flags=0x800)]),
    ),
    "zip64 field missing": ("LAY101", zip_bytes([Entry("x", b"n", size=0xFFFFFFFF, flags=8)])),
}


def unpack(data: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "s01.zip"
    path.write_bytes(data)
    extract_zip(path, tmp_path / "out")
    return tmp_path / "out"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_refuses_under_its_own_code_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    code, data = HOSTILE[name]
    with pytest.raises(IntakeError) as caught:
        unpack(data, tmp_path)
    assert caught.value.code == code
    assert caught.value.hint
    assert caught.value.message.isprintable()
    assert str(tmp_path) not in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["s01.zip"]


def test_unpacks_what_python_packs(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("work")
        archive.writestr("work/a.txt", "a" * 100_000)
        archive.writestr("work/deep/b.bin", bytes(range(256)))
        archive.writestr("empty.txt", "")
    out = unpack(buffer.getvalue(), tmp_path)
    assert contents(out) == {
        "empty.txt": b"",
        "work/a.txt": b"a" * 100_000,
        "work/deep/b.bin": bytes(range(256)),
    }


def test_unpacks_a_streamed_zip64_archive(tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    with (
        zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(zipfile.ZipInfo("a.txt"), "w", force_zip64=True) as file,
    ):
        file.write(b"streamed")
    assert contents(unpack(pipe.data, tmp_path)) == {"a.txt": b"streamed"}


def test_expands_contents_larger_than_one_piece(tmp_path: Path) -> None:
    data = b"0123456789abcdef" * (3 * MIB // 16) + bytes(900_001)
    out = unpack(zip_bytes([Entry("large.txt", data)]), tmp_path)
    assert (out / "large.txt").read_bytes() == data


def test_files_and_folders_are_for_the_grader_alone(tmp_path: Path) -> None:
    out = unpack(zip_bytes([Entry("a/x.sh", b"n", mode=0o104777)]), tmp_path)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert stat.S_IMODE((out / "a").stat().st_mode) == 0o700
    assert stat.S_IMODE((out / "a" / "x.sh").stat().st_mode) == 0o600


def test_leaves_out_what_tools_leave_behind(tmp_path: Path) -> None:
    junk = [
        Entry("__MACOSX/._notes.md", b"n"),
        Entry("a/.DS_Store", b"n"),
        Entry("Thumbs.db", b"n"),
        Entry(".venv/bin/python", b"/usr/bin/python3", mode=stat.S_IFLNK | 0o777),
        Entry(".git/config", b"n"),
    ]
    assert contents(unpack(zip_bytes([NOTE, *junk]), tmp_path)) == {"notes.md": NOTE.data}


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("./a/x.py", "a/x.py"),
        ("././x.py", "x.py"),
        ("a//x.py", "a/x.py"),
        ("a/./x.py", "a/x.py"),
        ("a\\b\\x.py", "a/b/x.py"),
        ("課題\\x.py".encode("cp932"), "課題/x.py"),
        ("レポート表.md".encode("cp932"), "レポート表.md"),
        ("größe über.md".encode("cp437"), "größe über.md"),
        ("España.md".encode("cp437"), "España.md"),
        ("\u0644\u200c\u0631.md", "\u0644\u200c\u0631.md"),
        ("\U0001f468\u200d\U0001f393.md", "\U0001f468\u200d\U0001f393.md"),
    ],
)
def test_a_harmless_name_is_read_as_it_is_meant(
    tmp_path: Path, name: str | bytes, read: str
) -> None:
    folder = Entry("./", b"")
    assert set(contents(unpack(zip_bytes([folder, Entry(name, b"n")]), tmp_path))) == {read}


@pytest.mark.parametrize(
    "name", ["Icon\r", "._x.py", "a/._x.bin", "__MACOSX/._x", "a/.DS_Store", ".idea/x"]
)
def test_what_systems_leave_behind_is_left_out(tmp_path: Path, name: str) -> None:
    out = unpack(zip_bytes([Entry(name, b"n"), Entry("x.py", b"n")]), tmp_path)
    assert set(contents(out)) == {"x.py"}


@pytest.mark.parametrize("name", ["ad\u200dmin.py", "\u200dx.py", "x\u200c.py", "a\u202eb.py"])
def test_a_character_that_hides_in_a_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(IntakeError) as refused:
        unpack(zip_bytes([Entry(name, b"n")]), tmp_path)
    assert refused.value.code == "LAY113"


def test_reads_old_names_and_a_comment(tmp_path: Path) -> None:
    old = Entry("n\x94tes.md".encode("latin-1"), b"n")
    out = unpack(zip_bytes([old, Entry("ä.md", b"n")], comment=b"made by hand"), tmp_path)
    assert set(contents(out)) == {"nötes.md", "ä.md"}


def test_does_not_write_over_anything(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError):
        unpack(zip_bytes([NOTE]), tmp_path)


def test_does_not_follow_a_link_to_an_archive(tmp_path: Path) -> None:
    (tmp_path / "real.zip").write_bytes(zip_bytes([NOTE]))
    (tmp_path / "s01.zip").symlink_to("real.zip")
    with pytest.raises(NotRegular):
        extract_zip(tmp_path / "s01.zip", tmp_path / "out")


GOOD = zip_bytes([NOTE, Entry("a/b.txt", b"b" * 300), Entry("c.txt", b"c", method=0, flags=8)])


@settings(max_examples=300)
@given(st.data())
def test_any_damage_is_refused_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(GOOD) - 1))] = data.draw(st.integers(0, 255))
    tmp_path = tmp_path_factory.mktemp("damaged")
    try:
        out = unpack(bytes(damaged), tmp_path)
    except IntakeError:
        assert not (tmp_path / "out").exists()
    else:
        written = contents(out)
        assert set(written.values()) <= {NOTE.data, b"b" * 300, b"c"}


def _second_name(raw: bytes, name: str, *, crc: int | None = None) -> bytes:
    found = zlib.crc32(raw) if crc is None else crc
    field = b"\x01" + found.to_bytes(4, "little") + name.encode()
    return struct.pack("<2H", 0x7075, len(field)) + field


@pytest.mark.parametrize(
    ("raw", "second", "crc"),
    [(b"notes.md", "bob.py", None), (b"notes.md", "bob.py", 7), (b"M\x81ller.md", "bob.py", 7)],
)
def test_a_second_name_that_is_another_one_is_refused(
    raw: bytes, second: str, crc: int | None, tmp_path: Path
) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zip_bytes([Entry(raw, b"x", extra=_second_name(raw, second, crc=crc))]))
    with pytest.raises(IntakeError) as caught:
        extract_zip(archive, tmp_path / "out")
    assert caught.value.code == "LAY110"


def test_a_second_name_says_what_an_old_code_page_cannot(tmp_path: Path) -> None:
    raw = "отчёт.md".encode("cp866")
    archive = tmp_path / "a.zip"
    archive.write_bytes(zip_bytes([Entry(raw, b"x", extra=_second_name(raw, "отчёт.md"))]))
    extract_zip(archive, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["отчёт.md"]

"""Writes tests/fixtures/<CODE>/{pass,fail}/ for LAY, ADP, EVL and INT: always the same bytes.

Each folder is a small class: its folders and archives are submissions. Run it from the repository
root with `python tests/make_fixtures.py` after a change and commit what it writes.
"""

from __future__ import annotations

import json
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from adapter_builder import WIDTH, config, pair, random_pair, safetensors, write_adapter
from evidence_builder import evidence
from zip_builder import Entry, zip_bytes

from grader.constants import INTAKE_MAX_DEPTH, INTAKE_MAX_STUDENT_CHARS, MIB

Writer = Callable[[Path], None]
PASS, FAIL = "pass", "fail"
_NOTE = Entry("notes.md", b"One note.\n")

_DELIVERABLES = (
    "dspy_enhanced.py",
    "dspy_report.md",
    "openai_domain_finetune.py",
    "openai_train.jsonl",
    "cost_analysis.md",
    "huggingface_custom_lora.py",
    "inference.py",
    "metrics.json",
    "comparative_analysis.md",
    "reflection.md",
)


def _files(*names: str, adapter: bool = True) -> Writer:
    """One submission with these files, each a line of text, and a good adapter."""

    def write(folder: Path) -> None:
        for name in names:
            path = folder / "s01" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# {path.name}\n")
        if adapter:
            write_adapter(folder / "s01" / "adapter")

    return write


def _without(*names: str) -> Writer:
    return _files(*(name for name in _DELIVERABLES if name not in names))


def _zip(*entries: Entry, **options: object) -> Writer:
    """One submission that is this archive."""

    def write(folder: Path) -> None:
        (folder / "s01.zip").write_bytes(zip_bytes(entries, **options))  # type: ignore[arg-type]

    return write


def _raw(data: bytes) -> Writer:
    return lambda folder: (folder / "s01.zip").write_bytes(data) and None


def _adapter(**options: object) -> Writer:
    """One submission with this adapter and nothing else."""

    def write(folder: Path) -> None:
        write_adapter(folder / "s01" / "adapter", **options)  # type: ignore[arg-type]
        (folder / "s01" / "readme.md").write_text("An adapter.\n")

    return write


def _pickle_beside(folder: Path) -> None:
    _adapter()(folder)
    (folder / "s01" / "adapter" / "optimizer.pt").write_bytes(b"\x80\x02N.")


def _pickle_instead(folder: Path) -> None:
    _adapter()(folder)
    here = folder / "s01" / "adapter"
    (here / "adapter_model.safetensors").unlink()
    (here / "adapter_model.bin").write_bytes(b"\x80\x02N.")


def _class_of_two(second_seed: int) -> Writer:
    """Two submissions with times; the second is a copy when the seed is 0 as well."""

    def write(folder: Path) -> None:
        for student, seed in (("s01-first", 0), ("s02-second", second_seed)):
            write_adapter(folder / student / "adapter", seed=seed)
            (folder / student / "readme.md").write_text("An adapter.\n")
        (folder / "submissions.csv").write_text(
            "student,submitted_at\n"
            "s01-first,2026-03-01T10:00:00+00:00\n"
            "s02-second,2026-03-02T10:00:00+00:00\n"
        )

    return write


def _same_student(folder: Path) -> None:
    _files("notes.md", adapter=False)(folder)
    _zip(_NOTE)(folder)


def _named(name: str) -> Writer:
    return lambda folder: (folder / name).write_bytes(zip_bytes([_NOTE])) and None


_A, _B = random_pair()
_NAN = _A.copy()
_NAN[0, 0] = np.nan
_HEADER_CUT = safetensors(pair(_A, _B))[:-1]
_WIDE = np.ones((2, WIDTH + 1), np.float32)
_ALL = _files(*_DELIVERABLES)
_LINK = Entry("notes.md", b"/etc/passwd", mode=stat.S_IFLNK | 0o777)
_SHARED = Entry("two.md", b"One note.\n", offset=0, local_name=b"two.md")


def _evaluated(right: int, *, claimed: float = 0.9, loglik_wrong: float = -5.0) -> Writer:
    """A submission whose adapter answered `right` of 100; evidence stands in a dot file."""

    def write(folder: Path) -> None:
        _files("huggingface_custom_lora.py", "inference.py")(folder)
        claims = {"before": {"exact_match": 0.0}, "after": {"exact_match": claimed}}
        (folder / "s01" / "metrics.json").write_text(json.dumps(claims) + "\n")
        runs = {"before": evidence(0), "after": evidence(right, loglik_wrong=loglik_wrong)}
        found = {id: [run.payload, run.cost] for id, run in runs.items()}
        (folder / ".evidence.json").write_text(json.dumps(found) + "\n")

    return write


FIXTURES: dict[str, tuple[Writer, Writer]] = {
    "LAY001": (_ALL, _files("homework.txt", adapter=False)),
    "LAY002": (_ALL, _files("old/reflection.md", "new/reflection.md", "notes.md")),
    "LAY003": (_without("dspy_report.md"), _without("dspy_report.md", "metrics.json")),
    "LAY010": (_ALL, _without("dspy_report.md")),
    "LAY020": (_ALL, _without("openai_train.jsonl")),
    "LAY030": (_ALL, _without("inference.py")),
    "LAY040": (_ALL, _without("comparative_analysis.md")),
    "LAY041": (_ALL, _without("reflection.md")),
    "LAY101": (_zip(_NOTE, comment=b"of s01"), _raw(b"Rar!\x1a\x07\x01\x00 not a zip")),
    "LAY102": (_zip(_NOTE), _zip(Entry("notes.md", b"One note.\n", crc=1))),
    "LAY103": (_zip(Entry("work/..notes.md", b"n")), _zip(Entry("../notes.md", b"n"))),
    "LAY104": (_zip(_NOTE), _zip(_LINK)),
    "LAY105": (_zip(_NOTE), _zip(Entry("notes.md", b"n", method=0, size=2048 * MIB))),
    "LAY106": (
        _zip(Entry("zeros.txt", bytes(3 * MIB))),
        _zip(Entry("zeros.txt", bytes(5 * MIB))),
    ),
    "LAY107": (_zip(_NOTE), _zip(_NOTE, count=60_000)),
    "LAY108": (
        _zip(Entry("a/notes.md", b"1"), Entry("b/Notes.md", b"2")),
        _zip(Entry("notes.md", b"1"), Entry("Notes.md", b"2")),
    ),
    "LAY109": (_zip(_NOTE), _zip(Entry("notes.md", b"One note.\n", flags=1))),
    "LAY110": (_zip(Entry("notes.md", b"n", flags=8)), _zip(_NOTE, _SHARED)),
    "LAY111": (_zip(Entry("notes.md", b"n", method=0)), _zip(Entry("notes.md", b"n", method=14))),
    "LAY112": (
        _zip(Entry("d/" * INTAKE_MAX_DEPTH + "notes.md", b"n")),
        _zip(Entry("d/" * (INTAKE_MAX_DEPTH + 1) + "notes.md", b"n")),
    ),
    "LAY113": (_zip(Entry("nötes.md", b"n")), _zip(Entry("notes\u202edm.exe", b"n"))),
    "LAY114": (_zip(_NOTE), _zip(Entry("__MACOSX/._notes.md", b"n"), Entry(".DS_Store", b"n"))),
    "LAY115": (_zip(_NOTE), _same_student),
    "LAY116": (
        _named("s" * INTAKE_MAX_STUDENT_CHARS + ".zip"),
        _named("s" * (INTAKE_MAX_STUDENT_CHARS + 1) + ".zip"),
    ),
    "ADP001": (_adapter(), _pickle_instead),
    "ADP002": (_adapter(), _adapter(settings=config(target_modules=".*_proj"))),
    "ADP003": (_adapter(), _adapter(weights=_HEADER_CUT)),
    "ADP004": (
        _adapter(weights=safetensors(pair(_A, _B, suffix=".default"))),
        _adapter(weights=safetensors(pair(_A, _B)[:1])),
    ),
    "ADP005": (_adapter(), _adapter(weights=safetensors(pair(_WIDE, _B)))),
    "ADP006": (_adapter(), _adapter(settings=config(r=65))),
    "ADP007": (_adapter(), _adapter(weights=safetensors(pair(_NAN, _B)))),
    "ADP008": (
        _adapter(settings=config(base_model_name_or_path="C:\\kit\\course-model\\")),
        _adapter(settings=config(base_model_name_or_path="other/tiny-model")),
    ),
    "ADP009": (
        _adapter(settings=config(use_rslora=True)),
        _adapter(settings=config(use_dora=True)),
    ),
    "ADP010": (_adapter(), _adapter(weights=safetensors(pair(_A, np.zeros_like(_B))))),
    "ADP011": (_adapter(), _pickle_beside),
    "EVL001": (_evaluated(90), _evaluated(0)),
    "EVL002": (_evaluated(90), _evaluated(0, loglik_wrong=-6.0)),
    "EVL004": (_evaluated(90), _evaluated(90, claimed=0.5)),
    "INT001": (_class_of_two(1), _class_of_two(0)),
}


def write_all(root: Path) -> None:
    """Write every fixture below `root`, replacing those of these codes."""
    for code, writers in FIXTURES.items():
        shutil.rmtree(root / code, ignore_errors=True)
        for outcome, write in zip((PASS, FAIL), writers, strict=True):
            folder = root / code / outcome
            folder.mkdir(parents=True)
            write(folder)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    write_all(Path(__file__).parent / "fixtures")

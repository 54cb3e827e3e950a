"""Writers of small classes that examples are made of.

A writer fills an empty folder with submissions, as folders and archives, and returns the evidence
that was collected of them, by its id in the assignment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from grader.core.nouns import Evidence
from support.adapters import write_adapter
from support.transcripts import TEST, TRAIN
from support.zips import Entry, zip_bytes

Writer = Callable[[Path], Mapping[str, Evidence]]
Examples = Mapping[str, tuple[Writer, Writer]]
"""By code: a class in which all submissions satisfy it, and one in which at least one does not."""

NO_EVIDENCE: Final[Mapping[str, Evidence]] = {}

DELIVERABLES: Final = (
    "dspy_enhanced.py",
    "dspy_report.md",
    "openai_domain_finetune.py",
    "openai_train.jsonl",
    "openai_test.jsonl",
    "cost_analysis.md",
    "cost_analysis.json",
    "huggingface_custom_lora.py",
    "inference.py",
    "metrics.json",
    "comparative_analysis.md",
    "reflection.md",
)


def with_files(*names: str, adapter: bool = True) -> Writer:
    """One submission with these files, each a line of text, and a good adapter."""

    def write(folder: Path) -> Mapping[str, Evidence]:
        for name in names:
            path = folder / "s01" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# {path.name}\n")
        if adapter:
            write_adapter(folder / "s01" / "adapter")
        return NO_EVIDENCE

    return write


def complete_without(*names: str, adapter: bool = True) -> Writer:
    """One submission with every deliverable but these."""
    return with_files(*(name for name in DELIVERABLES if name not in names), adapter=adapter)


COMPLETE: Final = with_files(*DELIVERABLES)


def archive(*entries: Entry, **options: object) -> Writer:
    """One submission that is this archive."""
    return raw_archive(zip_bytes(entries, **options))  # type: ignore[arg-type]


def raw_archive(data: bytes, name: str = "s01.zip") -> Writer:
    """One submission in a file of this name."""

    def write(folder: Path) -> Mapping[str, Evidence]:
        (folder / name).write_bytes(data)
        return NO_EVIDENCE

    return write


def ran(
    id: str = "", run: Evidence | None = None, *, test: str = TEST, train: str = TRAIN
) -> Writer:
    """A submission of Part 2 with these data files, whose workflow did this in one scenario."""

    def write(folder: Path) -> Mapping[str, Evidence]:
        with_files("openai_domain_finetune.py", adapter=False)(folder)
        (folder / "s01" / "openai_train.jsonl").write_text(train)
        (folder / "s01" / "openai_test.jsonl").write_text(test)
        return {} if run is None else {id: run}

    return write

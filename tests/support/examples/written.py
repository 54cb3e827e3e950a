"""Examples of DOC and TOK, and of notebooks: written work, and the numbers in it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from grader.core.nouns import Evidence
from support.examples.writers import (
    NO_EVIDENCE,
    Examples,
    Writer,
    complete_without,
)
from support.notebooks import notebook
from support.paths import SOLUTION, STARTER
from support.written_work import read, unread


def _written(name: str, data: bytes, evidence: Evidence | None = None) -> Writer:
    """A complete submission in which this document is so; `evidence` says what was read of it."""

    def write(folder: Path) -> Mapping[str, Evidence]:
        id = name.partition(".")[0]
        complete_without(f"{id}.md", adapter=False)(folder)
        (folder / "s01" / name).write_bytes(data)
        seen = evidence or read(folder / "s01", name)
        return {f"{id.removeprefix('comparative_')}_text": seen}

    return write


def _about(document: str, words: int) -> Writer:
    return _written(f"{document}.md", b"# A title\n\n" + b"A word. " * (words // 2))


def _half_written() -> bytes:
    """The kit's reflection with text below its first heading alone."""
    template = (STARTER / "llm-methods" / "reflection.md").read_text()
    return re.sub("_Write here: .*_", "I expected more than I got.", template, count=1).encode()


def _notebook(name: str, data: bytes) -> Writer:
    """A complete submission with this notebook in a script's place."""

    def write(folder: Path) -> Mapping[str, Evidence]:
        complete_without(f"{name}.py", adapter=False)(folder)
        (folder / "s01" / f"{name}.ipynb").write_bytes(data)
        return NO_EVIDENCE

    return write


def _costs(**changes: object) -> Writer:
    """One submission with the solution's dataset and numbers, some of them changed.

    A name such as `training__usd` is a path into the numbers.
    """

    def write(folder: Path) -> Mapping[str, Evidence]:
        home = folder / "s01"
        home.mkdir()
        shutil.copyfile(SOLUTION / "openai_train.jsonl", home / "openai_train.jsonl")
        numbers = json.loads((SOLUTION / "cost_analysis.json").read_text())
        for name, value in changes.items():
            *path, last = name.split("__")
            at = numbers
            for step in path:
                at = at[step]
            at[last] = value
        (home / "cost_analysis.json").write_text(json.dumps(numbers, indent=2) + "\n")
        return NO_EVIDENCE

    return write


_PDF = b"%PDF-1.7\n%%EOF\n"

_SOME_WORDS = _about("reflection", 300)

_WORKS = notebook("md:# My work", "%pip install dspy", "x = 1\nprint(x)")

_CUT = _WORKS[: len(_WORKS) // 2]


EXAMPLES: Examples = {
    "DOC001": (_about("comparative_analysis", 900), _written("comparative_analysis.md", b"\xff")),
    "DOC002": (_about("reflection", 300), _written("reflection.md", b"\xff")),
    "DOC003": (_about("dspy_report", 300), _written("dspy_report.md", b"\xff")),
    "DOC004": (_about("cost_analysis", 300), _written("cost_analysis.md", b"\xff")),
    "DOC010": (_about("comparative_analysis", 900), _about("comparative_analysis", 50)),
    "DOC011": (_about("reflection", 300), _about("reflection", 3_000)),
    "DOC101": (_SOME_WORDS, _written("reflection.pdf", b"<html>A page.</html>\n")),
    "DOC102": (_SOME_WORDS, _written("reflection.md", b"Caf\xe9\n")),
    "DOC103": (_SOME_WORDS, _written("reflection.pdf", _PDF, unread("reflection.pdf", "DOC103"))),
    "DOC104": (_SOME_WORDS, _written("reflection.md", b"\n")),
    "DOC105": (_SOME_WORDS, _written("reflection.pdf", _PDF, unread("reflection.pdf", "DOC105"))),
    "DOC106": (_SOME_WORDS, _written("reflection.md", _half_written())),
    "SRC012": (_notebook("dspy_enhanced", _WORKS), _notebook("dspy_enhanced", _CUT)),
    "SRC013": (
        _notebook("openai_domain_finetune", _WORKS),
        _notebook("openai_domain_finetune", _CUT),
    ),
    "SRC101": (_notebook("inference", _WORKS), _notebook("inference", _CUT)),
    "SRC102": (_notebook("inference", _WORKS), _notebook("inference", notebook("md:No code."))),
    "SRC103": (
        _notebook("inference", _WORKS),
        _notebook("inference", notebook("x = 1", "!python train.py")),
    ),
    "TOK101": (_costs(), _costs(break_even="many")),
    "TOK102": (_costs(), _costs(training__tokens_per_epoch=500)),
    "TOK103": (_costs(), _costs(training__billed_tokens=573)),
    "TOK104": (_costs(), _costs(training__usd=16.175)),
    "TOK105": (_costs(), _costs(prices__training=3)),
    "TOK106": (_costs(), _costs(per_query__base__shots=0)),
    "TOK107": (_costs(), _costs(per_query__tuned__usd=0.0000144)),
    "TOK108": (_costs(), _costs(break_even="never")),
    "TOK109": (_costs(), _costs(retirement__pays_before=True)),
}

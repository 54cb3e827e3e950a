"""The card of the course model: its measures as JSON and as tables, for scripts/course_model.py."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from grader.core.constants import SHIPPED_BASES

KNOWLEDGE_NAME, READER_NAME, CHAT_NAME = SHIPPED_BASES
WEIGHTS: Final = "model.safetensors"
SIZES: Final = (6, 12, 24, 50, 100, 200)  # training examples
RATES: Final = (1e-5, 1e-4, 1e-3, 5e-3, 2e-2, 1e-1)  # learning rates
REPEATS: Final = (0, 1, 2)  # data and training seeds
TABLES_START: Final = "<!-- measures: start -->"  # what `measure` replaces in the card
TABLES_END: Final = "<!-- measures: end -->"


def write_card(out: Path, measures: dict[str, Any]) -> None:
    """Writes what was measured of the weights in `out`: measures.json and the card's tables."""
    folder = out / KNOWLEDGE_NAME
    weights = {name: sha256(out / name / WEIGHTS) for name in SHIPPED_BASES}
    sizes = {name: round(megabytes(out / name), 2) for name in SHIPPED_BASES}
    measures = {"weights_sha256": weights, "folder_mb": sizes} | {
        name: value
        for name, value in measures.items()
        if name not in ("weights_sha256", "folder_mb")
    }
    text = json.dumps(measures, indent=1)
    (folder / "measures.json").write_text(text + "\n", encoding="utf-8")
    card = folder / "README.md"
    before, _, rest = card.read_text(encoding="utf-8").partition(TABLES_START)
    _, _, after = rest.partition(TABLES_END)
    tables_text = f"{TABLES_START}\n{tables(measures)}\n{TABLES_END}"
    card.write_text(before + tables_text + after, encoding="utf-8")
    print(tables(measures))


def megabytes(folder: Path) -> float:
    """What the files of a folder weigh, in 10^6 bytes."""
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e6


def tables(m: dict[str, Any]) -> str:
    """The measures as Markdown."""
    names = list(m["topics"])
    lines = [
        f"`{name}`: weights SHA-256 `{digest}`, folder {m['folder_mb'][name]} MB.\n"
        for name, digest in m["weights_sha256"].items()
    ]
    lines += [
        f"Loading model and tokenizer takes {m['load_seconds']} s (median of 3, imports excluded).",
        "",
        "| chat, hidden EM / F1 in % | " + " | ".join(names) + " |",
        "|---" * (1 + len(names)) + "|",
    ]

    def row(title: str, cell: Callable[[dict[str, Any]], str]) -> None:
        lines.append(f"| {title} | " + " | ".join(cell(m["topics"][n]) for n in names) + " |")

    row("as shipped (worst of the sets)", lambda t: f"{t['base']['em']}")
    row("commonest answer per kind", lambda t: f"{t['base']['guess_em']}")
    for i in REPEATS:
        row(f"LoRA on all public examples, seed {i}", partial(lambda i, t: trained(t["all"][i]), i))
    for n in map(str, SIZES):
        row(
            f"LoRA on {n} examples: mean EM (each seed)",
            partial(lambda n, t: spread(t["examples"][n]), n),
        )
    for rate in (f"{r:g}" for r in RATES):
        row(f"learning rate {rate}: EM", partial(lambda r, t: str(t["learning_rate"][r]), rate))
    for v in m["topics"][names[0]]["variants"]:
        row(v, partial(lambda v, t: trained(t["variants"][v]), v))
    columns = list(next(iter(m["reading"].values())))
    lines += ["", "| DSPy request, no adapter, EM in % | " + " | ".join(columns) + " |"]
    lines.append("|---" * (1 + len(columns)) + "|")
    for name, cells in m["reading"].items():
        lines.append(f"| {name} | " + " | ".join(str(cells[c]) for c in columns) + " |")
    for model, rows in m["prompting"].items():
        lines += [
            "",
            f"| `{model}`, DSPy request, educational-qa | EM in %: mean (each) |",
            "|---|---|",
        ]
        lines += [f"| {name} | {spread(scores)} |" for name, scores in rows.items()]
    return "\n".join(lines)


def trained(run: dict[str, float]) -> str:
    """One training run as a table cell."""
    return f"{run['em']} / {run['f1']} ({run['seconds']} s)"


def spread(scores: Sequence[float]) -> str:
    """Several scores as a table cell."""
    return f"{statistics.mean(scores):.1f} ({', '.join(map(str, scores))})"


def sha256(file: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()

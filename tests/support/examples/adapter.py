"""Examples of ADP and INT: adapter files, and copies of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from grader.core.nouns import Evidence
from support.adapters import WIDTH, config, pair, random_pair, safetensors, write_adapter
from support.examples.writers import (
    NO_EVIDENCE,
    Examples,
    Writer,
)

_A, _B = random_pair()
_NAN = _A.copy()
_NAN[0, 0] = np.nan

_HEADER_CUT = safetensors(pair(_A, _B))[:-1]

_WIDE = np.ones((2, WIDTH + 1), np.float32)


def _adapter(**options: object) -> Writer:
    """One submission with this adapter and nothing else."""

    def write(folder: Path) -> Mapping[str, Evidence]:
        write_adapter(folder / "s01" / "adapter", **options)  # type: ignore[arg-type]
        (folder / "s01" / "readme.md").write_text("An adapter.\n")
        return NO_EVIDENCE

    return write


def _pickle_beside(folder: Path) -> Mapping[str, Evidence]:
    _adapter()(folder)
    (folder / "s01" / "adapter" / "optimizer.pt").write_bytes(b"\x80\x02N.")
    return NO_EVIDENCE


def _pickle_instead(folder: Path) -> Mapping[str, Evidence]:
    _adapter()(folder)
    here = folder / "s01" / "adapter"
    (here / "adapter_model.safetensors").unlink()
    (here / "adapter_model.bin").write_bytes(b"\x80\x02N.")
    return NO_EVIDENCE


def _class_of_two(second_seed: int) -> Writer:
    """Two submissions with times; the second is a copy when the seed is 0 as well."""

    def write(folder: Path) -> Mapping[str, Evidence]:
        for student, seed in (("s01-first", 0), ("s02-second", second_seed)):
            write_adapter(folder / student / "adapter", seed=seed)
            (folder / student / "readme.md").write_text("An adapter.\n")
        (folder / "submissions.csv").write_text(
            "student,submitted_at\n"
            "s01-first,2026-03-01T10:00:00+00:00\n"
            "s02-second,2026-03-02T10:00:00+00:00\n"
        )
        return NO_EVIDENCE

    return write


EXAMPLES: Examples = {
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
    "INT001": (_class_of_two(1), _class_of_two(0)),
}

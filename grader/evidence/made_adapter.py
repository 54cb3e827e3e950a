"""Adapters that runs made: kept in the store beside the run's evidence, and read by `predictions`.

A run may train the model of a fine-tuning job, or save an adapter itself. What it made is stored
as evidence of its own, whose key follows from the run's, so that it can be asked questions in a
later grading, or a replay, without the program, the service or the training. Its producer puts it
before the run's evidence: where the run is known, so is what it made.

Nothing of it is trusted more than a submitted adapter: the same steps read both.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from grader.core.errors import FileRefused, GraderFault
from grader.core.nouns import BaseModel, Evidence, Submission, SubmittedFile
from grader.core.payloads import Payload, read
from grader.core.temporary import prefix
from grader.evidence.kind import hashed
from grader.models.adapter_config import CONFIG_FILE, read_config
from grader.models.adapter_files import (
    WEIGHTS_FILE,
    AdapterFiles,
    check_shapes,
    pair_up,
    read_adapter,
    read_entries,
)
from grader.models.base_profile import profile_for

NAME: Final = "made_adapter"
FILES: Final = (CONFIG_FILE, WEIGHTS_FILE)
"""The names of the files of an adapter that are kept."""

_FOLDER: Final = "adapter"


@dataclass(frozen=True, slots=True)
class MadeAdapter(Payload):
    """The adapter that a run made: its FILES in base64, none where it made no adapter.

    `name` is that of the job's model, or of the folder in which the program saved it.
    """

    SCHEMA: ClassVar[str] = "finegrade/made-adapter/v1"

    name: str
    files: Mapping[str, str]


def made_key(run_key: str) -> str:
    """The key of what the run of this key made."""
    return hashed({"kind": NAME, "run": run_key})


def made_adapter(run_key: str, name: str, files: Mapping[str, bytes]) -> Evidence:
    """The evidence of the adapter that a run made, from its files by name; others are left out."""
    kept = {name: base64.b64encode(files[name]).decode() for name in FILES if name in files}
    return Evidence(NAME, made_key(run_key), MadeAdapter(name, kept).to_json(), {})


def read_made(
    stored: Callable[[str], Evidence | None], run_key: str, base: BaseModel
) -> AdapterFiles:
    """The adapter that a run made, after every check that a submitted one has to pass.

    Raises FileRefused where the run made none or what it made is refused, and GraderFault where
    the run is not in the store.
    """
    evidence = stored(made_key(run_key))
    if evidence is None:
        raise GraderFault("what the run trained is not in the store. Grade into another --out.")
    made = read(evidence, MadeAdapter)
    if not made.files:
        raise FileRefused(
            "ADP001",
            "The run made no adapter.",
            "Run the program yourself and see that its training comes to an end.",
        )
    files = {name: base64.b64decode(body) for name, body in made.files.items()}
    with tempfile.TemporaryDirectory(prefix=prefix("adapter")) as folder:
        return _read(Path(folder), files, base)


def _read(root: Path, files: Mapping[str, bytes], base: BaseModel) -> AdapterFiles:
    """The adapter of these files, which are written into the folder `root`."""
    (root / _FOLDER).mkdir()
    for name, body in files.items():
        (root / _FOLDER / name).write_bytes(body)
    listed = tuple(SubmittedFile(f"{_FOLDER}/{n}", len(b), "") for n, b in sorted(files.items()))
    submission = Submission("", root, "", listed)
    adapter = read_adapter(submission, _FOLDER)
    entries = read_entries(submission, _FOLDER)
    check_shapes(pair_up(entries, read_config(submission, _FOLDER)), profile_for(base))
    return adapter

"""The models of the service: bases that are open, and the adapters that go with them."""

from __future__ import annotations

import gc
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grader.constants import COURSE_MODEL
from grader.file_digest import sha256_of
from grader.model import BaseModel, Submission, SubmittedFile
from grader.resources import resource

if TYPE_CHECKING:
    from grader.openai_sim.rows import Answering, Generation
    from grader.predict.adapter_files import AdapterFiles
    from grader.predict.base_model import LoadedBase

READER: Final = "course-model-reader"
ADAPTERS_KEPT: Final = 32  # in memory; one of rank 8 for the course model takes 0.4 MB
DEFAULT_CONTEXT_TOKENS: Final = 4096  # of bases whose config names none


class UnknownModel(LookupError):
    """No open base and no fine-tuned model has this name."""


class _Opened:
    """A base and its batcher, whose thread runs from the first request on."""

    def __init__(self, base: LoadedBase, rows: int | None) -> None:
        from grader.openai_sim.batching import MAX_ROWS, Batcher

        self.base = base
        self.batcher = Batcher(base, rows or MAX_ROWS)


@dataclass(frozen=True, slots=True)
class Served:
    """A model that can be asked: its base, its adapter, and what both are, as one short word."""

    name: str
    base_name: str
    base: LoadedBase
    adapter: AdapterFiles | None

    @property
    def context(self) -> int:
        """How many tokens a prompt and its answer may have together."""
        config = self.base.model.config
        return int(getattr(config, "max_position_embeddings", 0) or DEFAULT_CONTEXT_TOKENS)

    @property
    def fingerprint(self) -> str:
        """Changes exactly when the weights do that answer."""
        own = self.base.digest + (self.adapter.digest if self.adapter else "")
        return f"fp_{hashlib.sha256(own.encode()).hexdigest()[:10]}"


class Server:
    """Answers requests to bases and to their fine-tuned models. Safe to use from many threads."""

    def __init__(
        self,
        bases: Mapping[str, LoadedBase],
        adapter_of: Callable[[str], Path | None] = lambda name: None,
        rows: int | None = None,
    ) -> None:
        """`adapter_of` gives the folder of a fine-tuned model's adapter, None for a base's name.

        It raises what the service answers for names that it does not know or has retired. The
        first of `bases` is that of fine-tuned models whose name tells of no other. At most `rows`
        answers are written at once; with 1 an answer is to the last bit what it is alone.
        """
        self._opened = {name: _Opened(base, rows) for name, base in bases.items()}
        self._adapter_of = adapter_of
        self._adapters: OrderedDict[Path, tuple[int, AdapterFiles]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def bases(self) -> tuple[str, ...]:
        """The names of the bases, the default one first."""
        return tuple(self._opened)

    def model(self, name: str) -> Served:
        """The model of this name, its adapter read.

        Raises UnknownModel, what `adapter_of` raises, and FileRefused for a broken adapter.
        """
        folder = self._adapter_of(name)
        base_name = name if folder is None else self._base_of(name)
        if base_name not in self._opened:
            raise UnknownModel(name)
        adapter = None if folder is None else self._adapter(folder)
        return Served(name, base_name, self._opened[base_name].base, adapter)

    def submit(self, model: Served, generations: Sequence[Generation]) -> list[Answering]:
        """Queue these answers of one request; raises Overloaded when the queue is full."""
        theirs = [replace(generation, adapter=model.adapter) for generation in generations]
        return self._opened[model.base_name].batcher.submit(theirs)

    def close(self) -> None:
        """Stop answering."""
        for opened in self._opened.values():
            opened.batcher.close()

    def _base_of(self, name: str) -> str:
        """The base that a fine-tuned model's name tells of: `ft:<base>:...`."""
        named = name.split(":")[1] if name.count(":") else ""
        return named if named in self._opened else self.bases[0]

    def _adapter(self, folder: Path) -> AdapterFiles:
        from grader.predict.adapter_files import WEIGHTS_FILE, read_adapter

        written = (folder / WEIGHTS_FILE).stat().st_mtime_ns
        with self._lock:
            held = self._adapters.get(folder)
            if held is not None and held[0] == written:
                self._adapters.move_to_end(folder)
                return held[1]
        adapter = read_adapter(_as_submission(folder), folder.name)
        with self._lock:
            self._adapters[folder] = (written, adapter)
            if len(self._adapters) > ADAPTERS_KEPT:
                self._adapters.popitem(last=False)
        return adapter


def open_bases(
    base: BaseModel | None = None, device: str = "cpu", *, reader: bool = True
) -> dict[str, LoadedBase]:
    """The base of the service (None: the course model) and, beside the course model, its reader.

    Raises UsageError and GraderFault as `grader.predict.base_model.load_base` does.
    """
    from grader.predict.base_model import load_base, load_folder

    chosen = base or BaseModel(COURSE_MODEL, sha256_of(_weights(COURSE_MODEL)))
    bases = {chosen.name: load_base(chosen, device)}
    if reader and chosen.name == COURSE_MODEL:
        bases[READER] = load_folder(resource("starter", READER), device)
    # What is loaded stays. Searching its half a million objects for garbage, as Python does now and
    # then, would stop every request for a third of a second.
    gc.freeze()
    return bases


def _as_submission(folder: Path) -> Submission:
    """The adapter folder in the form that the adapter's reader takes."""
    files = []
    for path in sorted(folder.iterdir()):
        with suppress(OSError):
            files.append(SubmittedFile(f"{folder.name}/{path.name}", path.stat().st_size, ""))
    return Submission("adapter", folder.parent, "", tuple(files))


def _weights(name: str) -> Path:
    return resource("starter", name) / "model.safetensors"
